"""Users, keys and a gate on a real store with a real keyring, as tests of operations want them."""

import atexit
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from os import urandom
from pathlib import Path
from shutil import copyfile, rmtree
from tempfile import mkdtemp
from typing import Any

import keystead.operations.all  # noqa: F401  # declares every operation
from keystead.core.attributes import Attribute, ItemType, Value
from keystead.core.changes import Change, Put, Transaction
from keystead.core.errors import KeysteadError
from keystead.core.permission import EVERY_ACCESS, Principal, Switches
from keystead.core.records import ROOT_REALM, ManagedObject
from keystead.core.secret import Secret
from keystead.core.structures import name_value
from keystead.gate.activity import ActivityLog
from keystead.gate.call import Batch, Gate, Reply
from keystead.gate.committer import InlineCommitter
from keystead.gate.objects import Objects
from keystead.operations.requests import Activate, Create, Created, GetAttributes, KeyBlock, Register
from keystead.storage.sqlite import open_store
from keystead.storage.sqlite_creation import create_store
from keystead.storage.store import Store, StoreKeys, as_object
from keystead.trust.keyring import Keyring
from keystead.trust.root import Role
from tests.support.modules import Bench

US_PER_S = 1_000_000
START_US = 1_800_000_000 * US_PER_S
KEYS = StoreKeys(bytes(32), bytes([1]) * 32, bytes([2]) * 32)
PERMISSIVE = Switches(key_configuration=True, key_export=True)
EVERYTHING = Switches(True, True, True, True, True, True)

SYMMETRIC_KEY, TEMPLATE, SECRET_DATA, OPAQUE = 2, 6, 7, 8
AES, DES3, HMAC_SHA256 = 3, 2, 9
CBC, ECB, CTR, GCM = 1, 2, 6, 9
PKCS5 = 3
ENCRYPT, DECRYPT = 4, 8


class StandingClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.us = START_US

    def now_us(self) -> int:
        return self.us

    def pass_s(self, seconds: float) -> None:
        self.us += int(seconds * US_PER_S)


class Node:
    """A gate on a store of its own.

    Attributes:
        clock: Moves when it is told to.
        log: The activity log's file.
    """

    def __init__(
        self,
        folder: Path,
        switches: Switches = PERMISSIVE,
        store: Store | None = None,
        bench: Bench | None = None,
    ) -> None:
        self.path = folder / "store.db"
        self.log = folder / "activity.log"
        if store is None:
            copyfile(_empty_store(), self.path)
            store = open_store(self.path, KEYS, insecure_no_flush=True)
        self._bench = bench or Bench()
        self.module = self._bench.unlocked()
        self.module.set_key_cache(enabled=True)
        self.keyring = Keyring(self.module, {})
        self.keyring.add_realm(ROOT_REALM, self.keyring.new_realm_key(ROOT_REALM))
        self.clock = StandingClock()
        self.objects = Objects(store.reader())
        self._writer = store.writer()
        activity = ActivityLog(self.log)
        self.gate = Gate(self.objects, InlineCommitter(self._writer), self.keyring, activity, self.clock)
        self.gate.switches = switches

    def batch(self, principal: Principal, requests: Sequence[Any], *, go_on: bool = False) -> list[Reply]:
        """Replies to the requests of one message."""
        answers: list[list[Reply]] = []
        self.objects.refresh()
        self.gate.run(Batch(principal, requests, go_on, 7), answers.append)
        (replies,) = answers
        return replies

    def ask(self, principal: Principal, request: Any) -> Any:
        """Result of one request; raises what went wrong."""
        (reply,) = self.batch(principal, [request])
        if reply.error is not None:
            raise reply.error
        return reply.result

    def reason(self, principal: Principal, request: Any) -> str | None:
        """Why a request fails, None when it does not."""
        try:
            self.ask(principal, request)
        except KeysteadError as error:
            return error.reason
        return None

    def record(self, object_id: str) -> ManagedObject:
        """An object as it is stored."""
        self.objects.refresh()
        loaded = self.objects.get(object_id)
        assert loaded is not None
        assert isinstance(loaded.record, ManagedObject)
        return loaded.record

    def change(self, object_id: str, **fields: Any) -> None:
        """Change an object past every rule, as an administrator's operation of later times might."""
        assert self.store(Put(self.record(object_id)._replace(**fields))) is None
        self.objects.refresh()

    def store(self, *puts: Put) -> KeysteadError | None:
        """Commit records; the error that kept them out, None when they are stored."""
        step = ("test.store", Change(puts, None))
        (outcome,) = self._writer.commit([Transaction(urandom(16), "test:", "-", self.clock.us, (step,))])
        return outcome

    def purge(self, kind: str, record_id: str, revision: int) -> None:
        """Remove a record past every rule."""
        step = ("test.purge", Change((), None, ((kind, record_id, revision),)))
        assert self._writer.commit([Transaction(urandom(16), "test:", "-", self.clock.us, (step,))]) == [None]

    def unlock(self) -> None:
        """Log the crypto user in again."""
        self.module.login(Role.CRYPTO_USER, self._bench.crypto_user)

    def lines(self) -> list[str]:
        """The activity log."""
        self.gate.activity.flush()
        return self.log.read_text().splitlines()

    def check_objects(self) -> None:
        """Compare what is held in memory with what a look at the store gives."""
        self.objects.refresh()
        for object_id, held in self.objects.at_hand.items():
            stored = self.objects.reader.object(object_id)
            if stored is not None and not as_object(held).protection.fresh:  # which may be known here alone
                record = as_object(stored)
                stored = stored._replace(record=record._replace(protection=record.protection._replace(fresh=False)))
            assert held == stored

    def close(self) -> None:
        self.check_objects()
        self.gate.activity.close()
        self.objects.reader.close()
        self._writer.close()


