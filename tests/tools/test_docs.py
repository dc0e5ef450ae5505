"""The drawn pages of docs/ are as `./dev docs` draws them, and the reference has every operation of administrators."""

from pathlib import Path

import pytest

from keystead.gate.operation import REGISTRY
from tools import docs


@pytest.mark.parametrize(
    "page", [docs.OPERATIONS_PAGE, docs.XML_PAGE, docs.PAGE, docs.LIMITS_PAGE], ids=lambda page: page.name
)
def test_a_drawn_page_is_as_it_is_drawn(page: Path) -> None:
    assert page.read_text() == docs.drawn()[page], "run ./dev docs"


def test_the_reference_has_every_operation_that_administrators_can_ask_for() -> None:
    said = docs.OPERATIONS_PAGE.read_text()
    asked = [one for one in REGISTRY.values() if one.administrator is not None and one.route is not None]
    asked = [one for one in asked if one.request.__module__.startswith("keystead.")]  # others are tests'
    assert not [one.name for one in asked if f"### {one.name}\n" not in said]
