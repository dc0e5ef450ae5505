"""From every reason of an error to the interface's own number."""

from keystead.core.errors import REASONS
from keystead.protocols.xml.errors_table import TOLD


def test_every_reason_is_told_and_no_other() -> None:
    assert TOLD.keys() == REASONS


def test_a_number_has_one_text() -> None:
    texts: dict[int, set[str]] = {}
    for told in TOLD.values():
        texts.setdefault(told.number, set()).add(told.text)
    assert not [number for number, found in texts.items() if len(found) > 1]
