"""What passwords may be, and when an account is locked."""

import pytest

from keystead.core.errors import Invalid
from keystead.core.passwords import CHARACTERS_MAX, Attempts, Lockout, Rules, check_new, prepared

WORDS = frozenset({"password", "dragon", "telescope"})
US_PER_S = 1_000_000
ANY = Rules(length_min=1)


def is_good(password: str, name: str = "alice", rules: Rules = ANY) -> bool:
    try:
        check_new(prepared(password), name, rules, WORDS.__contains__)
    except Invalid:
        return False
    return True


@pytest.mark.row("KS-PWD-001", "KS-PWD-002")
@pytest.mark.parametrize(
    ("password", "good"),
    [
        ("abcd" * 4, False),
        ("abcde", True),
        ("aAbBc", True),
        (" " * 12, False),
        ("\u00a0\u2003 \u3000\u202f", False),  # five kinds of blank
        ("a b c d", True),
    ],
)
def test_a_password_has_five_different_characters_and_not_blanks_only(password: str, good: bool) -> None:
    assert is_good(password) is good


@pytest.mark.row("KS-PWD-003")
@pytest.mark.parametrize(
    "password",
    [
        *("+49 (171) 234-5678", "0171/2345678", "12345678", "(0) 89.1234567", "555-0199-23"),
        *("telescope", "TELESCOPE", "epocselet", "Telescope1!", "12dragon34", "p4ssw0rd", "p@$$word", "drowssap!"),
    ],
)
def test_telephone_numbers_and_words_in_all_dresses_are_refused(password: str) -> None:
    assert not is_good(password)


@pytest.mark.parametrize("password", ["telescope-dragon-7", "correct horse 12", "+49 171 call me", "xk5#Vq9!"])
def test_others_are_taken(password: str) -> None:
    assert is_good(password)


@pytest.mark.row("KS-PWD-004")
@pytest.mark.parametrize(
    ("password", "name", "good"),
    [
        ("alice-in-2026", "alice", False),
        ("my ALICE pass", "alice", False),
        ("ecila-98765x", "alice", False),
        ("4l1c3-76%xq", "alice", False),
        ("storage1-xyz", "storage1", False),
        ("grandeur-7q", "al", True),  # two letters are in too many words
        ("bobsled-37qz", "alice", True),
    ],
)
def test_a_password_is_not_made_from_the_name(password: str, name: str, good: bool) -> None:
    assert is_good(password, name) is good


@pytest.mark.row("KS-PWD-005")
def test_the_shortest_length_can_be_set() -> None:
    assert not is_good("abcdefg", rules=Rules())
    assert is_good("abcdefgh", rules=Rules())
    assert not is_good("abcdefghijk", rules=Rules(length_min=12))
    assert is_good("abcdefghijkl", rules=Rules(length_min=12))


@pytest.mark.row("KS-PWD-006")
@pytest.mark.parametrize(
    ("kind", "without", "with_it"),
    [
        ("lower", "ABCDEF12#", "ABCDEf12#"),
        ("upper", "abcdef12#", "abcdeF12#"),
        ("digit", "abcdefGH#", "abcdefG2#"),
        ("special", "abcdefG23", "abcdefG2-"),
    ],
)
def test_kinds_of_characters_can_be_demanded_one_by_one(kind: str, without: str, with_it: str) -> None:
    rules = Rules(1, **{kind: True})
    assert not is_good(without, rules=rules)
    assert is_good(without)
    assert is_good(with_it, rules=rules)


@pytest.mark.row("KS-USR-002")
def test_a_password_has_256_characters_at_most_and_the_less_than_sign_follows_its_switch() -> None:
    assert len(prepared("ab" * 128)) == CHARACTERS_MAX
    with pytest.raises(Invalid, match="256"):
        prepared("ab" * 128 + "c")
    assert is_good("abc<def>x")
    assert not is_good("abc<def>x", rules=Rules(1, angle=False))


@pytest.mark.parametrize("password", ["telescope", "alice-in-2026", "short", "0171/2345678"])
def test_what_is_refused_is_not_repeated(password: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_new(password, "alice", Rules(), WORDS.__contains__)
    assert password not in caught.value.message


def test_one_password_has_one_form() -> None:
    """Attack class 47: what looks the same is the same, and nothing is cut off."""
    assert prepared("pa\u0308sse") == prepared("p\u00e4sse") == "p\u00e4sse"
    assert prepared("two\u00a0words") == prepared("two\u3000words") == "two words"
    assert prepared("\uff21bc") != prepared("Abc")  # wide letters are others: nothing is folded away
    assert prepared("x" * 100 + "a") != prepared("x" * 100 + "b")


@pytest.mark.parametrize("password", ["", "a\0b", "a\nb", "a\x7fb", "\ud800", "a\u2028b", "\ue000"], ids=repr)
def test_what_nobody_types_on_purpose_is_refused(password: str) -> None:
    with pytest.raises(Invalid):
        prepared(password)


def attempts(lockout: Lockout, *at_s: float) -> Attempts:
    held = Attempts()
    for moment_s in at_s:
        held = held.failed(lockout, int(moment_s * US_PER_S))
    return held


@pytest.mark.row("KS-AUTH-010")
def test_without_a_limit_an_account_is_never_locked() -> None:
    assert not attempts(Lockout(0, 60), *range(1000)).is_locked(1000 * US_PER_S)


@pytest.mark.row("KS-AUTH-011")
def test_a_lock_begins_with_the_last_failure_and_ends_with_its_count() -> None:
    users = Lockout(5, 60)
    assert not attempts(users, 0, 1, 2, 3).is_locked(3 * US_PER_S)
    locked = attempts(users, 0, 1, 2, 3, 4)
    assert locked.is_locked(63 * US_PER_S)
    assert not locked.is_locked(64 * US_PER_S)
    assert attempts(users, 0, 1, 2, 3, 4, 50) == locked  # attempts meanwhile are ignored
    again = attempts(users, 0, 1, 2, 3, 4, 65)
    assert again == Attempts(1)
    assert attempts(users, 0, 1, 2, 3, 4, 65, 66, 67, 68, 69).is_locked(70 * US_PER_S)


@pytest.mark.row("KS-ADM-016")
def test_each_attempt_prolongs_the_lock_of_an_administrator() -> None:
    administrators = Lockout(5, 1800, prolongs=True)
    held = attempts(administrators, 0, 1, 2, 3, 4, 1000)
    assert held.is_locked(2799 * US_PER_S)
    assert not held.is_locked(2800 * US_PER_S)
