"""Passwords as they are kept."""

import re

import pytest

from keystead.core.secret import Secret
from keystead.trust.passwords import is_password, is_word, kept, nobodys

PASSWORD = Secret(b"correct horse battery")


@pytest.mark.row("KS-PWD-016")
def test_what_is_kept_is_salted_and_slow_and_fits_one_password_only() -> None:
    first, second = kept(PASSWORD), kept(PASSWORD)
    assert first != second
    assert re.fullmatch(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}", first)
    assert PASSWORD.reveal().decode() not in first
    assert is_password(PASSWORD, first)
    assert is_password(PASSWORD, second)
    for other in (b"correct horse batter", b"correct horse battery ", b"Correct horse battery", b""):
        assert not is_password(Secret(other), first)


def test_nothing_of_a_long_password_is_cut_off() -> None:
    long = kept(Secret(b"x" * 1000 + b"a"))
    assert is_password(Secret(b"x" * 1000 + b"a"), long)
    assert not is_password(Secret(b"x" * 1000 + b"b"), long)
    assert not is_password(Secret(b"x" * 72), long)


@pytest.mark.parametrize("broken", ["", "hello", "$argon2id$v=19$m=19456,t=2,p=1$$", "$2b$12$abc"])
def test_a_broken_record_fits_no_password(broken: str) -> None:
    assert not is_password(PASSWORD, broken)


def test_nobodys_password_costs_what_others_cost() -> None:
    assert nobodys().split("$")[:4] == kept(PASSWORD).split("$")[:4]
    assert not is_password(PASSWORD, nobodys())


@pytest.mark.row("KS-PWD-003")
@pytest.mark.parametrize(("text", "known"), [("password", True), ("telescope", True), ("qwertz7vbn#", False)])
def test_common_words_are_known(text: str, known: bool) -> None:
    assert is_word(text) is known
