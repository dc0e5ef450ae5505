"""A store in PostgreSQL beside one in an SQLite file, in microseconds: ./dev bench postgresql [--quick]

Both engines do the same through the contract of all stores, in turns in the same run, on the same disk; the server
is on this machine, at a Unix socket, as Debian installs it. Figures are medians of the rounds. Prints a table; writes
bench-results/postgresql.json. Nothing is judged: how far away a server is decides most of it.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.rig import machine, reports
from keystead.core.attributes import text
from keystead.core.changes import Put, Transaction
from keystead.storage import postgresql
from keystead.storage.store import Query, Reader, Store, Writer
from tests.support import postgresql as servers
from tests.support.stores import (
    KEYS,
    NOW_US,
    attributes,
    equal,
    kmip_name,
    new_object,
    new_store,
    object_id,
    query,
    request_id,
    transaction,
    with_material,
)

KEYS_COUNT, QUICK_KEYS_COUNT = 20_000, 1_000
OWNED_EVERY = 10  # one key of ten is alice's
GROUP_COUNT = 16
ROUNDS = 7
REPETITIONS = 40
BOTH = ("u:alice", "*")  # what every user may see: their own keys and everybody's
HEADINGS = ("does", "SQLite us", "PostgreSQL us", "ratio", "spread")


@dataclass
class Engine:
    """A filled store and one user of it."""

    store: Store
    count: int
    writer: Writer = field(init=False)
    reader: Reader = field(init=False)
    numbers: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = itertools.count(self.count + 1)
        self.writer = self.store.writer()
        for first in range(1, self.count + 1, 256):
            self.create(range(first, min(first + 256, self.count + 1)))
        self.reader = self.store.reader()

    def create(self, numbers: range | list[int]) -> None:
        group = [create(number) for number in numbers]
        assert self.writer.commit(group) == [None] * len(group)

    def create_next(self, count: int) -> None:
        self.create(list(itertools.islice(self.numbers, count)))

    def change(self) -> None:
        loaded = self.reader.object(object_id(next(self.numbers) % self.count + 1))
        assert loaded is not None
        changed = Put(loaded.record._replace(handle=f"h{next(self.numbers)}"))
        assert self.writer.commit([transaction(changed)]) == [None]

    def get(self) -> None:
        assert self.reader.object(object_id(next(self.numbers) % self.count + 1)) is not None

    def locate(self, asked: Query) -> None:
        assert self.reader.locate(asked)

    def close(self) -> None:
        self.writer.close()
        self.reader.close()


def create(number: int) -> Transaction:
    """A key with a name and two attributes, as clients make them."""
    held = attributes(Name=f"name-{number}", Object_Group=f"group-{number % 7}", x_site=f"site-{number % 50}")
    record = new_object(number, owner="alice" if number % OWNED_EVERY == 0 else "bob", attributes=held)
    return transaction(with_material(record, number))._replace(request_id=request_id(number), at_us=NOW_US)


def works(count: int) -> dict[str, Callable[[Engine], None]]:
    name = f"name-{count // OWNED_EVERY * OWNED_EVERY}"
    by_name = query(equal("Name", kmip_name(name)), scopes=BOTH)
    some = query(scopes=BOTH, limit_count=50)
    two = query(equal("Object Group", text("group-3")), equal("x-site", text("site-20")), scopes=BOTH, limit_count=5)
    return {
        "create, alone": lambda engine: engine.create_next(1),
        f"create, {GROUP_COUNT} in a group": lambda engine: engine.create_next(GROUP_COUNT),
        "read and change, alone": Engine.change,
        "Get, not in memory": Engine.get,
        "Locate by name": lambda engine: engine.locate(by_name),
        "Locate, the newest 50": lambda engine: engine.locate(some),
        "Locate by two attributes": lambda engine: engine.locate(two),
        "has anything changed": lambda engine: engine.reader.data_version() and None,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_KEYS_COUNT:,} keys instead of {KEYS_COUNT:,}")
    count = QUICK_KEYS_COUNT if parser.parse_args().quick else KEYS_COUNT
    if not servers.installed():
        print(f"nothing to measure: this needs {servers.MISSING}")
        return 1
    server = servers.new_server(on_disk=True, autovacuum="on", shared_buffers="128MB")
    with tempfile.TemporaryDirectory(prefix="ks-") as folder:
        kept = postgresql.open_store(server.url(server.new_database()), KEYS)
        engines = [Engine(new_store(Path(folder)), count), Engine(kept, count)]
        server.execute("ANALYZE", database=kept.server.url.partition("@/")[2].partition("?")[0])
        with machine.awake():
            lines = [line(name, work, engines) for name, work in works(count).items()]
        for engine in engines:
            engine.close()
    version = server.version
    server.stop()
    print(f"{count:,} keys; {version}")
    print(reports.table(HEADINGS, lines))
    figures = {"machine": machine.description(), "keys": count, "server": version, "lines": lines}
    print(f"written: {reports.write('postgresql', figures)}")
    return 0


def line(name: str, work: Callable[[Engine], None], engines: list[Engine]) -> list[str]:
    """What one work takes on each engine, in turns."""
    figures = [[timed_us(work, engine) for engine in engines] for _ in range(ROUNDS)]
    ratios = [other / own for own, other in figures]
    medians = [statistics.median(each) for each in zip(*figures, strict=True)]
    spread = f"{min(ratios):.3g} to {max(ratios):.3g}"
    return [name, *(f"{each:,.1f}" for each in medians), f"{statistics.median(ratios):.3g}", spread]


def timed_us(work: Callable[[Engine], None], engine: Engine) -> float:
    taken = []
    for _ in range(REPETITIONS):
        begun = time.perf_counter()
        work(engine)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1e6


if __name__ == "__main__":
    sys.exit(main())
