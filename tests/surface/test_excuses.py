"""Every exception to a check names the check and gives its reason on the same line."""

import io
import re
import tokenize
from collections.abc import Iterator

import pytest

from tests.surface.sources import FOLDERS, place, python_files

EXCUSE = re.compile(r"#\s*(noqa|type:\s*ignore|pragma|nosec)")
CHECKS = r"noqa: [A-Z]+\d+(, [A-Z]+\d+)*|type: ignore\[[a-z-]+(, [a-z-]+)*\]"
GOOD = re.compile(rf"# ({CHECKS})(  # | - )\w.*")


def excuses(text: str) -> Iterator[tuple[str, int]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and EXCUSE.match(token.string):
            yield token.string, token.start[0]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_excuse_has_its_reason(folder: str) -> None:
    assert not [
        f"{place(path, line)}: {comment}"
        for path in python_files(folder)
        for comment, line in excuses(path.read_text())
        if not GOOD.fullmatch(comment)
    ], "write it as: # noqa: CODE  # the reason"


@pytest.mark.parametrize(
    ("comment", "good"),
    [
        ("# noqa: S101  # connection_made came first", True),
        ("# type: ignore[assignment]  # a hash would leak equality", True),
        ("# noqa: S101, PLR0913  # two reasons", True),
        ("# noqa: S608 - constants", True),
        ("# noqa", False),
        ("# noqa: S101", False),
        ("# type: ignore", False),
        ("# type: ignore[assignment]", False),
    ],
)
def test_what_counts_as_a_reason(comment: str, good: bool) -> None:
    assert bool(GOOD.fullmatch(comment)) is good
    assert list(excuses(f"x = 1  {comment}\n")) == [(comment, 1)]
