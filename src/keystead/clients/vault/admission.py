"""Who may connect to a vault: proofs of keys, what is frozen, and every reason for a refusal in plain words.

Laws: nothing is kept of a connection that is refused; keys, type and origin are frozen by the first that is accepted;
a challenge is good once, for one minute.

Source: requirements DS-006, DS-008 to DS-010, DS-014, DS-017, SM-17, AMB-73.
"""

import hashlib
import hmac
import os
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import Any

from keystead.clients.vault.ledger import Ledger
from keystead.core.errors import Invalid, Limited, NotFound, Refused, Unauthenticated
from keystead.custody.safeguard.client_keys import ClientIdentity
from keystead.custody.safeguard.deposits import DEPOSIT_BYTES_MAX, read_deposit
from keystead.custody.safeguard.messages import Shape, unpacked
from keystead.custody.safeguard.verifiers import CHALLENGE_BYTES, Proof, check, is_same, statement
from keystead.trust.origins import OriginKey

CHALLENGES_COUNT_MAX = 4096
CHALLENGE_S_MAX = 60.0
SESSIONS_COUNT_MAX = 4096
SESSION_S_MAX = 12 * 3600.0
FAILURES_MINUTE_MAX = 20
FAILING_COUNT_MAX = 4096
TOKEN_BYTES = 32
TYPES = "AES-128", "AES-192", "AES-256"
FACTS: Shape = {
    "type": str,
    "types": list,
    "quorum": (bytes, type(None)),
    "origin": bytes,
    "deposit": (bytes, type(None)),
}
_UNKNOWN = "this client is not known here, or its enrolment code is wrong or used; ask your provider for a new code"


@dataclass(frozen=True, slots=True)
class Connecting:
    """One attempt to connect, as it came.

    Attributes:
        who: The client that it says it is.
        challenge: The one that it answers.
        facts: What it says, encoded; signed.
        private: Proof of the private key.
        account: Proof of the account key; None without one.
        code: Enrolment code; b"" = none.
    """

    who: ClientIdentity
    challenge: bytes
    facts: bytes
    private: Proof
    account: Proof | None
    code: bytes


