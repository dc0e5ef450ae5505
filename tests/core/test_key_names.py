"""Words for algorithms, kinds, states and rights; and DES keys that are none."""

import pytest

from keystead.core.algorithms import Algorithm
from keystead.core.attribute_table import ObjectType
from keystead.core.des_keys import check_des
from keystead.core.errors import Invalid
from keystead.core.key_names import (
    CATALOGUE,
    KeyKind,
    KeySort,
    KeyState,
    algorithm_word,
    kind_number,
    kind_word,
    right_words,
    sort_of,
    sort_or_family,
    state_number,
    state_word,
)
from keystead.core.lifecycle import State
from keystead.core.permission import Right

GOOD, OTHER = bytes.fromhex("133457799BBCDFF1"), bytes.fromhex("0123456789ABCDEF")


def test_every_algorithm_has_its_own_name_back() -> None:
    assert {algorithm_word(sort_of(name)) for name in CATALOGUE} == set(CATALOGUE)
    assert algorithm_word(KeySort(Algorithm.AES, 512)) == "AES"
    assert algorithm_word(KeySort(0)) == "-"


def test_an_algorithm_is_looked_for_with_its_length_or_without() -> None:
    assert sort_or_family("AES-128") == (Algorithm.AES, 128, 0)
    assert sort_or_family("AES") == (Algorithm.AES, 0, 0)
    for find in (sort_of, sort_or_family):
        with pytest.raises(Invalid, match="AES-256"):
            find("ROT-13")


def test_every_state_and_every_kind_that_is_kept_has_a_word() -> None:
    assert [state_number(state_word(state)) for state in State] == list(State)
    assert [state.value for state in KeyState] == [str(state_word(state)) for state in State]
    kept = set(ObjectType) - {ObjectType.CERTIFICATE_REQUEST}
    assert {kind_number(KeyKind(kind_word(kind))) for kind in kept} == kept


def test_rights_are_told_in_words() -> None:
    assert right_words(Right.SEE | Right.MAC_VERIFY) == ("see", "mac-verify")


@pytest.mark.row("KS-KEY-037")
@pytest.mark.parametrize(
    ("algorithm", "material"),
    [
        (Algorithm.DES, bytes(8)),  # parity
        (Algorithm.DES, OTHER[:-1] + b"\xee"),
        (Algorithm.DES, b"\x01" * 8),  # weak
        (Algorithm.DES, bytes.fromhex("01FE01FE01FE01FE")),  # semi-weak
        (Algorithm.DES3, GOOD + b"\xfe" * 8 + OTHER),
        (Algorithm.DES3, GOOD + GOOD + OTHER),
        (Algorithm.DES3, GOOD + OTHER + OTHER),
    ],
)
def test_weak_keys_and_wrong_parity_of_des_are_refused(algorithm: int, material: bytes) -> None:
    with pytest.raises(Invalid):
        check_des(algorithm, material)


def test_other_keys_pass() -> None:
    check_des(Algorithm.DES, GOOD)
    check_des(Algorithm.DES3, GOOD + OTHER)
    check_des(Algorithm.DES3, GOOD + OTHER + GOOD)
    check_des(Algorithm.AES, bytes(16))
