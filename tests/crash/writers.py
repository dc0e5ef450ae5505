"""Clients that change keys until the node dies, and remember what they were told.

What a reply acknowledged must be there afterwards. A request without a reply leaves a doubt: its change may be there,
whole, or not at all.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from enum import IntEnum

from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Disconnected, Refused, Session

NOTE = "x-note"


class State(IntEnum):
    """KMIP's numbers."""

    PRE_ACTIVE = 1
    ACTIVE = 2
    DEACTIVATED = 3
    DESTROYED = 5


@dataclass
class Key:
    """One key as its owner knows it.

    Attributes:
        states: one if certain; two while a change was asked for and not answered.
        material: the key's bytes once a Get returned them.
    """

    identifier: str
    name: str
    states: tuple[State, ...] = (State.PRE_ACTIVE,)
    material: bytes | None = None

    @property
    def is_gone(self) -> bool:
        return self.states == (State.DESTROYED,)


@dataclass
class Knowledge:
    """What one user was told.

    Attributes:
        keys: acknowledged.
        doubtful_names: of keys whose Create was not answered.
        refusals: answers that no writer should get.
    """

    user: str
    keys: list[Key] = field(default_factory=list)
    doubtful_names: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    acknowledged: int = 0


class Writer(threading.Thread):
    """Sends one request after the other over one connection until that breaks.

    Args:
        node: serving.
        knowledge: the user's; several writers of one user share it.
        number: makes names and choices differ from those of other writers.
    """

    def __init__(self, node: DevNode, knowledge: Knowledge, number: str) -> None:
        super().__init__(name=f"writer-{number}", daemon=True)
        self._node = node
        self._knowledge = knowledge
        self._number = number
        self._chance = random.Random(number)
        self._own: list[Key] = []

    def run(self) -> None:
        try:
            with self._node.session(self._knowledge.user) as session:
                for count in range(1_000_000):
                    self._step(session, count)
        except (Disconnected, OSError):
            return
        except Refused as refusal:
            self._knowledge.refusals.append(f"{self.name}: {refusal}")

    def _step(self, session: Session, count: int) -> None:
        dice = self._chance.random()
        if dice < 0.5 or not self._own:
            self._create(session, f"{self._number}-{count}")
        elif dice < 0.65:
            key = self._chance.choice(self._own)
            key.material = session.key(key.identifier)
        else:
            self._change(session, self._chance.choice(self._own))
        self._knowledge.acknowledged += 1

    def _create(self, session: Session, name: str) -> None:
        self._knowledge.doubtful_names.append(name)
        key = Key(session.identifier(creation(name)), name)
        self._knowledge.keys.append(key)
        self._knowledge.doubtful_names.remove(name)
        self._own.append(key)

    def _change(self, session: Session, key: Key) -> None:
        """The next step of the key's life, or its end before it was ever used."""
        state = key.states[0]
        if state == State.PRE_ACTIVE and self._chance.random() < 0.7:
            request, wanted = messages.activate(key.identifier), State.ACTIVE
        elif state == State.ACTIVE:
            request, wanted = messages.revoke(key.identifier), State.DEACTIVATED
        else:
            request, wanted = messages.destroy(key.identifier), State.DESTROYED
            self._own.remove(key)
        key.states = (state, wanted)
        session.ask(request)
        key.states = (wanted,)


def creation(name: str) -> bytes:
    """Create with the attributes that a whole key must show afterwards."""
    return messages.create(name, messages.custom_attribute(NOTE, f"note of {name}"))
