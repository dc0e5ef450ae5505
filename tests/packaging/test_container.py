"""The container file: linted, and what the linter does not know."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.components import ROOT, skip_or_fail

FILE = ROOT / "packaging" / "container" / "Containerfile"
LINES = re.sub(r"\\\n", " ", FILE.read_text()).splitlines()
INSTRUCTIONS = [line.split(None, 1) for line in LINES if line and not line.startswith("#")]
FINAL = INSTRUCTIONS[max(i for i, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM") :]


def last(word: str) -> str:
    return next(rest for found, rest in reversed(FINAL) if found == word)


def test_the_linter_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        skip_or_fail("hadolint, which is there for x86-64 Linux only")
    done = subprocess.run([linter, str(FILE)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_does_not_run_as_root() -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", last("USER"))
    assert [word for word, _ in FINAL].index("USER") < [word for word, _ in FINAL].index("ENTRYPOINT")


def test_every_package_is_fetched_by_its_hash_or_from_here() -> None:
    commands = [part for _, rest in INSTRUCTIONS for part in rest.split("&&")]
    installs = [command for command in commands if re.search(r"pip (install|wheel)", command)]
    assert installs
    assert not [part for part in installs if "--require-hashes" not in part and "--no-index" not in part]


def test_only_what_is_needed_is_copied_in() -> None:
    copies = [rest.split() for word, rest in INSTRUCTIONS if word == "COPY" and "--from" not in rest]
    copied = {source for copy in copies for source in copy[:-1]}
    assert copied == {"requirements", "LICENSE", "NOTICE", "README.md", "pyproject.toml", "tools", "src"}
    assert not [source for source in copied if not (ROOT / source).exists()]


@pytest.mark.parametrize("word", ["ADD", "ARG"])
def test_nothing_is_fetched_or_handed_in_while_it_is_built(word: str) -> None:
    assert word not in {found for found, _ in INSTRUCTIONS}
