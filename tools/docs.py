"""Draws docs/operations.md, docs/xml-interface.md, docs/chapters.md and the settings in docs/design/limits.md.

The first comes from the declarations of operations, the second from the table of its requests. The third names for each
area of the requirements the modules that name it and the tests that prove its rows.

A module names an area in its docstring (Source:, Rows:, Requirements), a test by `@pytest.mark.row`.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path

import keystead.operations.all  # noqa: F401  # declares the operations that requests become
from keystead.protocols.xml.errors_table import TOLD
from keystead.protocols.xml.translate.algorithms import MACS, SIGNATURES, TRANSFORMATIONS
from keystead.protocols.xml.translate.fields import Field
from keystead.protocols.xml.translate.requests_table import REQUESTS
from keystead.protocols.xml.translate.work import Row
from keystead.settings.all import SECTIONS
from tools.operations_page import operations_page

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "chapters.md"
XML_PAGE = ROOT / "docs" / "xml-interface.md"
OPERATIONS_PAGE = ROOT / "docs" / "operations.md"
LIMITS_PAGE = ROOT / "docs" / "design" / "limits.md"
SETTINGS_HEAD = "| setting | default | from | to |\n|---|---|---|---|\n"
XML_HEAD = ROOT / "tools" / "xml_page.md"
ALGORITHMS_HEAD = """
## Algorithms of CryptoRequest

All of them ours in spelling; outdated ones need `legacy.algorithms` or `legacy.modes`.
"""
ERRORS_HEAD = """
## Errors

Numbers and texts are ours. A name that is not there, and one that you may not know of, are the same error.

| number | text | closes |
|---|---|---|
"""
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


def field_line(field: Field, *, is_answer: bool) -> str:
    kind = "" if is_answer else field.kind.name if field.kind is not None else "not offered"
    count = "required" if field.required else "any number" if field.multiple else "" if is_answer else "optional"
    return f"| `{field.name}` | {field.mark} | {count if kind != 'not offered' else ''} | {kind} | {field.about} |"


def xml_section(name: str, row: Row) -> str:
    head = "| element | known | | kind | |\n|---|---|---|---|---|"
    lines = [f"\n### {name}\n", f"{row.about}.\n", head]
    lines += [field_line(field, is_answer=False) for field in row.fields]
    if row.data == "both":
        lines.append("\nIts data follows it, unless it is in it. Data follows the answer.")
    elif row.data:
        lines.append("\nData follows the answer.")
    if row.answers:
        lines += [f"\n`{name.removesuffix('Request')}Response`, after `ID` and `Success`:\n", head]
        lines += [field_line(field, is_answer=True) for field in row.answers]
    return "\n".join(lines)


def xml_page() -> str:
    sections = "\n".join(xml_section(name, row) for name, row in REQUESTS.items())
    names: dict[str, Iterable[str]] = {"encryption": TRANSFORMATIONS, "signatures": SIGNATURES, "MAC": MACS}
    algorithms = "\n".join(f"- {what}: {', '.join(f'`{name}`' for name in table)}" for what, table in names.items())
    told = sorted({(row.number, row.text, row.fatal) for row in TOLD.values()})
    errors = "\n".join(f"| {number} | {text} | {'yes' if fatal else ''} |" for number, text, fatal in told)
    return f"{XML_HEAD.read_text()}{sections}\n{ALGORITHMS_HEAD}\n{algorithms}\n{ERRORS_HEAD}{errors}\n"


def setting(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"`{value}`"


def limits_page() -> str:
    """The page as it is, with its table of settings drawn anew."""
    lines = [
        f"| `{name}.{one.name}` | {setting(one.default)} | {setting(one.metadata['minimum'])} "
        f"| {setting(one.metadata['maximum'])} |"
        for name, section in sorted(SECTIONS.items())
        for one in fields(section)
    ]
    head, _, rest = LIMITS_PAGE.read_text().partition(SETTINGS_HEAD)
    return f"{head}{SETTINGS_HEAD}{chr(10).join(lines)}\n\n{rest[rest.index('## 2.') :]}"


def main() -> None:
    for path, text in drawn().items():
        path.write_text(text)
        print(f"drew {path.relative_to(ROOT)}")


def drawn() -> dict[Path, str]:
    """Every drawn page as it should be."""
    return {
        PAGE: page(),
        XML_PAGE: xml_page(),
        LIMITS_PAGE: limits_page(),
        OPERATIONS_PAGE: operations_page(),
    }


if __name__ == "__main__":
    main()