@cache
def _empty_store() -> Path:
    folder = mkdtemp(prefix="keystead-test-")
    atexit.register(rmtree, folder, ignore_errors=True)
    path = Path(folder) / "empty.db"
    create_store(path, KEYS, {"store": "shared"})
    return path


@contextmanager
def a_node(
    folder: Path, switches: Switches = PERMISSIVE, store: Store | None = None, bench: Bench | None = None
) -> Iterator[Node]:
    """A node that is closed in the end; on a store and a software module of its own unless others are given."""
    node = Node(folder, switches, store, bench)
    try:
        yield node
    finally:
        node.close()


def a_user(name: str = "alice", *groups: str, realm: str = ROOT_REALM) -> Principal:
    """A key user as admission makes one."""
    return Principal("user", name, realm, frozenset(groups), common_name=f"{name}.example.org", address="192.0.2.7")


ALICE, BOB = a_user("alice"), a_user("bob")
GLOBAL = Principal("global", "", address="192.0.2.8")
ADMINISTRATOR = Principal("administrator", "admin", access=EVERY_ACCESS)
CLOCK = Principal("clock", "clock")


def enumeration(number: int) -> Value:
    return Value(ItemType.ENUMERATION, number)


def integer(number: int) -> Value:
    return Value(ItemType.INTEGER, number)


def boolean(value: bool) -> Value:
    return Value(ItemType.BOOLEAN, value)


def date(offset_s: float) -> Value:
    """A date so many seconds from where the standing clock begins."""
    return Value(ItemType.DATE_TIME_EXTENDED, START_US + int(offset_s * US_PER_S))


def attributes(name: str = "", /, **more: Value) -> tuple[Attribute, ...]:
    """Attributes by their names with underscores for blanks ("x_" for "x-"); `name` makes a Name."""
    named = (Attribute("Name", 0, name_value(name)),) if name else ()
    return (*named, *(Attribute(_name(key), 0, value) for key, value in more.items()))


def _name(key: str) -> str:
    return "x-" + key[2:] if key.startswith("x_") else key.replace("_", " ")


def creation(algorithm: int = AES, bits: int = 256, mask: int = ENCRYPT | DECRYPT, **more: Value) -> Create:
    """A request for a symmetric key."""
    return Create(
        SYMMETRIC_KEY,
        attributes(
            Cryptographic_Algorithm=enumeration(algorithm),
            Cryptographic_Length=integer(bits),
            Cryptographic_Usage_Mask=integer(mask),
            **more,
        ),
    )


def registration(material: bytes, algorithm: int = AES, mask: int = ENCRYPT | DECRYPT, **more: Value) -> Register:
    """A request to keep a symmetric key."""
    block = KeyBlock(1, Secret(material), algorithm)
    return Register(SYMMETRIC_KEY, block, attributes(Cryptographic_Usage_Mask=integer(mask), **more))


def a_key(node: Node, owner: Principal = ALICE, *, active: bool = True, **more: Any) -> str:
    """The id of a new key of a user."""
    created: Created = node.ask(owner, creation(**more))
    if active:
        node.ask(owner, Activate(created.id))
    return created.id


def attribute(node: Node, principal: Principal, object_id: str, name: str) -> Any:
    """The content of the first instance of an attribute, None when there is none."""
    found = node.ask(principal, GetAttributes(object_id, (name,))).attributes
    return found[0].value.content if found else None
