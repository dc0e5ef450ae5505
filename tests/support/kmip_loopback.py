"""A KMIP server without sockets: session, gate, operations, SQLite store and software module in this process."""

import importlib
import itertools
from pathlib import Path
from types import TracebackType
from typing import Self

from keystead.core.permission import Principal, Switches
from keystead.core.records import ROOT_REALM
from keystead.gate.activity import ActivityLog
from keystead.gate.call import Gate
from keystead.gate.committer import InlineCommitter
from keystead.gate.identifiers import Clock
from keystead.gate.objects import Objects
from keystead.protocols.kmip.session import Endpoint, Session
from keystead.protocols.kmip.wire import ttlv
from keystead.protocols.kmip.wire.nodes import Node
from keystead.storage.sqlite import open_store
from keystead.storage.sqlite_creation import create_store
from keystead.storage.store import StoreKeys
from keystead.trust.keyring import Keyring
from tests.support.modules import Bench

ALL_ON = Switches(key_configuration=True, key_export=True, legacy_algorithms=True, legacy_modes=True, interop=True)
ALICE = Principal("user", "alice", common_name="alice")
BOB = Principal("user", "bob", common_name="bob")


class Loopback:
    """One server and as many connections as wanted.

    Args:
        folder: Takes the store and the activity log; kept between two loopbacks it is not.
        switches: What the server allows.
    """

    _stores = itertools.count()

    def __init__(self, folder: Path, switches: Switches = ALL_ON) -> None:
        importlib.import_module("keystead.operations.all")
        keys = StoreKeys(bytes(32), bytes([1]) * 32, bytes([2]) * 32)
        path = folder / f"loopback-{next(self._stores)}.db"
        create_store(path, keys, {"dev": "1"})
        store = open_store(path, keys, insecure_no_flush=True)
        self.log_file = path.with_suffix(".log")
        self.module = Bench().unlocked()
        self.module.set_key_cache(enabled=True)
        keyring = Keyring(self.module, {})
        keyring.add_realm(ROOT_REALM, keyring.new_realm_key(ROOT_REALM))
        self.objects = Objects(store.reader())
        self._writer = store.writer()
        activity = ActivityLog(self.log_file)
        self.gate = Gate(self.objects, InlineCommitter(self._writer), keyring, activity, Clock())
        self.gate.services["module"] = self.module
        self.gate.switches = switches
        self.endpoint = Endpoint(self.gate)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gate.activity.close()
        self.objects.reader.close()
        self._writer.close()

    def connect(self, principal: Principal = ALICE) -> "Connection":
        """A connection of its own."""
        return Connection(self, principal)


class Connection:
    """One client's connection; a turn of the serving loop for each message."""

    def __init__(self, loopback: Loopback, principal: Principal) -> None:
        self._loopback = loopback
        self.session = Session(loopback.endpoint, lambda: principal)

    def send(self, message: bytes) -> bytes:
        """The answer to one message."""
        (whole,) = self.session.messages(message)
        answers: list[bytes] = []
        self._loopback.objects.refresh()
        self.session.handle(whole, answers.append)
        self._loopback.gate.activity.flush()
        (answer,) = answers
        return answer

    def ask(self, message: Node) -> Node:
        """The answer to one message, both as trees."""
        return ttlv.decode(self.send(ttlv.encode(message)))
