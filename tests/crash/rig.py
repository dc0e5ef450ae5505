"""Kill a node, or cut its power, at a random moment under concurrent writers; start it again; judge what is there."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.crash.checks import findings
from tests.crash.writers import Knowledge, Writer
from tests.support.dev_node import DevNode, NotReady
from tests.support.powercut import Loss, PowerCut

Blow = Literal["kill", "cut"]
WRITERS_PER_USER = 3
WRITE_S_MIN, WRITE_S_MAX = 0.05, 1.0
EARLIER_KEYS = 100  # of those judged in an earlier round, how many are judged again
BLOW_AT_START_SHARE = 0.2


@dataclass(frozen=True)
class Round:
    """What one blow did.

    Attributes:
        acknowledged: replies that the writers got.
        loss: what the cut took from the disk, None for a kill.
        found: what is wrong afterwards; empty is good.
        restart_s: from exec to ready.
    """

    blow: Blow
    acknowledged: int
    loss: Loss | None
    found: list[str]
    restart_s: float


@dataclass
class Rig:
    """One node with its simulated disk and what its users know.

    Args:
        folder: empty; short, since the node makes sockets below it.
        seed: of all choices but the machine's own timing.
        settings: for --set.
    """

    folder: Path
    seed: int
    settings: tuple[str, ...] = ()
    users: tuple[str, ...] = ("alice", "bob")
    knowledge: list[Knowledge] = field(init=False)
    node: DevNode = field(init=False)
    _serial: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self.power = PowerCut(self.folder / "data", self.folder / "mirror")
        self.node = DevNode(self.folder, self.settings, environment=self.power.environment())
        self.knowledge = [Knowledge(user) for user in self.users]

    def start(self) -> float:
        """Make the node; returns the seconds from exec to ready."""
        return self.node.start()

    def strike(self, blow: Blow) -> Round:
        """One round: write, strike, start again, judge, verify. The node serves before and after."""
        before = sum(k.acknowledged for k in self.knowledge)
        known = [len(k.keys) for k in self.knowledge]
        self._write_until(self._chance.uniform(WRITE_S_MIN, WRITE_S_MAX))
        losses = [self._strike(blow)]
        if self._chance.random() < BLOW_AT_START_SHARE:
            losses.append(self._strike_at_start(blow))
        taken = [loss for loss in losses if loss]
        loss = Loss(sum(t.blocks for t in taken), sum(t.entries for t in taken)) if taken else None
        acknowledged = sum(k.acknowledged for k in self.knowledge) - before
        found = [refusal for k in self.knowledge for refusal in k.refusals]
        try:
            restart_s = self.node.start()
        except NotReady as error:
            return Round(blow, acknowledged, loss, [*found, f"the node does not come back: {error}"], 0)
        for knowledge, earlier in zip(self.knowledge, known, strict=True):
            found += self._judge(knowledge, earlier)
            knowledge.refusals.clear()
        found += self._verify()
        return Round(blow, acknowledged, loss, found, restart_s)

    def judge_all(self) -> list[str]:
        """Every key of every user."""
        return [finding for knowledge in self.knowledge for finding in self._judge(knowledge, 0)]

    def _judge(self, knowledge: Knowledge, earlier: int) -> list[str]:
        """The keys made since, those in doubt, and some of the earlier ones."""
        old = [key for key in knowledge.keys[:earlier] if len(key.states) > 1]
        sample = self._chance.sample(knowledge.keys[:earlier], min(earlier, EARLIER_KEYS))
        with self.node.session(knowledge.user) as session:
            return list(findings(session, knowledge, [*knowledge.keys[earlier:], *old, *sample]))

    def _verify(self) -> list[str]:
        done = self.node.verify()
        return [f"verify ends with status {done.returncode}: {done.stdout}{done.stderr}"] if done.returncode else []

    def _write_until(self, seconds: float) -> None:
        writers = []
        for knowledge in self.knowledge:
            for _ in range(WRITERS_PER_USER):
                self._serial += 1
                writers.append(Writer(self.node, knowledge, f"{self.seed}-{self._serial}"))
        for writer in writers:
            writer.start()
        time.sleep(seconds)
        self.node.kill()
        for writer in writers:
            writer.join()

    def _strike(self, blow: Blow) -> Loss | None:
        """The processes are dead; a cut takes what was not flushed, every second time with a part written back."""
        if blow == "kill":
            return None
        return self.power.cut(self._chance.choice([None, self._chance.randrange(1 << 30)]))

    def _strike_at_start(self, blow: Blow) -> Loss | None:
        """The blow falls again while the node recovers from the first one."""
        self.node.begin()
        time.sleep(self._chance.uniform(0.05, 1.5))
        self.node.kill()
        return self._strike(blow) if self.power.has_run else None  # it may have been too early to find anything
