"""The vault's server: HTTPS (TLS 1.3), each request one POST with a CBOR body, each answer CBOR.

Law: nothing of a body is read before its length is bounded, nor a large one before the session is known.

Source: docs/vault.md; docs/adr/0088-verifiers.md.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from keystead.clients.vault.admission import Admission, Connecting
from keystead.clients.vault.ledger import Ledger
from keystead.core.errors import Invalid, KeysteadError, TooLarge
from keystead.custody.safeguard.client_keys import ClientIdentity
from keystead.custody.safeguard.depot import BATCH_BYTES_MAX, Area, SnapshotRef
from keystead.custody.safeguard.folder_depot import FolderDepot
from keystead.custody.safeguard.messages import Shape, packed, unpacked
from keystead.custody.safeguard.verifiers import Proof

OPEN_BODY_BYTES_MAX = 524_288
BODY_BYTES_MAX = BATCH_BYTES_MAX + 1_048_576
CONNECTIONS_COUNT_MAX = 128
WORKING_COUNT_MAX = 8
HEAD_BYTES_MAX = 16_384
CODE_BYTES_MAX = 256
_CONNECT: Shape = {
    "account": str,
    "client": str,
    "challenge": bytes,
    "facts": bytes,
    "private": list,
    "account_proof": (list, type(None)),
    "code": bytes,
}
_REF: Shape = {"sequence": int, "id": bytes}


class Vault:
    """Answers requests; each method gets the fields of one request."""

    def __init__(self, ledger: Ledger, certificate: bytes) -> None:
        self.ledger = ledger
        self.admission = Admission(ledger, certificate)

    def open_request(self, name: str, body: bytes, address: str) -> dict[str, Any]:
        """Answer a request of somebody who has no session yet."""
        if name == "challenge":
            unpacked(body, {}, "request for a challenge")
            mode, quorum = self.ledger.policy()
            shown = None if quorum is None or mode == "off" else quorum.encoded()
            return {"challenge": self.admission.challenge(), "mode": mode, "quorum": shown}
        if name == "salts":
            found = unpacked(body, {"account": str, "client": str, "code": bytes}, "request for salts")
            who = ClientIdentity(found["account"], found["client"])
            return self.admission.salts(who, _code(found["code"]), address)
        found = unpacked(body, _CONNECT, "request to connect")
        who = ClientIdentity(found["account"], found["client"])
        account = None if found["account_proof"] is None else _proof(found["account_proof"])
        asked = Connecting(
            who, found["challenge"], found["facts"], _proof(found["private"]), account, _code(found["code"])
        )
        token = self.admission.connect(asked, address, time.time_ns() // 1000)
        return {"token": token, "receipts": self.ledger.receipts(who)}

    def request(self, name: str, body: bytes, who: ClientIdentity) -> dict[str, Any]:
        """Answer a client's request of its depot."""
        return _ANSWERS[name](self.depot(who), body)

    def depot(self, who: ClientIdentity) -> FolderDepot:
        """Return where a client's data lie."""
        place = self.ledger.folder / "data" / who.account
        return FolderDepot(place / "clients" / who.client, place / "shared")


def _missing(depot: FolderDepot, body: bytes) -> dict[str, Any]:
    found = unpacked(body, {"area": str, "ids": list}, "request")
    return {"ids": sorted(depot.missing(_area(found["area"]), [_bytes(one) for one in found["ids"]]))}


def _put(depot: FolderDepot, body: bytes) -> dict[str, Any]:
    found = unpacked(body, {"area": str, "objects": list}, "request")
    depot.put(_area(found["area"]), [_pair(one) for one in found["objects"]])
    return {}


def _get(depot: FolderDepot, body: bytes) -> dict[str, Any]:
    found = unpacked(body, {"area": str, "id": bytes}, "request")
    return {"data": depot.get(_area(found["area"]), found["id"])}


def _head(depot: FolderDepot, body: bytes) -> dict[str, Any]:
    unpacked(body, {}, "request")
    return {"head": _told(depot.head())}


