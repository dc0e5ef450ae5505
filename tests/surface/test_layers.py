"""Laws about who may do what: coroutines at the edges, blind excepts in two places, rules without the world."""

import ast
import re
from pathlib import Path

import pytest

from tests.surface.sources import PACKAGE, imported, in_package, place, python_files, tree

MODULES = python_files("src")
ASYNC_FOLDERS = ("protocols/", "cluster/", "node/", "node.py", "clients/vault/")
BLIND_EXCEPT_FILES = {"gate/call.py", "protocols/listener.py"}
# Clock, randomness, input and output, other threads of work: what a rule gets as an argument.
WORLD = {
    *("asyncio", "concurrent", "fcntl", "getpass", "glob", "http", "io", "logging", "mmap", "multiprocessing", "os"),
    *("pathlib", "platform", "queue", "random", "resource", "secrets", "select", "selectors", "shutil", "signal"),
    *("socket", "sqlalchemy", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib"),
    *("uvloop", "warnings"),
}
WORLDLY_CALLS = {"input", "now", "open", "print", "today", "utcnow", "uuid1", "uuid4", "uuid7"}


def is_blind(handler: ast.ExceptHandler) -> bool:
    """Whether the handler takes any exception there is, and does not end by raising it again."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    takes_all = any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"}) for kind in kinds
    )
    last = handler.body[-1]
    return takes_all and not (isinstance(last, ast.Raise) and last.exc is None)


def called_name(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def test_coroutines_live_only_at_the_edges() -> None:
    found = [
        place(path, node.lineno)
        for path in MODULES
        if not in_package(path).startswith(ASYNC_FOLDERS)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await)
    ]
    assert not found


def test_any_exception_is_caught_only_at_the_gate_and_the_listener() -> None:
    found = [
        place(path, node.lineno)
        for path in MODULES
        if in_package(path) not in BLIND_EXCEPT_FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and is_blind(node)
    ]
    assert not found


@pytest.mark.parametrize("path", [path for path in MODULES if path.is_relative_to(PACKAGE / "core")], ids=in_package)
def test_core_knows_nothing_of_the_world(path: Path) -> None:
    imports = [f"{name}, line {line}" for name, line in imported(path) if name.split(".")[0] in WORLD]
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and called_name(node) in WORLDLY_CALLS]
    assert not imports
    assert not [f"{called_name(node)}(), line {node.lineno}" for node in calls]


@pytest.mark.parametrize("path", MODULES, ids=in_package)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree(path)), "a module begins with what it is and the laws of the file"


NO_CHAPTERS = {"__init__.py", "all.py"}
CHAPTERS = [path for path in MODULES if in_package(path).startswith(("operations/", "settings/"))]


@pytest.mark.parametrize("path", [path for path in CHAPTERS if path.name not in NO_CHAPTERS], ids=in_package)
def test_every_chapter_names_its_source(path: Path) -> None:
    docstring = ast.get_docstring(tree(path)) or ""
    assert re.search(r"^(Source|Chapter): \S", docstring, re.MULTILINE), "the chapter, the clause, the requirement rows"


@pytest.mark.parametrize(
    ("handler", "blind"),
    [
        ("except Exception: pass", True),
        ("except: pass", True),
        ("except (ValueError, BaseException): pass", True),
        ("except ValueError: pass", False),
        ("except BaseException:\n    undo()\n    raise", False),
    ],
)
def test_what_counts_as_blind(handler: str, blind: bool) -> None:
    statement = ast.parse(f"try:\n    pass\n{handler}").body[0]
    assert isinstance(statement, ast.Try)
    assert is_blind(statement.handlers[0]) is blind
