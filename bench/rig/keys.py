"""Keys to work on and the requests that work on them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.rig.servers import Server
from tests.support.kmip import messages

PLAINTEXT_BYTES = 64
KEYS_HOT = 64
THREADS = 8
ENCRYPT_SHARE, GET_SHARE, LOCATE_SHARE = 0.425, 0.425, 0.10  # the rest creates
MIXED_BYTES_MIN, MIXED_BYTES_MAX = 1, 1500
MIXED_REQUESTS = 4000  # of each connection, sent round and round


@dataclass(frozen=True)
class Named:
    """A key that is active."""

    identifier: str
    name: str


def make(server: Server, count: int, client: int = 0, prefix: str = "key") -> list[Named]:
    """Create and activate keys for one client of the server."""
    made = []
    with server.session(client) as session:
        for number in range(count):
            name = f"{prefix}-{number}"
            identifier = session.identifier(messages.create(name))
            session.ask(messages.activate(identifier))
            made.append(Named(identifier, name))
    return made


@dataclass(frozen=True)
class Requests:
    """One list per operation on the same few keys, as often fetched."""

    encrypt: list[bytes]
    get: list[bytes]
    create: list[bytes]


def requests(server: Server) -> Requests:
    """Make keys on the server and the requests for them."""
    keys = make(server, KEYS_HOT)
    data = bytes(PLAINTEXT_BYTES)
    return Requests(
        [messages.encrypt_gcm(key.identifier, data) for key in keys],
        [messages.get(key.identifier) for key in keys],
        [messages.create()],
    )


def mixed(server: Server, users: int, keys_per_user: int, seed: int = 1) -> list[list[bytes]]:
    """A request list per user over that user's own keys: Get, Encrypt, Locate by name, Create, of varied lengths."""
    with ThreadPoolExecutor(THREADS) as pool:
        made = pool.map(lambda user: make(server, keys_per_user, user, f"user {user} key"), range(users))
        return [list(_mix(keys, random.Random(seed + user))) for user, keys in enumerate(made)]


def _mix(keys: Sequence[Named], chance: random.Random) -> Iterator[bytes]:
    for number in range(MIXED_REQUESTS):
        key, dice = chance.choice(keys), chance.random()
        if dice < ENCRYPT_SHARE:
            data = chance.randbytes(chance.randint(MIXED_BYTES_MIN, MIXED_BYTES_MAX))
            yield messages.encrypt_gcm(key.identifier, data)
        elif dice < ENCRYPT_SHARE + GET_SHARE:
            yield messages.get(key.identifier)
        elif dice < ENCRYPT_SHARE + GET_SHARE + LOCATE_SHARE:
            yield messages.locate(messages.name_attribute(key.name))
        else:
            yield messages.create("made under load " + "x" * (number % 40))
