"""A thousand keys against a million: ./dev bench growth [--quick] [--keys N]

The keys are made through the gate: 50 owners, a name and three attributes each. Both nodes are then asked the same, in
turn. Prints a table; writes bench-results/growth.json and growth.svg; status 0 only if every limit is met.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.rig import loads, machine, population, reports, servers
from bench.rig.loads import Load, Measured
from bench.rig.population import OWNERS, application, department, name_of, site
from bench.rig.reports import Comparison
from bench.rig.servers import Server
from tests.support.dev_node import DevNode
from tests.support.kmip import messages

SMALL, LARGE, QUICK_LARGE = 1_000, 1_000_000, 20_000
ROUNDS, SECONDS = 7, 1.0
ASKED_KEYS = 20  # of the first owner; both nodes have them
ITEMS_MAX = 50
FIRST_GET_S_MAX, IDLE_BYTES_MAX = 3.0, 150e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_LARGE:,} keys instead of {LARGE:,}")
    parser.add_argument("--keys", type=int, help="in the large node")
    options = parser.parse_args()
    count = options.keys or (QUICK_LARGE if options.quick else LARGE)
    with tempfile.TemporaryDirectory(prefix="ks-") as name, contextlib.ExitStack() as stack:
        small, _ = begin(Path(name) / "small", stack, SMALL)
        large, node = begin(Path(name) / "large", stack, count)
        with machine.awake():
            lines = [*grown(small, large), *combined(large)]
        lines += started(large, node, count)
    print(reports.table(reports.HEADINGS, [line.row() for line in lines]))
    results = {"machine": machine.description(), "keys": count, "lines": [line.as_json() for line in lines]}
    print(f"written: {reports.write('growth', results)}")
    print(f"drawn: {reports.draw('growth', lines)}")
    return 0 if all(line.is_met for line in lines) else 1


def begin(folder: Path, stack: contextlib.ExitStack, count: int) -> tuple[Server, DevNode]:
    print(f"a node with {count:,} keys of {OWNERS} owners", flush=True)
    server, node = stack.enter_context(servers.node(folder))
    server = replace(server, clients=servers.add_users(node, OWNERS + 1))
    print(f"  made {population.fill(server, count):,.0f} keys/s")
    return server, node


def grown(small: Server, large: Server) -> list[Comparison]:
    """What must take as long at a million keys as at a thousand."""
    few_small, few_large = (replace(server, clients=server.clients[OWNERS:]) for server in (small, large))
    by_name = [messages.locate(messages.name_attribute(name_of(0, number))) for number in range(ASKED_KEYS)]
    all_few = [messages.locate()]
    shared = [messages.locate(department(0))]
    asked = [
        ("Get", small, gets(small), large, gets(large)),
        ("Locate by name", small, by_name, large, by_name),
        ("Locate, 2 visible", few_small, all_few, few_large, all_few),
        ("Locate by an attribute, 1 visible", few_small, shared, few_large, shared),
    ]
    lines = []
    for name, little, of_little, much, of_much in asked:
        line = Comparison(f"{name}, p50", f"{SMALL:,} keys", 1.5, is_cost=True, unit="us")
        cost = Comparison(f"{name}, server CPU", f"{SMALL:,} keys", None, is_cost=True, unit="us")
        for _ in range(ROUNDS):
            before, after = ask(little, of_little), ask(much, of_much)
            line.add(after.p50_us, before.p50_us)
            cost.add(after.server_cpu_us, before.server_cpu_us)
        lines += [line, cost]
    return lines


def combined(large: Server) -> list[Comparison]:
    """Two attributes together against the dearer of them alone; found together often, and never."""
    pairs = {
        "Locate by two attributes": (department(3), application(3)),
        "Locate by two that never meet": (department(3), site(4)),
    }
    lines = []
    for name, pair in pairs.items():
        line = Comparison(f"{name}, p50", "dearer one", 5.0, is_cost=True, unit="us")
        for _ in range(ROUNDS):
            single = [ask(large, [messages.locate(one, items_max=ITEMS_MAX)]).p50_us for one in pair]
            line.add(ask(large, [messages.locate(*pair, items_max=ITEMS_MAX)]).p50_us, max(single))
        lines.append(line)
    return lines


def started(large: Server, node: DevNode, count: int) -> list[Comparison]:
    """From exec to the first Get, and what the idle process of the keys then holds in memory."""
    with large.session() as session:
        identifier = session.identifiers(messages.locate(messages.name_attribute(name_of(0, 0))))[0]
    start = Comparison(f"exec to first Get, {count:,} keys", "limit", 1.0, is_cost=True, unit="ms")
    memory = Comparison("largest process, resident", "limit", 1.0, is_cost=True, unit="MB")
    for _ in range(3):
        node.stop()
        begun = time.monotonic()
        node.start()
        with replace(large, port=node.port).session() as session:
            session.key(identifier)
        start.add((time.monotonic() - begun) * 1000, FIRST_GET_S_MAX * 1000)
        largest = max(machine.resident_bytes(pid) for pid in machine.family(node.pid))
        memory.add(largest / 1e6, IDLE_BYTES_MAX / 1e6)
    return [start, memory]


def gets(server: Server) -> list[bytes]:
    with server.session() as session:
        names = [messages.name_attribute(name_of(0, number)) for number in range(ASKED_KEYS)]
        return [messages.get(session.identifiers(messages.locate(name))[0]) for name in names]


def ask(server: Server, requests: list[bytes]) -> Measured:
    return loads.run(server, Load([requests], connections=1, seconds=SECONDS))


if __name__ == "__main__":
    sys.exit(main())
