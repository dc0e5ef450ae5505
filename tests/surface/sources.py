"""The source as data: what the tests of this folder read."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "keystead"
FOLDERS = ("src", "tests", "demos", "bench", "tools")
GENERATED = "_table.py"  # the ending of generated tables: data as long as the standard they repeat


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that is committed or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return tuple(path for name in sorted({*names} - {""}) if (path := ROOT / name).is_file())


@cache
def python_files(*folders: str) -> tuple[Path, ...]:
    """Our Python in the named folders of the repository."""
    wanted = [ROOT / folder for folder in folders]
    return tuple(
        path
        for path in project_files()
        if path.suffix == ".py" and any(path.is_relative_to(folder) for folder in wanted)
    )


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def place(path: Path, line: int | None = None) -> str:
    """How a finding names where it is: path from the root, and line."""
    name = path.relative_to(ROOT).as_posix()
    return name if line is None else f"{name}:{line}"


def in_package(path: Path) -> str:
    """A module by its path below src/keystead."""
    return path.relative_to(PACKAGE).as_posix()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Absolute names of imported modules with their lines."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
