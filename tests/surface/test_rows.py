"""Rows that tests claim exist in the catalogue."""

import ast
from pathlib import Path

import pytest

from tests.support.results import ROW
from tests.surface.sources import place, python_files, tree


def marked_rows() -> dict[str, str]:
    """Row id to one place where a test's mark names it."""
    return {
        argument.value: place(path, node.lineno)
        for path in python_files("tests")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "row"
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and ROW.fullmatch(argument.value)
    }


def test_every_claimed_row_is_in_the_catalogue(shared_folder: Path) -> None:
    catalogue = {line.split("\t")[0] for line in (shared_folder / "requirements.tsv").read_text().splitlines()}
    assert not {row: where for row, where in marked_rows().items() if row not in catalogue}


@pytest.mark.parametrize("row", ["KS-KMIP-001", "CA-017", "DS-100"])
def test_a_row_id(row: str) -> None:
    assert ROW.fullmatch(row)


@pytest.mark.parametrize("row", ["KMIP-001", "KS-KMIP-1", "KS-kmip-001", "CA-0001", ""])
def test_no_row_id(row: str) -> None:
    assert not ROW.fullmatch(row)
