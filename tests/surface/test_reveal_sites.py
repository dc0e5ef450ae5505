"""Secret bytes leave their wrapper only where this table says.

A new line here is a decision: the bytes that `reveal()` returns can be logged, printed or kept. Say in the review why
the caller needs them and how short they live.
"""

import ast
from collections.abc import Iterator

from tests.surface.sources import in_package, python_files, tree

# Module below src/keystead, then the functions that call reveal(), each as often as it does.
REVEAL_SITES: dict[str, tuple[str, ...]] = {}


def reveal_calls(node: ast.AST, inside: str = "") -> Iterator[str]:
    """Qualified name of the function around each call of `.reveal()`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute) and child.func.attr == "reveal":
            yield inside or "(module)"
        name = inside
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{inside}.{child.name}" if inside else child.name
        yield from reveal_calls(child, name)


def test_every_call_of_reveal_is_in_the_table() -> None:
    found = {in_package(path): tuple(sorted(reveal_calls(tree(path)))) for path in python_files("src")}
    expected = {module: tuple(sorted(sites)) for module, sites in REVEAL_SITES.items()}
    assert {module: sites for module, sites in found.items() if sites} == expected


def test_the_search_sees_calls_in_methods_and_at_module_level() -> None:
    source = "class A:\n    def f(self):\n        return g(self.key.reveal())\nx = y.reveal()"
    assert list(reveal_calls(ast.parse(source))) == ["A.f", "(module)"]
