"""Words that no file of the project contains: other products' names, machine paths, hosts of package registries.

The list is kept in rot13 (forbidden_words.txt), since a file that holds the words would be the first to break the rule.
"""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.surface.sources import place, project_files

LIST = Path(__file__).with_name("forbidden_words.txt")
ROW_ID = re.compile(r"KS-[A-Z]+(-\d+)?")  # ids of requirement rows, whatever their areas are called


def pattern_of(line: str) -> re.Pattern[str]:
    """`=word`: exact case; `~word`: also inside other words. Otherwise a whole word in any case."""
    word = re.escape(line.lstrip("=~")).replace(r"\ ", r"\s+")
    whole = word if line.startswith("~") else rf"(?<![A-Za-z0-9]){word}(?![A-Za-z0-9])"
    return re.compile(whole, 0 if line.startswith("=") else re.IGNORECASE)


LINES = [line for line in codecs.decode(LIST.read_text(), "rot13").splitlines() if not line.startswith("#")]
# Beside each pattern a word that every match contains: looking for that first makes the search twenty times as fast.
FORBIDDEN = [(line.lstrip("=~").split()[0].lower(), pattern_of(line)) for line in LINES]


def forbidden_in(text: str) -> Iterator[str]:
    lowered = text.lower()
    for part, pattern in FORBIDDEN:
        if part in lowered:
            yield from (match.group() for match in pattern.finditer(text))


def text_of(path: Path) -> str | None:
    """None for a file that is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def test_no_file_contains_a_forbidden_word() -> None:
    found = [
        f"{place(path)}: {codecs.encode(word, 'rot13')} (rot13)"
        for path in project_files()
        for text in (place(path), text_of(path))
        if text is not None
        for word in forbidden_in(ROW_ID.sub("", text))
    ]
    assert not found


@pytest.mark.parametrize("line", LINES)
def test_each_word_would_be_found(line: str) -> None:
    assert list(forbidden_in(f"before {line.lstrip('=~')}, after"))
