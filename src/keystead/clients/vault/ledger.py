"""What a vault knows: accounts, clients, hashes of verifiers, deposits, receipts, and a log that only grows.

One SQLite file, `vault.db`, with synchronous FULL: what returned is durable. Rows of deposits, receipts and the log
are never changed or deleted, which triggers of the database refuse; there is no command that clears anything.

Source: requirements DS-008, DS-010, DS-014 to DS-017, SM-17; AMB-73.
"""

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keystead.core.errors import Exists, NotFound, WrongState
from keystead.custody.safeguard.client_keys import ClientIdentity
from keystead.custody.safeguard.quorums import CustodyQuorum
from keystead.custody.safeguard.registrations import receipt_number
from keystead.trust.sealing import frame

_SCHEMA = """
CREATE TABLE IF NOT EXISTS policy (one INTEGER PRIMARY KEY CHECK (one = 1), mode TEXT NOT NULL, quorum BLOB);
INSERT OR IGNORE INTO policy VALUES (1, 'off', NULL);
CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, salt BLOB NOT NULL, type TEXT, verifier BLOB);
CREATE TABLE IF NOT EXISTS clients (
  account TEXT NOT NULL REFERENCES accounts(name), name TEXT NOT NULL, salt BLOB NOT NULL, code BLOB,
  types TEXT NOT NULL, type TEXT, verifier BLOB, origin BLOB, PRIMARY KEY (account, name));
CREATE TABLE IF NOT EXISTS deposits (
  number INTEGER PRIMARY KEY, account TEXT NOT NULL, client TEXT NOT NULL, quorum BLOB NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS receipts (
  account TEXT NOT NULL, client TEXT NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (account, client, number));
CREATE TABLE IF NOT EXISTS log (
  number INTEGER PRIMARY KEY, made INTEGER NOT NULL, text TEXT NOT NULL, link BLOB NOT NULL);
"""
_KEPT = "deposits", "receipts", "log"


