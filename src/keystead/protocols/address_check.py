"""IP authorization at the doors: who may connect at all, asked right after accepting and before a byte is answered.

Law: who is turned away costs a line of the system log at most, and all of them together only some lines a minute.

Source: requirements KS-IPA-001 to 004; KS-LOG-017; docs/adr/0078.
"""

import logging
from collections.abc import Callable

from keystead.core.ip_addresses import Addresses
from keystead.operations.ip_authorization import TITLES, Policy, Service

TURNED_AWAY_LOGGED_PER_MINUTE_MAX = 20
ADDRESSES_REMEMBERED_COUNT_MAX = 4_096
MINUTE_S = 60.0

log = logging.getLogger("keystead.ip_authorization")


class AddressCheck:
    """Judges addresses by the policy as it is now. Belongs to the loop of a process.

    Args:
        clock: Seconds that nobody can set.
        later: Calls back after some seconds.

    Attributes:
        turned_away_count: Connections that were closed for it since the process started.
    """

    def __init__(
        self, clock: Callable[[], float], later: Callable[[float, Callable[[], None]], object], policy: Policy
    ) -> None:
        self._clock = clock
        self._later = later
        self._listed: dict[Service, Addresses | None] = {}
        self._known: dict[tuple[Service, str], bool] = {}
        self.turned_away_count = 0
        self._minute_ends_s = 0.0
        self._logged_count = self._unlogged_count = 0
        self.renew(policy)

    def renew(self, policy: Policy) -> None:
        """Judge by another policy from now on."""
        self._listed = {service: policy.listed(service) for service in Service}
        self._known.clear()

    def is_listed(self, service: Service, address: str) -> bool:
        """Tell whether an address may reach a service."""
        listed = self._listed[service]
        if listed is None:
            return True
        verdict = self._known.get((service, address))
        if verdict is None:
            if len(self._known) >= ADDRESSES_REMEMBERED_COUNT_MAX:
                self._known.clear()
            verdict = self._known[service, address] = listed.holds(address)
        return verdict

    def lets_in(self, service: Service, address: str) -> bool:
        """Tell whether an address may reach a service; one that may not is counted and logged."""
        if self.is_listed(service, address):
            return True
        self.turned_away_count += 1
        now_s = self._clock()
        if now_s >= self._minute_ends_s:
            self._minute_ends_s, self._logged_count = now_s + MINUTE_S, 0
        if self._logged_count < TURNED_AWAY_LOGGED_PER_MINUTE_MAX:
            self._logged_count += 1
            log.warning("connection from %s to %s closed: the address is not listed", address, TITLES[service])
            return False
        if not self._unlogged_count:
            self._later(MINUTE_S, self._tell)
        self._unlogged_count += 1
        return False

    def _tell(self) -> None:
        log.warning("%d more connections closed: their addresses are not listed", self._unlogged_count)
        self._unlogged_count = 0
