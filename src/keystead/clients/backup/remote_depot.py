"""A vault over HTTPS: proves the client's keys at each connection, then is a Depot.

Laws: only the CA that was pinned at set-up is believed; the proof is bound to the certificate that this connection
shows; receipts are checked against the pinned quorum, and one that was seen may not be missing later.

Source: requirements DS-006, DS-010, DS-016; docs/adr/0088-verifiers.md.
"""

import http.client
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from keystead.core import errors
from keystead.core.errors import Invalid, KeysteadError, NotFound, Tampered, TooLarge, Unauthenticated, Unavailable
from keystead.custody.safeguard.client_keys import EncryptionType
from keystead.custody.safeguard.deposits import Bundle, make_deposit
from keystead.custody.safeguard.depot import BATCH_BYTES_MAX, ID_BYTES, Area, SnapshotRef
from keystead.custody.safeguard.folder_depot import check_batch
from keystead.custody.safeguard.messages import packed, unpacked
from keystead.custody.safeguard.quorums import CustodyQuorum
from keystead.custody.safeguard.registrations import Receipt, read_receipt
from keystead.custody.safeguard.verifiers import CHALLENGE_BYTES, origin_of, prove_account, prove_private, statement

ANSWER_BYTES_MAX = BATCH_BYTES_MAX + 1_048_576
RECEIPTS_COUNT_MAX = 1000
TIMEOUT_S = 120
TYPES = [kind.value for kind in EncryptionType if kind.protects]
_ERROR = {"error": str, "message": str, "reason": str}


@dataclass(frozen=True, slots=True)
class Offer:
    """What a vault says before anything is proven.

    Attributes:
        challenge: 32 bytes.
        mode: Of safeguarding: off, optional or mandatory.
        quorum: Its custody quorum; None = no safeguarding.
    """

    challenge: bytes
    mode: str
    quorum: CustodyQuorum | None


