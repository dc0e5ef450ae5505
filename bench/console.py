"""Pages of the console at 100,000 keys and 1,000 users: ./dev bench console [--quick] [--keys N] [--users N]

The keys are made through the gate, those of 50 users over KMIP with three attributes each, one for every other user by
an administrator. Pages are then asked for over HTTPS, in turn, by somebody who has logged in; the time is from the
request to the last byte of its answer. Prints a table; writes bench-results/console.json; status 0 only if no page
takes longer than the limit, 95 times out of 100.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from bench.rig import machine, population, reports, servers
from bench.rig.population import OWNERS
from keystead.node.folder import read_config, unix_address
from keystead.protocols.local.client import ask
from tests.support.console import COOKIE, Browser
from tests.support.dev_node import DevNode

KEYS, QUICK_KEYS, USERS = 100_000, 5_000, 1_000
ROUNDS, WARM_ROUNDS = 40, 2
LIMIT_MS = 100.0
MIDDLE_PAGES = 20  # of a thousand keys each, before "the middle"
SORTS = ("name", "owner", "created_us")
_NEXT = re.compile(r'rel="next" href="([^"]+)"')
_BACK = re.compile(r'rel="prev" href="([^"]+)"')
_ITEM = re.compile(r'<th scope="row"><a href="([^"]+)"')
_MADE = re.compile(r'<time datetime="(\d{4}-\d\d-\d\dT\d\d:\d\d)')


@dataclass
class Measured:
    """A page.

    Attributes:
        name: As printed.
        path: Of it.
        has_limit: Whether it has to be quick; pages of a thousand items are only reported.
    """

    name: str
    path: str
    has_limit: bool
    took_ms: list[float]
    cpu_ms: float = 0.0
    bytes: int = 0

    @property
    def p95_ms(self) -> float:
        return statistics.quantiles(self.took_ms, n=20)[-1]

    @property
    def is_met(self) -> bool:
        return not self.has_limit or self.p95_ms <= LIMIT_MS

    def row(self) -> list[str]:
        p50 = statistics.median(self.took_ms)
        figures = [f"{p50:.1f}", f"{self.p95_ms:.1f}", f"{self.cpu_ms:.1f}", f"{self.bytes / 1000:,.0f}"]
        return [self.name, *figures, ("met" if self.is_met else "MISSED") if self.has_limit else ""]


class Visitor:
    """One administrator on one connection."""

    def __init__(self, node: DevNode) -> None:
        self._browser = Browser(node.ready["console"]["url"], Path(node.ready["ca_certificate"]))
        password = Path(node.ready["administrator"]["password_file"]).read_text()
        assert self._browser.log_in("admin", password).url == "/"
        host = self._browser.url.removeprefix("https://")
        self._connection = http.client.HTTPSConnection(host, context=self._browser._trust)

    def get(self, path: str) -> str:
        """A page; its status has to be 200."""
        self._connection.request("GET", path, headers={"cookie": f"{COOKIE}={self._browser.cookie}"})
        answer = self._connection.getresponse()
        body = answer.read().decode()
        assert answer.status == 200, (path, answer.status)
        return body


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_KEYS:,} keys instead of {KEYS:,}")
    parser.add_argument("--keys", type=int)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    count = options.keys or (QUICK_KEYS if options.quick else KEYS)
    with tempfile.TemporaryDirectory(prefix="ks-") as name, populated(Path(name), count, options.users) as node:
        visitor = Visitor(node)
        with machine.awake():
            lines = [measured(node, visitor, line, options.rounds) for line in pages(visitor, count)]
    headings = ["page", "p50 ms", "p95 ms", "CPU ms", "kB", f"<= {LIMIT_MS:.0f}"]
    print(reports.table(headings, [line.row() for line in lines]))
    results = {
        "machine": machine.description(),
        "keys": count,
        "users": options.users,
        "lines": [{"page": one.name, "path": one.path, "ms": one.took_ms, "cpu_ms": one.cpu_ms} for one in lines],
    }
    print(f"written: {reports.write('console', results)}")
    return 0 if all(line.is_met for line in lines) else 1


@contextlib.contextmanager
def populated(folder: Path, count: int, users_count: int) -> Iterator[DevNode]:
    """A node with so many keys and users."""
    core, _ = machine.cores()
    node = DevNode(folder / "node", (), machine.on_core(core), web=True)
    node.folder.mkdir()
    node.start()
    try:
        begun = time.monotonic()
        clients = servers.add_users(node, OWNERS + 1)
        address = unix_address(read_config(node.data).local_socket)
        for number in range(users_count - OWNERS - 3):  # alice and bob are there, and those of the clients
            user = f"user{number:04}"
            ask(address, "user.create", name=user, groups=[f"team{number % 20:02}"])
            ask(address, "key.generate", name=f"own-{user}", owner=user)
        print(f"{users_count:,} users, {time.monotonic() - begun:.0f} s", flush=True)
        server = servers.Server("keystead", node.port, node.pid, clients)
        population.fill(replace(server, clients=clients), count)
        yield node
    finally:
        node.stop()


def pages(visitor: Visitor, count: int) -> Iterator[Measured]:
    """What is measured."""
    told = {
        "Home": "/",
        "users": "/users",
        "users, last page": "/users?page=9999",
        "users by groups": "/users?sort=groups",
        "users by groups, down, last page": "/users?sort=groups&down=1&page=9999",
        "users that contain": "/users?filter=team07",
        "a user": "/users/show/user0001",
        "groups": "/groups",
        "administrators": "/administrators",
        "certificates": "/certificates",
        "audit log": "/audit",
        "audit log, oldest": "/audit?before=50",
        "audit log, of a user": "/audit?user=load7",
        "audit log, of an action": "/audit?named=user.create",
    }
    yield from (Measured(name, path, has_limit=True, took_ms=[]) for name, path in told.items())
    for name, path in (("users, all", "/users?per=all"), ("keys, a thousand", "/keys?per=1000")):
        yield Measured(name, path, has_limit=False, took_ms=[])
    yield from _sorted(visitor)
    yield from _filtered(visitor, count)


def _sorted(visitor: Visitor) -> Iterator[Measured]:
    """Every order of keys, both ways: the first page, one in the middle, the last one, and back from it."""
    for column in SORTS:
        for down in ("", "&down=1"):
            first = f"/keys?sort={column}{down}"
            path, last = f"{first}&per=1000", f"{first}&back=1"
            for _ in range(MIDDLE_PAGES):
                found = _NEXT.search(visitor.get(path))
                path = found[1].replace("&amp;", "&") if found else path
            found = _BACK.search(visitor.get(last))
            places = {"first": first, "middle": path.replace("per=1000&", ""), "last": last}
            places |= {"before the last": found[1].replace("&amp;", "&")} if found else {}
            for place, where in places.items():
                way = "down" if down else "up"
                yield Measured(
                    f"keys by {column.removesuffix('_us')} {way}, {place}", where, has_limit=True, took_ms=[]
                )


def _filtered(visitor: Visitor, count: int) -> Iterator[Measured]:
    """Every filter of keys, in the order by name and by creation."""
    page = visitor.get("/keys?sort=created_us")
    made = _MADE.search(page)
    found = _ITEM.search(page)
    rare = f"{count // OWNERS // 2:08}"
    told = {
        "name contains, rare": f"name_part={rare}",
        "name contains, in vain": "name_part=nowhere",
        "name contains, letters": "name_part=%C3%A4",
        "owner": "owner=load7",
        "owner of one key": "owner=user0007",
        "owner nobody": "owner=-",
        "group": "group=team07",
        "kind": "kind=symmetric-key",
        "kind, in vain": "kind=certificate",
        "algorithm": "algorithm=AES-256",
        "algorithm, in vain": "algorithm=RSA",
        "state": "state=active",
        "state, in vain": "state=compromised",
        "attribute, 1 in 10": f"attribute={quote('x-department=d07')}",
        "attribute, 1 in 1000": f"attribute={quote('x-application=a007')}",
        "created until": f"created_until_us={made[1] if made else ''}",
        "changed from": f"changed_from_us={made[1] if made else ''}",
        "state and owner": "state=active&owner=load9",
        "attribute and name": f"attribute={quote('x-department=d07')}&name_part={rare}",
    }
    for name, query in told.items():
        for sort in ("name", "owner", "created_us&down=1"):
            by = sort.partition("_")[0].partition("&")[0]
            yield Measured(f"keys by {by}, {name}", f"/keys?sort={sort}&{query}", has_limit=True, took_ms=[])
    if found:
        yield Measured("a key", found[1].replace("&amp;", "&"), has_limit=True, took_ms=[])


def measured(node: DevNode, visitor: Visitor, line: Measured, rounds: int) -> Measured:
    """Ask for a page again and again."""
    for _ in range(WARM_ROUNDS):
        line.bytes = len(visitor.get(line.path).encode())
    cpu_s = machine.cpu_s(node.pid)
    for _ in range(rounds):
        begun = time.perf_counter()
        visitor.get(line.path)
        line.took_ms.append((time.perf_counter() - begun) * 1000)
    line.cpu_ms = (machine.cpu_s(node.pid) - cpu_s) * 1000 / rounds
    return line


if __name__ == "__main__":
    sys.exit(main())