class Ledger:
    """The vault's own records; safe to be used by several threads and processes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._lock = threading.RLock()
        self._db = sqlite3.connect(folder / "vault.db", timeout=10, isolation_level=None, check_same_thread=False)
        (folder / "vault.db").chmod(0o600)
        self._db.row_factory = sqlite3.Row
        for line in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._db.execute(f"PRAGMA {line}")
        self._db.executescript(_SCHEMA)
        for table in _KEPT:
            for verb in ("UPDATE", "DELETE"):
                self._db.execute(
                    f"CREATE TRIGGER IF NOT EXISTS {table}_{verb} BEFORE {verb} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'kept for ever'); END"
                )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Run a transaction: all of it, or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def one(self, query: str, *values: object) -> sqlite3.Row | None:
        """Return the first row of a query."""
        with self._lock:
            row: sqlite3.Row | None = self._db.execute(query, values).fetchone()
        return row

    def all(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Return the rows of a query."""
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def write(self, query: str, *values: object) -> None:
        """Change rows, within `changing`."""
        self._db.execute(query, values)

    def note(self, now_us: int, text: str) -> None:
        """Append to the log, within `changing`; each line is chained to the one before."""
        last = self.one("SELECT link FROM log ORDER BY number DESC LIMIT 1")
        link = hashlib.sha256(
            frame(b"" if last is None else last["link"], str(now_us).encode(), text.encode())
        ).digest()
        self.write("INSERT INTO log (made, text, link) VALUES (?, ?, ?)", now_us, text, link)

    # -------------------------------------------------------------------------------------------- accounts, clients

    def add_account(self, name: str, now_us: int) -> None:
        """Add an account.

        Raises:
            Exists: the name is taken.
        """
        with self.changing():
            if self.one("SELECT 1 FROM accounts WHERE name = ?", name) is not None:
                raise Exists(f"there is an account {name}")
            self.write("INSERT INTO accounts (name, salt) VALUES (?, ?)", name, os.urandom(32))
            self.note(now_us, f"account {name} added")

    def add_client(self, who: ClientIdentity, types: str, code: bytes, now_us: int) -> None:
        """Add a client, with the hash of its enrolment code.

        Raises:
            Exists: the name is taken. NotFound: no such account.
        """
        with self.changing():
            self.account(who.account)
            if self.one("SELECT 1 FROM clients WHERE account = ? AND name = ?", who.account, who.client) is not None:
                raise Exists(f"there is a client {who.client} in {who.account}")
            row = who.account, who.client, os.urandom(32), hashlib.sha256(code).digest(), types
            self.write("INSERT INTO clients (account, name, salt, code, types) VALUES (?, ?, ?, ?, ?)", *row)
            self.note(now_us, f"client {who.account}/{who.client} added")

    def account(self, name: str) -> sqlite3.Row:
        """Return an account. Raises NotFound."""
        row = self.one("SELECT * FROM accounts WHERE name = ?", name)
        if row is None:
            raise NotFound(f"there is no account {name}")
        return row

    def client(self, who: ClientIdentity) -> sqlite3.Row:
        """Return a client. Raises NotFound."""
        row = self.one("SELECT * FROM clients WHERE account = ? AND name = ?", who.account, who.client)
        if row is None:
            raise NotFound(f"there is no client {who.client} in {who.account}")
        return row

    # ------------------------------------------------------------------------------------------------- safeguarding

    def policy(self) -> tuple[str, CustodyQuorum | None]:
        """Return the mode (off, optional, mandatory) and the quorum."""
        row = self.one("SELECT mode, quorum FROM policy")
        quorum = None if row is None or row["quorum"] is None else CustodyQuorum.read(row["quorum"])
        return ("off" if row is None else str(row["mode"])), quorum

    def set_policy(self, mode: str, quorum: CustodyQuorum | None, now_us: int) -> None:
        """Set the mode, and the quorum once: clients have pinned it, so it stays.

        Raises:
            WrongState: there is another quorum, or none and one is needed.
        """
        with self.changing():
            _, kept = self.policy()
            if kept is not None and quorum is not None and kept.fingerprint != quorum.fingerprint:
                raise WrongState("the custody quorum is set and clients have pinned it; it cannot be replaced")
            chosen = quorum or kept
            if chosen is None and mode != "off":
                raise WrongState("name the custodians first: safeguarding needs a quorum")
            self.write("UPDATE policy SET mode = ?, quorum = ?", mode, None if chosen is None else chosen.encoded())
            self.note(now_us, f"safeguarding is {mode}")

    def deposit(self, who: ClientIdentity) -> bytes | None:
        """Return a client's newest deposit."""
        query = "SELECT data FROM deposits WHERE account = ? AND client = ? ORDER BY number DESC LIMIT 1"
        row = self.one(query, who.account, who.client)
        return None if row is None else bytes(row["data"])

    def receipts(self, who: ClientIdentity) -> list[bytes]:
        """Return a client's receipts, oldest first."""
        query = "SELECT data FROM receipts WHERE account = ? AND client = ? ORDER BY number"
        return [bytes(row["data"]) for row in self.all(query, who.account, who.client)]

    def keep_receipt(self, who: ClientIdentity, receipt: bytes, text: str, now_us: int) -> None:
        """Keep a receipt, durably, before the registration file is written.

        Raises:
            WrongState: its number is not the next one: another file was made meanwhile.
        """
        with self.changing():
            number = receipt_number(receipt)
            if number != len(self.receipts(who)) + 1:
                raise WrongState("another registration file was made since this request; make a new request")
            self.write("INSERT INTO receipts VALUES (?, ?, ?, ?)", who.account, who.client, number, receipt)
            self.note(now_us, text)

    def log(self) -> list[dict[str, Any]]:
        """Return the whole log."""
        return [dict(row) for row in self.all("SELECT number, made, text FROM log ORDER BY number")]
