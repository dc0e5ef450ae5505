"""Many keys of many owners, made through the KMIP server and its gate like anybody's; there is no other way in."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.rig import loads
from bench.rig.loads import Load
from bench.rig.servers import Server
from tests.support.kmip import messages

OWNERS = 50
FEW = 2  # keys of the one further owner whose Locate must not notice the others' million
BATCH_KEYS = 50
CHUNK_KEYS = 100_000
FILL_S_MAX = 600
DEPARTMENTS, APPLICATIONS, SITES = 10, 100, 10
MARK = "@@@@@@@@"  # stands for the number in the template of a request


def name_of(owner: int, number: int) -> str:
    return f"key {owner:02} {number:08}"


def department(number: int) -> bytes:
    return messages.custom_attribute("x-department", f"d{number % DEPARTMENTS:02}")


def application(number: int) -> bytes:
    return messages.custom_attribute("x-application", f"a{number // DEPARTMENTS % APPLICATIONS:03}")


def site(number: int) -> bytes:
    """Goes with the department, so that one department and another one's site are never found together."""
    return messages.custom_attribute("x-site", f"s{number % SITES:02}")


def fill(server: Server, count: int) -> float:
    """Make `count` keys of the first OWNERS clients, evenly, and FEW of the next; returns keys made per second."""
    begun = time.monotonic()
    each = count // OWNERS
    for start in range(0, each, CHUNK_KEYS // OWNERS):
        numbers = range(start, min(start + CHUNK_KEYS // OWNERS, each))
        _send(replace(server, clients=server.clients[:OWNERS]), [_creations(owner, numbers) for owner in range(OWNERS)])
        print(f"  {numbers.stop * OWNERS:,} keys, {time.monotonic() - begun:.0f} s", flush=True)
    _send(replace(server, clients=server.clients[OWNERS : OWNERS + 1]), [_creations(OWNERS, range(FEW))])
    return count / (time.monotonic() - begun)


def _send(server: Server, parts: Sequence[Iterator[bytes]]) -> None:
    lists = [list(part) for part in parts]
    loads.run(server, Load(lists, connections=len(lists), seconds=FILL_S_MAX, mode="fill", busy=False))


def _creations(owner: int, numbers: range) -> Iterator[bytes]:
    """Requests of up to BATCH_KEYS keys each; every key differs from the template in its number alone."""
    templates = [_template(owner, residue) for residue in range(DEPARTMENTS * APPLICATIONS)]
    for start in range(numbers.start, numbers.stop, BATCH_KEYS):
        members = range(start, min(start + BATCH_KEYS, numbers.stop))
        yield messages.batch([_numbered(templates, number, place) for place, number in enumerate(members)])


def _template(owner: int, residue: int) -> bytes:
    further = (department(residue), application(residue), site(residue))
    name = name_of(owner, 0).replace("00000000", MARK)
    return messages.batch_item(messages.CREATE, *messages.create_payload(name, *further), number=0xFFFFFFFF)


def _numbered(templates: Sequence[bytes], number: int, place: int) -> bytes:
    template = templates[number % len(templates)].replace(MARK.encode(), f"{number:08}".encode())
    return template.replace(b"\xff\xff\xff\xff", place.to_bytes(4, "big"))
