"""Files and functions stay small enough to be read in one go. (Ruff counts parameters, statements and branches.)"""

import ast
from pathlib import Path

import pytest

from tests.surface.sources import FOLDERS, GENERATED, functions, place, python_files

FILE_LINES_MAX = 600
FILE_LINES_P90_MAX = 400
FUNCTION_LINES_MAX = 60

HAND_WRITTEN = [path for path in python_files(*FOLDERS) if not path.name.endswith(GENERATED)]


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the last line; a docstring does not count, or people would write shorter ones."""
    first = function.body[0]
    docstring = 0
    if ast.get_docstring(function) is not None and first.end_lineno is not None:
        docstring = first.end_lineno - first.lineno + 1
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1 - docstring


def test_no_file_is_too_long() -> None:
    too_long = {place(path): lines_of(path) for path in HAND_WRITTEN if lines_of(path) > FILE_LINES_MAX}
    assert not too_long, "a chapter that grows becomes a folder of the same name"


def test_nine_files_of_ten_stay_well_below() -> None:
    sizes = sorted(lines_of(path) for path in HAND_WRITTEN if path in python_files("src"))
    assert sizes[len(sizes) * 9 // 10] <= FILE_LINES_P90_MAX


def test_no_function_is_too_long() -> None:
    too_long = {
        place(path, function.lineno): code_lines(function)
        for path in HAND_WRITTEN
        for function in functions(path)
        if code_lines(function) > FUNCTION_LINES_MAX
    }
    assert not too_long


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def f(a): return a", 1),
        ('def f(a):\n    """Two\n\n    lines."""\n    return a', 2),
        ("async def f(a):\n    return (\n        a\n    )", 4),
    ],
)
def test_the_measure_itself(source: str, lines: int) -> None:
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    assert code_lines(function) == lines
