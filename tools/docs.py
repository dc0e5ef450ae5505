"""Draws docs/chapters.md: for each area of the requirements the modules that name it and the tests that prove its rows.

A module names an area in its docstring (Source:, Rows:, Requirements), a test by `@pytest.mark.row`.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "chapters.md"
ROW = re.compile(r"\b(KS-[A-Z]+|CA|CB|DS)-(\d{3})\b")
HEAD = """# Where each chapter lives

Drawn by `./dev docs` from the modules' own words and the tests' marks; not edited by hand.
"""


def docstring_of(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def proven_rows(path: Path) -> Iterator[tuple[str, str]]:
    """Area and number of every row that the tests of a file claim."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "row":
            names = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            yield from ((match[1], match[2]) for name in names if (match := ROW.fullmatch(str(name))))


def modules_by_area() -> dict[str, dict[str, str]]:
    """Area to module to the module's first words."""
    areas: dict[str, dict[str, str]] = defaultdict(dict)
    for path in sorted((ROOT / "src").rglob("*.py")):
        docstring = docstring_of(path)
        for area in {match[1] for match in ROW.finditer(docstring)}:
            areas[area][path.relative_to(ROOT).as_posix()] = docstring.split("\n\n", 1)[0].replace("\n", " ")
    return areas


def tests_by_area() -> dict[str, dict[str, set[str]]]:
    """Area to test file to the numbers of the rows it proves."""
    areas: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for area, number in proven_rows(path):
            areas[area][path.relative_to(ROOT).as_posix()].add(number)
    return areas


def page() -> str:
    modules, tests = modules_by_area(), tests_by_area()
    lines = [HEAD]
    for area in sorted({*modules, *tests}):
        lines += [f"## {area}", ""]
        lines += [f"- [{name}](../{name}): {about}" for name, about in modules.get(area, {}).items()]
        lines += [
            f"- [{name}](../{name}) proves {', '.join(sorted(rows))}" for name, rows in tests.get(area, {}).items()
        ]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    PAGE.write_text(page())
    print(f"drew {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
