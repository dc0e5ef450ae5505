"""What is measured, in interleaved rounds: the echo server, the node, PyKMIP, and again; ratios are of one round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from bench.rig import administrating, keys, loads, machine
from bench.rig.keys import Requests
from bench.rig.loads import Load, Measured
from bench.rig.reports import Comparison
from bench.rig.servers import Server
from tests.support.dev_node import DevNode

ECHO, PYKMIP, FLUSH = "C echo", "PyKMIP", "fdatasync"
PACED_PER_S = 11_000
AUDITED_S = 3.0
CREATE_S_MIN = 2.0  # disks stall now and then
STORM_NEWCOMERS = 100
STORM_S_MAX = 30.0
STORMS = 3  # a round's p99 is the median of theirs: one storm leaves few samples


@dataclass(frozen=True)
class Contest:
    """Who is measured, and for how long.

    Attributes:
        node: what `ours` is reached at.
        requests: on keys of `ours`, and of the first of its clients.
        users: how many clients of `ours` the mixed load uses.
        keys_per_user: of the mixed load.
        disk: folder on the disk that the servers write to.
    """

    node: DevNode
    ours: Server
    echo: Server
    pykmip: Server
    requests: Requests
    pykmip_requests: Requests
    rounds: int
    seconds: float
    users: int
    keys_per_user: int
    disk: Path


Scenario = Callable[[Contest], list[Comparison]]


def throughput(contest: Contest) -> list[Comparison]:
    """Encrypt and Get at 8 connections."""
    lines = []
    ours, theirs = contest.requests, contest.pykmip_requests
    for name, mine, other in (("Encrypt", ours.encrypt, theirs.encrypt), ("Get", ours.get, theirs.get)):
        floor = Comparison(f"{name}, 8 connections", ECHO, 0.30)
        cost = Comparison(f"{name}, server CPU", ECHO, None, is_cost=True, unit="us")
        peer = Comparison(f"{name}, 8 connections", PYKMIP, 80)
        for _ in range(contest.rounds):
            echo, node = _pair(contest, Load([mine], seconds=contest.seconds))
            pykmip = loads.run(contest.pykmip, Load([other], seconds=contest.seconds))
            floor.add(node.per_s, echo.per_s)
            cost.add(node.server_cpu_us, echo.server_cpu_us)
            peer.add(node.per_s, pykmip.per_s)
        lines += [floor, peer, cost]
    return lines


def mixture(contest: Contest) -> list[Comparison]:
    """Many keys of many users over 32 connections; each round takes other users."""
    parts = keys.mixed(contest.ours, contest.users, contest.keys_per_user)
    line = Comparison(f"Mixed, {contest.users} users, 32 connections", ECHO, 0.20)
    cost = Comparison("Mixed, server CPU", ECHO, None, is_cost=True, unit="us")
    for number in range(contest.rounds):
        turn = [(number * 32 + i) % contest.users for i in range(min(32, contest.users))]
        load = Load([parts[user] for user in turn], connections=32, seconds=contest.seconds)
        echo = loads.run(contest.echo, load)
        node = loads.run(replace(contest.ours, clients=tuple(contest.ours.clients[user] for user in turn)), load)
        line.add(node.per_s, echo.per_s)
        cost.add(node.server_cpu_us, echo.server_cpu_us)
    return [line, cost]


def durable_create(contest: Contest) -> list[Comparison]:
    """Create at 8 connections, on disk before it is answered."""
    peer, disk = Comparison("Create, 8 connections", PYKMIP, 20), Comparison("Create, 8 connections", FLUSH, 1.0)
    seconds = max(contest.seconds, CREATE_S_MIN)
    for _ in range(contest.rounds):
        flushes = machine.flushes_per_s(contest.disk, seconds)
        node = loads.run(contest.ours, Load([contest.requests.create], seconds=seconds))
        pykmip = loads.run(contest.pykmip, Load([contest.pykmip_requests.create], seconds=seconds))
        peer.add(node.per_s, pykmip.per_s)
        disk.add(node.per_s, flushes)
    return [peer, disk]


def storm(contest: Contest) -> list[Comparison]:
    """A steady client while 100 newcomers connect at once."""
    line = Comparison(f"p99 while {STORM_NEWCOMERS} clients connect", ECHO, 2.0, is_cost=True, unit="us")
    length = Comparison(f"{STORM_NEWCOMERS} clients connected and answered", ECHO, None, is_cost=True, unit="ms")
    load = Load(
        [contest.requests.get],
        connections=1,
        seconds=STORM_S_MAX,
        mode="storm",
        options=("--newcomers", str(STORM_NEWCOMERS)),
    )
    for _ in range(contest.rounds):
        pairs = [_pair(contest, load) for _ in range(STORMS)]
        echo, node = ([pair[side] for pair in pairs] for side in (0, 1))
        line.add(median(one.p99_us for one in node), median(one.p99_us for one in echo))
        length.add(median(one.seconds for one in node) * 1000, median(one.seconds for one in echo) * 1000)
    return [line, length]


def neighbour(contest: Contest) -> list[Comparison]:
    """A steady client while a Python loop burns the server's core, with the priority of the node's admin process."""
    line = Comparison("p99 beside a Python loop", ECHO, 2.0, is_cost=True, unit="us")
    core, _ = machine.cores()
    with machine.burning(core, like=_admin(contest.ours.pid)):
        for echo, node in _pairs(contest, Load([contest.requests.get], connections=1, seconds=contest.seconds)):
            line.add(node.p99_us, echo.p99_us)
    return [line]


def administration(contest: Contest) -> list[Comparison]:
    """A steady client while a browser turns the console's pages and the audit log is exported again and again."""
    line = Comparison("p99 beside a browser and audit exports", ECHO, 3.0, is_cost=True, unit="us")
    half = Comparison("p50 beside a browser and audit exports", ECHO, None, is_cost=True, unit="us")
    loads.run(contest.ours, Load([contest.requests.create], seconds=AUDITED_S))  # something to export
    with administrating.administrators(contest.node) as work:
        for echo, node in _pairs(contest, Load([contest.requests.get], connections=1, seconds=contest.seconds)):
            line.add(node.p99_us, echo.p99_us)
            half.add(node.p50_us, echo.p50_us)
    print(f"meanwhile: {work.pages} pages, {work.exports} exports of {work.entries} entries", flush=True)
    return [line, half]


