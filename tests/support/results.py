"""What a run of the tests leaves behind: which requirement rows are proven, and the figures of its last line.

A test claims rows with `@pytest.mark.row("KS-KMIP-001")`. The claim travels in the report's properties, so that the
process which gathers the reports needs no test item: under xdist it has none. Several runs add to one folder.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

ROW = re.compile(r"(KS-[A-Z]+|CA|CB|DS)-\d{3}")
ROWS_PER_TEST_MAX = 3
PROPERTY = "row"


def claimed_rows(item: pytest.Item) -> list[str]:
    """The rows that a test claims.

    Raises:
        pytest.UsageError: an id is not one of the catalogue's shape, or the test claims none or too many.
    """
    marks = list(item.iter_markers("row"))
    rows = [row for mark in marks for row in mark.args]
    wrong = [row for row in rows if not (isinstance(row, str) and ROW.fullmatch(row))]
    if wrong:
        raise pytest.UsageError(f"{item.nodeid}: {wrong} are no requirement rows, such as KS-KMIP-001 or CA-001")
    if marks and not 1 <= len(rows) <= ROWS_PER_TEST_MAX:
        raise pytest.UsageError(f"{item.nodeid}: claims {len(rows)} rows; a test proves 1 to {ROWS_PER_TEST_MAX}")
    return rows


class Results:
    """Gathers the reports of one run and writes rows.json and summary.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outcomes: dict[str, str] = {}
        self.rows: dict[str, list[str]] = {}
        self.skips: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a test's worst outcome: a test that passed and then failed to tidy up has failed."""
        known = self.outcomes.get(report.nodeid)
        if report.failed or known is None or (report.skipped and known == "passed"):
            self.outcomes[report.nodeid] = report.outcome
        self.rows[report.nodeid] = [str(value) for name, value in report.user_properties if name == PROPERTY]
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skips[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")

    def pytest_sessionfinish(self) -> None:
        """Add this run to what earlier runs left in the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        proven = _read(self.folder / "rows.json")
        for test, outcome in self.outcomes.items():
            if outcome == "passed":
                for row in self.rows[test]:
                    proven[row] = sorted({*proven.get(row, ()), test})
        _write(self.folder / "rows.json", proven)
        summary = _read(self.folder / "summary.json")
        for outcome in ("passed", "failed", "skipped"):
            summary[outcome] = summary.get(outcome, 0) + _count(self.outcomes.values(), outcome)
        summary["skips"] = summary.get("skips", {}) | self.skips
        _write(self.folder / "summary.json", summary)


def _count(outcomes: Iterable[str], wanted: str) -> int:
    return sum(outcome == wanted for outcome in outcomes)


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
