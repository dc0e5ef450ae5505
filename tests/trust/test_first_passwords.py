"""Passwords that one person hands to another: accepted by every rule there is, and never twice the same."""

import pytest

from keystead.core.passwords import Rules, check_new
from keystead.trust.first_passwords import first_password
from keystead.trust.passwords import is_word


@pytest.mark.parametrize("length_min", [0, 8, 23, 24, 100, 256])
def test_every_rule_accepts_them(length_min: int) -> None:
    rules = Rules(length_min, lower=True, upper=True, digit=True, special=True, angle=False)
    for _ in range(50):
        check_new(first_password(length_min).reveal().decode(), "olga", rules, is_word)


def test_they_are_long_enough_and_all_different() -> None:
    made = {first_password().reveal().decode() for _ in range(500)}
    assert len(made) == 500
    assert all(len(one.replace("-", "")) == 20 for one in made)
    assert not any(one in password for password in made for one in "0O1Il")


def test_a_short_name_is_not_in_them() -> None:
    """By chance one in some hundreds would have it, and be refused."""
    for name in ("bob", "ann", "x7k"):
        for _ in range(2000):
            check_new(first_password(name=name).reveal().decode(), name, Rules(8), is_word)
