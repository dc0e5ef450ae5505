"""Policies for tests: users who are let through under one, and a clock of hours that is moved by hand."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from keystead.core.permission import Right
from keystead.gate.policies import SERVICE, Policies
from keystead.operations.grants import GiveRights
from keystead.operations.policies import CreatePolicy
from tests.support.builders import ADMINISTRATOR, US_PER_S, Node, a_key, a_user

ENCRYPT = int(Right.ENCRYPT)
CAROL, DAVE = a_user("carol", "staff"), a_user("dave", "staff")
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"


class Hours:
    """What policies measure hours by; stands still until it is moved."""

    def __init__(self, node: Node) -> None:
        self.us = 5_000 * US_PER_S
        self.policies = Policies(lambda: self.us)
        node.gate.services[SERVICE] = self.policies

    def pass_s(self, seconds: float) -> None:
        self.us += int(seconds * US_PER_S)


def a_narrowed_key(node: Node, per_hour: int = 3, *periods: str, rights: int = ENCRYPT, group: str = "staff") -> str:
    """A key of Alice's on which a group has rights under the policy "office"."""
    node.ask(ADMINISTRATOR, CreatePolicy("office", per_hour, periods))
    key = a_key(node)
    node.ask(ADMINISTRATOR, GiveRights(key, rights, group, policy="office"))
    return key


@contextmanager
def in_zone(zone: str) -> Iterator[None]:
    """Live in another time zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
