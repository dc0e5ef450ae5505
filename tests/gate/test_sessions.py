"""Sessions of administrators end by themselves, and are bounded."""

import pytest

from keystead.core.errors import Limited
from keystead.core.secret import Secret
from keystead.gate import sessions
from keystead.gate.sessions import LIFE_S_MAX, SESSIONS_PER_ADMINISTRATOR_COUNT_MAX, Sessions


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(clock: Clock) -> Sessions:
    return Sessions(clock, lambda: 900.0)


def begun(table: Sessions, name: str = "ann") -> Secret:
    return table.begin(name, "192.0.2.1", "phc", must_change=False)


@pytest.mark.row("KS-UI-025")
def test_a_session_ends_when_nobody_uses_it(table: Sessions, clock: Clock) -> None:
    used, unused = begun(table), begun(table, "bea")
    for _ in range(3):
        clock.now_s += 600
        assert table.find(used) is not None
    assert table.find(unused) is None
    assert [(one.administrator, one.address) for one in table.expired()] == [("bea", "192.0.2.1")]
    assert table.expired() == []
    assert len(table) == 1


def test_a_session_ends_however_much_it_is_used(table: Sessions, clock: Clock) -> None:
    token = begun(table)
    while clock.now_s < 1000 + LIFE_S_MAX - 600:
        clock.now_s += 600
        assert table.find(token) is not None
    clock.now_s += 601
    assert table.find(token) is None


def test_the_session_used_longest_ago_makes_room(table: Sessions, clock: Clock) -> None:
    tokens = [begun(table) for _ in range(SESSIONS_PER_ADMINISTRATOR_COUNT_MAX)]
    clock.now_s += 1
    assert all(table.find(token) for token in tokens[1:])
    newest = begun(table)
    assert table.find(tokens[0]) is None
    assert all(table.find(token) for token in [*tokens[1:], newest])


def test_there_is_a_bound_for_all_of_them(table: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_COUNT_MAX", 3)
    for name in ("ann", "bea", "cid"):
        begun(table, name)
    with pytest.raises(Limited):
        begun(table, "dan")


def test_tokens_are_not_kept(table: Sessions) -> None:
    token = begun(table)
    assert token.reveal().decode() not in repr(vars(table))
    table.end(token)
    assert table.find(token) is None