def reconnect(contest: Contest) -> list[Comparison]:
    """Connect, Get, close, one after the other."""
    line = Comparison("Connect, Get, close", ECHO, 0.85)
    cost = Comparison("Connect, Get, close, server CPU", ECHO, None, is_cost=True, unit="us")
    for echo, node in _pairs(
        contest, Load([contest.requests.get], connections=1, seconds=contest.seconds, mode="reconnect")
    ):
        line.add(node.per_s, echo.per_s)
        cost.add(node.server_cpu_us, echo.server_cpu_us)
    return [line, cost]


def paced(contest: Contest) -> list[Comparison]:
    """Latency at a fixed rate, counted from when a request was due."""
    lines = []
    for name, requests in (("Encrypt", contest.requests.encrypt), ("Get", contest.requests.get)):
        half = Comparison(f"{name} at {PACED_PER_S}/s, p50", ECHO, None, is_cost=True, unit="us")
        tail = Comparison(f"{name} at {PACED_PER_S}/s, p99", ECHO, None, is_cost=True, unit="us")
        load = Load([requests], seconds=contest.seconds, mode="paced", options=("--rate", str(PACED_PER_S)))
        for echo, node in _pairs(contest, load):
            half.add(node.p50_us, echo.p50_us)
            tail.add(node.p99_us, echo.p99_us)
        lines += [half, tail]
    return lines


SCENARIOS: dict[str, Scenario] = {
    "throughput": throughput,
    "mixture": mixture,
    "create": durable_create,
    "storm": storm,
    "neighbour": neighbour,
    "administration": administration,
    "reconnect": reconnect,
    "paced": paced,
}


def _admin(node: int) -> int:
    """The node's process for administration; the node itself if it has none."""
    names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in machine.family(node)}
    return next((pid for pid, words in names.items() if b"_admin" in words), node)


def _pair(contest: Contest, load: Load) -> tuple[Measured, Measured]:
    """The echo server, then the node, under the same load."""
    return loads.run(contest.echo, load), loads.run(contest.ours, load)


def _pairs(contest: Contest, load: Load) -> Iterator[tuple[Measured, Measured]]:
    for _ in range(contest.rounds):
        yield _pair(contest, load)
