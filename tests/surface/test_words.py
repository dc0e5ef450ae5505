"""Words that no file of the project contains: other products' names, machine paths, hosts of package registries.

The list is kept in rot13 (forbidden_words.txt), since a file that holds the words would be the first to break the rule.
"""

import codecs
import re
from pathlib import Path

import pytest

from tests.surface.sources import place, project_files

LIST = Path(__file__).with_name("forbidden_words.txt")
ROW_ID = re.compile(r"KS-[A-Z]+(-\d+)?")  # ids of requirement rows, whatever their areas are called


def pattern_of(line: str) -> str:
    """`=word`: exact case; `~word`: also inside other words. Otherwise a whole word in any case."""
    word = re.escape(line.lstrip("=~")).replace(r"\ ", r"\s+")
    whole = word if line.startswith("~") else rf"(?<![A-Za-z0-9]){word}(?![A-Za-z0-9])"
    return whole if line.startswith("=") else f"(?i:{whole})"


def forbidden() -> re.Pattern[str]:
    lines = codecs.decode(LIST.read_text(), "rot13").splitlines()
    return re.compile("|".join(pattern_of(line) for line in lines if line and not line.startswith("#")))


def text_of(path: Path) -> str | None:
    """None for a file that is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def test_no_file_contains_a_forbidden_word() -> None:
    pattern = forbidden()
    found = [
        f"{place(path)}: {codecs.encode(match.group(), 'rot13')} (rot13)"
        for path in project_files()
        for text in (path.relative_to(path.parents[1]).as_posix(), text_of(path))
        if text is not None
        for match in pattern.finditer(ROW_ID.sub("", text))
    ]
    assert not found


@pytest.mark.parametrize("line", codecs.decode(LIST.read_text(), "rot13").splitlines())
def test_each_word_would_be_found(line: str) -> None:
    if line and not line.startswith("#"):
        assert forbidden().search(f"before {line.lstrip('=~')}, after")