class Line:
    """One TLS connection to a vault; made anew when it broke."""

    def __init__(self, url: str, ca: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise Invalid("the vault's address is https://HOST:PORT")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            context.load_verify_locations(cadata=ca)
        except ssl.SSLError:
            raise Invalid("the vault's CA certificate is none; copy ca.pem from your provider again") from None
        self._connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context, timeout=TIMEOUT_S)
        self.moved_bytes = 0

    def certificate(self) -> bytes:
        """Return the vault's certificate, DER, as this connection shows it."""
        try:
            if self._connection.sock is None:
                self._connection.connect()
            sock = self._connection.sock
            return (sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None) or b""
        except (OSError, http.client.HTTPException) as error:
            raise _no_vault(error) from None

    def ask(self, name: str, fields: Mapping[str, Any], shape: Mapping[str, Any], token: bytes = b"") -> dict[str, Any]:
        """Ask the vault; tries once more on a new connection when the old one was closed meanwhile.

        Raises:
            Unavailable: no vault, or not the one whose CA is pinned. What the vault answers.
        """
        body = packed(fields)
        headers = {"Content-Type": "application/cbor"} | ({"Authorization": f"Bearer {token.hex()}"} if token else {})
        try:
            status, data = self._post(name, body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise _no_vault(error) from None
        self.moved_bytes += len(body) + len(data)
        if len(data) > ANSWER_BYTES_MAX:
            self._connection.close()
            raise TooLarge("the vault's answer is too long", "too_large.response")
        if status == http.HTTPStatus.OK:
            return unpacked(data, shape, "answer of a vault")
        raise _error(data)

    def _post(self, name: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        for is_last in (self._connection.sock is None, True):
            try:
                self._connection.request("POST", f"/v1/{name}", body, dict(headers))
                response = self._connection.getresponse()
                return response.status, response.read(ANSWER_BYTES_MAX + 1)
            except (OSError, http.client.HTTPException):
                self._connection.close()
                if is_last:
                    raise
        raise http.client.NotConnected

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class RemoteDepot:
    """See Depot. Asks a vault, and connects anew when the session has ended.

    Args:
        bundle: The client, its keys and vault.
        code: Enrolment code for the first connection; b"" later.
        needs_deposit: Whether keys have to be deposited at this connection.
        saw: Is told all receipts after each connection.
        now_us: The time, UTC microseconds.
    """

    def __init__(
        self,
        bundle: Bundle,
        code: bytes,
        saw: Callable[[list[Receipt]], None],
        now_us: Callable[[], int],
        *,
        needs_deposit: bool = False,
    ) -> None:
        self._bundle, self._code, self._saw, self._now_us = bundle, code, saw, now_us
        self._needs_deposit = needs_deposit
        self._token = b""
        self.line = Line(bundle.url, bundle.ca)

    def connect(self) -> None:
        """Prove the keys.

        Raises:
            Refused, Unauthenticated: the vault's words. Tampered: it shows another quorum, or receipts are missing.
        """
        offered = offer(self.line)
        bundle = self._bundle
        quorum = CustodyQuorum.read(bundle.quorum) if bundle.quorum else None
        if quorum is not None and (offered.quorum is None or offered.quorum.fingerprint != quorum.fingerprint):
            raise Tampered("the vault shows another custody quorum than the one that was confirmed; ask your provider")
        deposit = make_deposit(bundle, quorum, self._now_us()) if quorum is not None and self._needs_deposit else None
        facts = packed(
            {
                "type": bundle.keys.kind.value,
                "types": TYPES,
                "quorum": None if quorum is None else quorum.fingerprint,
                "origin": origin_of(bundle.keys.private, bundle.who).key.encoded,
                "deposit": deposit,
            }
        )
        signed = statement(offered.challenge, self.line.certificate(), bundle.who, facts)
        private = prove_private(bundle.keys.private, bundle.who, signed)
        key = bundle.keys.account
        account = None if key is None else prove_account(key, bundle.who.account, signed)
        fields = {
            "account": bundle.who.account,
            "client": bundle.who.client,
            "challenge": offered.challenge,
            "facts": facts,
            "private": [private.public, private.signature],
            "account_proof": None if account is None else [account.public, account.signature],
            "code": self._code,
        }
        found = self.line.ask("connect", fields, {"token": bytes, "receipts": list})
        self._token = found["token"]
        self._saw(_receipts(found["receipts"], bundle, quorum))

    def missing(self, area: Area, ids: Sequence[bytes]) -> set[bytes]:
        """See Depot."""
        found = self._ask("missing", {"area": area.value, "ids": list(ids)}, {"ids": list})["ids"]
        return set(found) & set(ids)

    def put(self, area: Area, objects: Sequence[tuple[bytes, bytes]]) -> None:
        """See Depot."""
        check_batch(objects)
        self._ask("put", {"area": area.value, "objects": [list(one) for one in objects]}, {})

    def get(self, area: Area, object_id: bytes) -> bytes:
        """See Depot."""
        return bytes(self._ask("get", {"area": area.value, "id": object_id}, {"data": bytes})["data"])

    def head(self) -> SnapshotRef | None:
        """See Depot."""
        found = self._ask("head", {}, {"head": (list, type(None))})["head"]
        return None if found is None else _ref(found)

    def snapshots(self) -> list[SnapshotRef]:
        """See Depot."""
        return [_ref(one) for one in self._ask("snapshots", {}, {"snapshots": list})["snapshots"]]

    def snapshot(self, ref: SnapshotRef) -> bytes:
        """See Depot."""
        if ref.sequence < 1:
            raise NotFound("the vault does not hold this snapshot")
        return bytes(self._ask("snapshot", {"sequence": ref.sequence, "id": ref.id}, {"data": bytes})["data"])

    def commit(self, snapshot: bytes, parent: SnapshotRef | None) -> SnapshotRef:
        """See Depot."""
        told = None if parent is None else [parent.sequence, parent.id]
        return _ref(self._ask("commit", {"snapshot": snapshot, "parent": told}, {"head": list})["head"])

    def _ask(self, name: str, fields: Mapping[str, Any], shape: Mapping[str, Any]) -> dict[str, Any]:
        with suppress(Unauthenticated):
            if self._token:
                return self.line.ask(name, fields, shape, self._token)
        self.connect()
        return self.line.ask(name, fields, shape, self._token)


def offer(line: Line) -> Offer:
    """Ask for a challenge, and what the vault safeguards."""
    found = line.ask("challenge", {}, {"challenge": bytes, "mode": str, "quorum": (bytes, type(None))})
    if len(found["challenge"]) != CHALLENGE_BYTES:
        raise Invalid("the vault's challenge has another length", "invalid.message")
    quorum = None if found["quorum"] is None else CustodyQuorum.read(found["quorum"])
    return Offer(found["challenge"], found["mode"], quorum)


def _receipts(found: list[Any], bundle: Bundle, quorum: CustodyQuorum | None) -> list[Receipt]:
    """Check that receipts are numbered without a gap, signed, and that those seen before stand at their places."""
    if len(found) > RECEIPTS_COUNT_MAX or not all(isinstance(one, bytes) for one in found):
        raise Tampered("the receipts that the vault shows break their form")
    if found and quorum is None:
        raise Tampered("the vault shows receipts, and this client has deposited no keys; ask your provider")
    receipts = [read_receipt(one, bundle.who, quorum) for one in found if quorum is not None]
    seen = bundle.receipts
    is_numbered = [one.number for one in receipts] == list(range(1, len(receipts) + 1))
    if not is_numbered or tuple(one.digest for one in receipts[: len(seen)]) != seen:
        raise Tampered("the vault withholds a receipt: a registration file was made and it hides it; ask your provider")
    return receipts


def _ref(found: object) -> SnapshotRef:
    match found:
        case [int(sequence), bytes(name)] if len(name) == ID_BYTES:
            return SnapshotRef(sequence, name)
    raise Invalid("the vault's name of a snapshot breaks its form", "invalid.message")


def _error(data: bytes) -> KeysteadError:
    try:
        found = unpacked(data, _ERROR, "refusal")
        kind = getattr(errors, found["error"], None)
        message = "".join(one for one in found["message"] if one.isprintable())[:1000]
        if isinstance(kind, type) and issubclass(kind, KeysteadError) and found["reason"] in kind.reasons:
            return errors.Limited(message, 60) if kind is errors.Limited else kind(message, found["reason"])
    except Invalid:
        pass
    return Unavailable("the vault cannot answer now; try again later", "unavailable.stopping")


def _no_vault(error: Exception) -> Unavailable:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unavailable("this is not the vault of the pinned CA, or its certificate expired", "unavailable.stopping")
    return Unavailable("the vault cannot be reached; check its address and the network", "unavailable.stopping")