def _snapshots(depot: FolderDepot, body: bytes) -> dict[str, Any]:
    unpacked(body, {}, "request")
    return {"snapshots": [_told(ref) for ref in depot.snapshots()]}


def _snapshot(depot: FolderDepot, body: bytes) -> dict[str, Any]:
    found = unpacked(body, _REF, "request")
    return {"data": depot.snapshot(SnapshotRef(found["sequence"], found["id"]))}


def _commit(depot: FolderDepot, body: bytes) -> dict[str, Any]:
    found = unpacked(body, {"snapshot": bytes, "parent": (list, type(None))}, "request")
    parent = None
    if found["parent"] is not None:
        match found["parent"]:
            case [int(number), bytes(name)]:
                parent = SnapshotRef(number, name)
            case _:
                raise Invalid("the name of a snapshot breaks its form")
    return {"head": _told(depot.commit(found["snapshot"], parent))}


_ANSWERS: dict[str, Callable[[FolderDepot, bytes], dict[str, Any]]] = {
    "missing": _missing,
    "put": _put,
    "get": _get,
    "head": _head,
    "snapshots": _snapshots,
    "snapshot": _snapshot,
    "commit": _commit,
}
_OPEN = "challenge", "salts", "connect"


def application(vault: Vault) -> FastAPI:
    """Return the web application."""
    app = FastAPI(openapi_url=None)
    working = asyncio.Semaphore(WORKING_COUNT_MAX)

    async def answer(name: str, request: Request) -> Response:
        """Answer one request."""
        try:
            address = request.client.host if request.client else ""
            if name in _OPEN:
                body = await _body(request, OPEN_BODY_BYTES_MAX)
                return _said(200, await run_in_threadpool(vault.open_request, name, body, address))
            if name not in _ANSWERS:
                raise Invalid("the vault has no such request")
            who = vault.admission.who(_token(request))
            async with working:
                body = await _body(request, BODY_BYTES_MAX)
                return _said(200, await run_in_threadpool(vault.request, name, body, who))
        except KeysteadError as error:
            fields = {"error": type(error).__name__, "message": error.message, "reason": error.reason}
            return _said(400, fields)

    app.add_api_route("/v1/{name}", answer, methods=["POST"], response_model=None)
    return app


def _said(status: int, fields: dict[str, Any]) -> Response:
    return Response(packed(fields), status, media_type="application/cbor")


async def _body(request: Request, bytes_max: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > bytes_max:
            raise TooLarge(f"a request has at most {bytes_max} bytes", "too_large.request")
    return bytes(body)


def _token(request: Request) -> bytes:
    try:
        return bytes.fromhex(request.headers.get("authorization", "").removeprefix("Bearer "))
    except ValueError:
        return b""


def _area(name: str) -> Area:
    try:
        return Area(name)
    except ValueError:
        raise Invalid("there is no such area") from None


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise Invalid("bytes were expected", "invalid.message")
    return value


def _pair(value: object) -> tuple[bytes, bytes]:
    if not isinstance(value, list) or len(value) != 2:
        raise Invalid("a pair was expected", "invalid.message")
    return _bytes(value[0]), _bytes(value[1])


def _proof(value: object) -> Proof:
    return Proof(*_pair(value))


def _code(code: bytes) -> bytes:
    if len(code) > CODE_BYTES_MAX:
        raise Invalid(f"an enrolment code has at most {CODE_BYTES_MAX} bytes")
    return code


def _told(ref: SnapshotRef | None) -> list[int | bytes] | None:
    return None if ref is None else [ref.sequence, ref.id]


class Server(uvicorn.Server):
    """A server that says where it listens once it does."""

    told: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets=sockets)
        self.told()


def make_server(ledger: Ledger, certificate: Path, key: Path) -> Server:
    """Return a server that is not started.

    Args:
        ledger: What the vault knows; its folder keeps the data.
        certificate: PEM file of the server's certificate.
        key: PEM file of its private key.
    """
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    config = uvicorn.Config(
        application(Vault(ledger, der)),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_COUNT_MAX,
        timeout_keep_alive=120,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
    )
    config.load()
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    return Server(config)