class Admission:
    """Judges connections.

    Args:
        ledger: What the vault knows.
        certificate: Its own TLS certificate, DER.
    """

    def __init__(self, ledger: Ledger, certificate: bytes) -> None:
        self._ledger = ledger
        self._certificate = certificate
        self._challenges: dict[bytes, float] = {}
        self._sessions: dict[bytes, tuple[ClientIdentity, float]] = {}
        self._failures: dict[tuple[str, str, str], list[float]] = {}
        self._lock = threading.Lock()

    def challenge(self) -> bytes:
        """Return a fresh challenge; of too many, the oldest is forgotten."""
        made = os.urandom(CHALLENGE_BYTES)
        with self._lock:
            while len(self._challenges) >= CHALLENGES_COUNT_MAX:
                del self._challenges[next(iter(self._challenges))]
            self._challenges[made] = time.monotonic()
        return made

    def salts(self, who: ClientIdentity, code: bytes, address: str) -> dict[str, Any]:
        """Return what a client that is being set up derives its keys with.

        Raises:
            Unauthenticated: unknown, or the code is wrong.
        """
        self._check_rate(who, address)
        row = self._row(who)
        if row is None or not _is_code(row, code):
            self._failed(who, address)
            raise Unauthenticated(_UNKNOWN)
        account = self._ledger.account(who.account)
        return {"private": bytes(row["salt"]), "account": bytes(account["salt"])}

    def connect(self, asked: Connecting, address: str, now_us: int) -> bytes:
        """Accept a connection, freeze what is new, and return a token of 32 bytes.

        Raises:
            Unauthenticated: unknown client, old challenge, or no proof. Refused: see the words. Limited: too often.
        """
        self._check_rate(asked.who, address)
        try:
            with self._ledger.changing():
                self._judge(asked, now_us)
        except (Refused, Unauthenticated):
            self._failed(asked.who, address)
            raise
        token = os.urandom(TOKEN_BYTES)
        with self._lock:
            while len(self._sessions) >= SESSIONS_COUNT_MAX:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[hashlib.sha256(token).digest()] = asked.who, time.monotonic()
        return token

    def who(self, token: bytes) -> ClientIdentity:
        """Return whose session this is.

        Raises:
            Unauthenticated: it has ended, or there is none.
        """
        with self._lock:
            found = self._sessions.get(hashlib.sha256(token).digest())
        if found is None or time.monotonic() - found[1] > SESSION_S_MAX:
            raise Unauthenticated("connect anew")
        return found[0]

    # ------------------------------------------------------------------------------------------------------ judging

    def _judge(self, asked: Connecting, now_us: int) -> None:
        with self._lock:
            made = self._challenges.pop(asked.challenge, None)
        if made is None or time.monotonic() - made > CHALLENGE_S_MAX:
            raise Unauthenticated("the vault's challenge is old or used; connect anew")
        signed = statement(asked.challenge, self._certificate, asked.who, asked.facts)
        check(asked.private, "private", signed)
        if asked.account is not None:
            check(asked.account, "account", signed)
        facts = unpacked(asked.facts, FACTS, "announcement of a client")
        row = self._row(asked.who)
        if row is None or (row["verifier"] is None and not _is_code(row, asked.code)):
            raise Unauthenticated(_UNKNOWN)
        account = self._ledger.account(asked.who.account)
        _check_private(row, asked, facts)
        _check_types(self._others(asked.who), row, account, facts)
        self._check_account(account, asked)
        self._check_safeguarding(asked.who, facts, now_us)
        self._freeze(asked, row, account, facts, now_us)

    def _check_account(self, account: sqlite3.Row, asked: Connecting) -> None:
        kept, shown = account["verifier"], asked.account
        if shown is None:
            if kept is not None or self._others(asked.who):
                raise Refused(
                    "this client has no account key, and its account has several clients or one with an account key; "
                    "add the account key with `keystead-backup configure`"
                )
        elif kept is not None and not is_same(kept, shown):
            raise Refused(
                "the account key is another one than the account's other clients have; all have the same",
                "refused.wrong_secret",
            )

    def _check_safeguarding(self, who: ClientIdentity, facts: dict[str, Any], now_us: int) -> None:
        mode, quorum = self._ledger.policy()
        deposit = facts["deposit"]
        if facts["quorum"] is None or mode == "off":
            if mode == "mandatory":
                raise Refused(
                    "this vault lets only clients connect that have enabled key safeguarding; compare the fingerprint "
                    "of its custody quorum with your provider, then run `keystead-backup configure --safeguard`"
                )
            return
        if quorum is None or quorum.fingerprint != facts["quorum"]:
            raise Refused("this client has confirmed another custody quorum than the vault's; ask your provider")
        if deposit is not None:
            if len(deposit) > DEPOSIT_BYTES_MAX:
                raise Invalid(f"deposited keys have at most {DEPOSIT_BYTES_MAX} bytes")
            read_deposit(deposit, OriginKey(facts["origin"]), who, quorum)
            values = who.account, who.client, quorum.fingerprint, deposit
            self._ledger.write("INSERT INTO deposits (account, client, quorum, data) VALUES (?, ?, ?, ?)", *values)
            self._ledger.note(now_us, f"client {who.account}/{who.client} deposited its keys")
        elif self._ledger.deposit(who) is None:
            raise Refused("this client says that its keys are safeguarded, and has deposited none; deposit them")

    def _freeze(
        self, asked: Connecting, row: sqlite3.Row, account: sqlite3.Row, facts: dict[str, Any], now_us: int
    ) -> None:
        who = asked.who
        if row["verifier"] is None:
            self._ledger.write(
                "UPDATE clients SET code = NULL, type = ?, verifier = ?, origin = ? WHERE account = ? AND name = ?",
                *(facts["type"], asked.private.hash, facts["origin"], who.account, who.client),
            )
            self._ledger.note(now_us, f"keys of client {who.account}/{who.client} are fixed")
        self._ledger.write(
            "UPDATE clients SET types = ? WHERE account = ? AND name = ?",
            *(",".join(facts["types"]), who.account, who.client),
        )
        if asked.account is not None and account["verifier"] is None:
            self._ledger.write(
                "UPDATE accounts SET type = ?, verifier = ? WHERE name = ?",
                *(facts["type"], asked.account.hash, who.account),
            )
            self._ledger.note(now_us, f"account key of {who.account} is fixed")

    def _others(self, who: ClientIdentity) -> list[sqlite3.Row]:
        query = "SELECT * FROM clients WHERE account = ? AND name <> ?"
        return self._ledger.all(query, who.account, who.client)

    def _row(self, who: ClientIdentity) -> sqlite3.Row | None:
        try:
            return self._ledger.client(who)
        except NotFound:
            return None

    # -------------------------------------------------------------------------------------------------------- rates

    def _check_rate(self, who: ClientIdentity, address: str) -> None:
        with self._lock:
            recent = self._failures.get((who.account, who.client, address), [])
            if sum(time.monotonic() - at < 60 for at in recent) >= FAILURES_MINUTE_MAX:
                raise Limited("too many refused attempts; wait a minute", 60)

    def _failed(self, who: ClientIdentity, address: str) -> None:
        with self._lock:
            while len(self._failures) >= FAILING_COUNT_MAX:
                del self._failures[next(iter(self._failures))]
            recent = self._failures.setdefault((who.account, who.client, address), [])
            recent.append(time.monotonic())
            del recent[:-FAILURES_MINUTE_MAX]


def _is_code(row: sqlite3.Row, code: bytes) -> bool:
    return row["code"] is not None and hmac.compare_digest(row["code"], hashlib.sha256(code).digest())


def _check_private(row: sqlite3.Row, asked: Connecting, facts: dict[str, Any]) -> None:
    if row["verifier"] is None:
        return
    changed = not is_same(row["verifier"], asked.private)
    if changed or row["type"] != facts["type"] or row["origin"] != facts["origin"]:
        raise Refused(
            "the private key or encryption type of this client changed after its first connection; keys are final. "
            "Set the client up with the first key, or ask your provider for a new client",
            "refused.wrong_secret",
        )


def _check_types(others: list[sqlite3.Row], row: sqlite3.Row, account: sqlite3.Row, facts: dict[str, Any]) -> None:
    kind, types = facts["type"], facts["types"]
    if kind not in TYPES or any(one not in TYPES for one in types) or len(types) > len(TYPES):
        raise Refused(f"encryption type {kind} is not accepted for new backups; choose AES-256")
    able = row["types"].split(",") if row["verifier"] is None else types
    if kind not in types or kind not in able:
        raise Refused(f"this client cannot use {kind}; choose {able[0]}")
    for other in others:
        if kind not in other["types"].split(","):
            raise Refused(
                f"client {other['name']} of this account cannot use {kind}; choose {other['types'].split(',')[0]} for "
                "all clients of the account, or separate accounts"
            )
    if account["type"] is not None and account["type"] != kind:
        raise Refused(
            f"the files common to this account are encrypted with {account['type']}, not {kind}; "
            f"set this client up with {account['type']}, or use a separate account"
        )
