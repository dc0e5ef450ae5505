"""Addresses at the doors: judged by the policy as it is now; a flood does not fill the log."""

import logging
from collections.abc import Callable

import pytest

from keystead.operations.ip_authorization import Connections, IpEntry, Policy, Service
from keystead.protocols.address_check import (
    ADDRESSES_REMEMBERED_COUNT_MAX,
    MINUTE_S,
    TURNED_AWAY_LOGGED_PER_MINUTE_MAX,
    AddressCheck,
)

OPEN = Policy(dict.fromkeys(Service, Connections.ALL))
CLOSED = Policy(dict.fromkeys(Service, Connections.LISTED), (IpEntry(1, "192.0.2.0/24", True, False, False),), 1)


class Times:
    """A clock that is moved by hand, with what is to be called back."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def later(self, after_s: float, call: Callable[[], None]) -> None:
        self.waiting.append((self.now_s + after_s, call))

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds
        due = [call for at_s, call in self.waiting if at_s <= self.now_s]
        self.waiting = [each for each in self.waiting if each[0] > self.now_s]
        for call in due:
            call()


@pytest.mark.row("KS-IPA-004", "KS-LOG-017")
def test_a_flood_writes_some_lines_a_minute_and_says_how_much_it_was(caplog: pytest.LogCaptureFixture) -> None:
    times = Times()
    check = AddressCheck(lambda: times.now_s, times.later, CLOSED)
    with caplog.at_level(logging.WARNING):
        assert not check.lets_in(Service.KEY_SERVER, "203.0.113.5")
        assert "connection from 203.0.113.5 to the key server closed: the address is not listed" in caplog.text
        for number in range(5_000):
            assert not check.lets_in(Service.SSH, f"203.0.113.{number % 256}")
        assert len(caplog.records) == TURNED_AWAY_LOGGED_PER_MINUTE_MAX
        times.pass_s(MINUTE_S)
        unlogged = 5_001 - TURNED_AWAY_LOGGED_PER_MINUTE_MAX
        assert caplog.records[-1].getMessage() == f"{unlogged} more connections closed: their addresses are not listed"
        assert not times.waiting
        assert not check.lets_in(Service.WEB, "192.0.2.1")
        assert len(caplog.records) == TURNED_AWAY_LOGGED_PER_MINUTE_MAX + 2
    assert check.turned_away_count == 5_002


def test_another_policy_counts_from_now_on_and_memory_is_bounded() -> None:
    times = Times()
    check = AddressCheck(lambda: times.now_s, times.later, OPEN)
    assert check.lets_in(Service.WEB, "-")
    check.renew(CLOSED)
    assert check.is_listed(Service.KEY_SERVER, "::ffff:192.0.2.9")
    assert not check.is_listed(Service.WEB, "192.0.2.9")
    assert not check.is_listed(Service.KEY_SERVER, "-")
    for number in range(ADDRESSES_REMEMBERED_COUNT_MAX * 2):
        check.is_listed(Service.KEY_SERVER, f"2001:db8::{number:x}")
    assert len(check._known) <= ADDRESSES_REMEMBERED_COUNT_MAX
    check.renew(OPEN)
    assert check.lets_in(Service.WEB, "192.0.2.9")
