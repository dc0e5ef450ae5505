"""Compiled modules stand for exactly the sources they were made of, and only where that is wanted."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from keystead import acceleration
from tests.surface.sources import ROOT
from tools import accelerate

SOURCE = "gate/call.py"
SAY = "import keystead.gate.call as module; print(module.__file__)"


def build(folder: Path, **changed: Any) -> Path:
    sources = {SOURCE: acceleration.digest_of(acceleration.PACKAGE / SOURCE)}
    manifest = {
        "interpreter": acceleration.interpreter(),
        "files": {"keystead.gate.call": "call.so"},
        "sources": sources,
    }
    (folder / acceleration.MANIFEST).write_text(json.dumps(manifest | changed))
    (folder / "call.so").touch()
    return folder


def test_a_build_counts_while_its_sources_are_those_that_are_there(tmp_path: Path) -> None:
    assert acceleration.compiled(build(tmp_path)) == {"keystead.gate.call": tmp_path / "call.so"}
    assert acceleration.compiled(build(tmp_path, sources={SOURCE: "0" * 64})) == {}, "edited since"
    assert acceleration.compiled(build(tmp_path, sources={"gate/gone.py": "0" * 64})) == {}, "removed since"
    assert acceleration.compiled(build(tmp_path, interpreter="cpython-39 3.9.1")) == {}, "another interpreter"
    (build(tmp_path) / "call.so").unlink()
    assert acceleration.compiled(tmp_path) == {}, "a part is gone"


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"interpreter": 1}'])
def test_a_damaged_build_is_none(tmp_path: Path, manifest: str) -> None:
    (tmp_path / acceleration.MANIFEST).write_text(manifest)
    assert acceleration.compiled(tmp_path) == {}
    assert acceleration.compiled(tmp_path / "missing") == {}


@pytest.mark.parametrize("choice", ["off", "on"])
def test_where_modules_come_from(choice: str) -> None:
    if choice == "on" and not acceleration.compiled():
        why = accelerate.obstacle() or "run ./dev setup"
        if os.environ.get("CI"):
            pytest.fail(f"nothing is compiled: {why}")
        pytest.skip(f"nothing is compiled: {why}")
    environment = {**os.environ, acceleration.VARIABLE: choice}
    said = subprocess.run(
        [sys.executable, "-c", SAY], env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert Path(said.strip()).suffix == {"off": ".py", "on": ".so"}[choice]


def test_what_is_compiled_exists_and_is_strictly_typed() -> None:
    sources = accelerate.wanted()
    assert len(sources) > 30
    assert not [source for source in sources if not (ROOT / "src/keystead" / source).is_file()]
