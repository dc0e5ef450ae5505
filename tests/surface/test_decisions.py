"""Decision records are complete and listed."""

import re
from pathlib import Path

import pytest

from tests.surface.sources import ROOT

FOLDER = ROOT / "docs/adr"
RECORDS = sorted(FOLDER.glob("[0-9][0-9][0-9][0-9]-*.md"))
PARTS = ["## Context", "## Options", "## Decision", "## Consequences"]


def test_the_index_lists_every_record() -> None:
    listed = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted(name for _, name in listed) == [path.name for path in RECORDS]
    assert all(name.startswith(number) for number, name in listed)


def test_no_number_is_used_twice() -> None:
    numbers = [path.name[:4] for path in RECORDS]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("path", [*RECORDS, FOLDER / "template.md"], ids=lambda path: path.stem)
def test_a_record_has_all_its_parts(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert [line for line in lines if line.startswith("## ")] == PARTS
