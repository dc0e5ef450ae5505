"""The record of requirement rows, made by real runs of pytest with our plugin on small files of tests."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.components import ROOT

TESTS = """
import pytest

@pytest.mark.row("KS-KMIP-001", "KS-KMIP-002")
def test_passes(): pass

@pytest.mark.row("KS-KMIP-001", "KS-LOG-012")
@pytest.mark.parametrize("good", [True, False])
def test_fails_once(good): assert good

@pytest.fixture
def untidy():
    yield
    raise OSError

@pytest.mark.row("KS-BKP-001")
def test_fails_to_tidy_up(untidy): pass

@pytest.mark.row("CA-001")
def test_is_skipped(): pytest.skip("no reason")

def test_claims_nothing(): pass
"""


def run(folder: Path, source: str, *arguments: str) -> tuple[int, str]:
    (folder / "test_them.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "--results", "results"]
    done = subprocess.run(
        [*command, *arguments], cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / "results" / name).read_text())


@pytest.mark.parametrize("workers", [0, 2])
def test_only_tests_that_passed_prove_rows(tmp_path: Path, workers: int) -> None:
    status, output = run(tmp_path, TESTS, "-n", str(workers))
    assert status == pytest.ExitCode.TESTS_FAILED, output
    assert read(tmp_path, "rows.json") == {
        "KS-KMIP-001": ["test_them.py::test_fails_once[True]", "test_them.py::test_passes"],
        "KS-KMIP-002": ["test_them.py::test_passes"],
        "KS-LOG-012": ["test_them.py::test_fails_once[True]"],
    }
    assert read(tmp_path, "summary.json") == {
        "passed": 3,
        "failed": 2,
        "skipped": 1,
        "skips": {"test_them.py::test_is_skipped": "no reason"},
    }


def test_a_second_run_adds_to_the_first(tmp_path: Path) -> None:
    run(tmp_path, TESTS, "-k", "test_passes")
    run(tmp_path, TESTS, "-k", "test_fails_once or test_claims_nothing")
    assert read(tmp_path, "rows.json")["KS-KMIP-001"] == [
        "test_them.py::test_fails_once[True]",
        "test_them.py::test_passes",
    ]
    assert read(tmp_path, "summary.json")["passed"] == 3


@pytest.mark.parametrize(
    ("claim", "complaint"),
    [
        ("'KMIP-001'", "no requirement rows"),
        ("1", "no requirement rows"),
        ("", "claims 0 rows"),
        ("'CA-001', 'CA-002', 'CA-003', 'CA-004'", "claims 4 rows"),
    ],
)
def test_a_wrong_claim_stops_the_run(tmp_path: Path, claim: str, complaint: str) -> None:
    status, output = run(tmp_path, f"import pytest\n@pytest.mark.row({claim})\ndef test_it(): pass\n")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert complaint in output


@pytest.mark.parametrize(("in_ci", "outcome"), [("true", "failed"), ("", "skipped")])
def test_a_missing_component_fails_only_where_nobody_reads_the_skips(tmp_path: Path, in_ci: str, outcome: str) -> None:
    source = """
from tests.support.components import skip_or_fail
def test_it(monkeypatch):
    monkeypatch.setenv("CI", "IN_CI")
    skip_or_fail("the thing")
"""
    run(tmp_path, source.replace("IN_CI", in_ci))
    assert read(tmp_path, "summary.json")[outcome] == 1
