"""Encrypt, Decrypt, Sign, Signature Verify, MAC, MAC Verify and Hash of data that comes in several requests.

The first request says that it is the first and what is to be done, and is answered with a Correlation Value; later ones
bring that, and the last one says so.

Laws: a piece that is run anew, as its batch has lost a race, is not fed twice; a piece whose answer is taken back ends
its stream, as nobody can unfeed it. Each piece is measured by the rights, the state and the dates of the key at its own
moment, like a request that brings everything; what the first piece decided (parameters, key bytes) stays. Usage limits
of objects are spent by the first piece, those of bytes by each.

Source: KMIP 1.4 sections 4.29 to 4.34, 4.37; KMIP 2.1 sections 6.1.11, 6.1.17, 6.1.19, 6.1.32, 6.1.33, 6.1.55, 6.1.56.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any

from keystead.core.algorithms import UsageMask
from keystead.core.changes import Change, Put
from keystead.core.errors import Refused, WrongState
from keystead.core.permission import Right
from keystead.core.structures import TAG_USAGE_LIMITS_UNIT, UNIT_BYTE
from keystead.gate.call import Call
from keystead.gate.operation import PLACEHOLDER, Target, operation
from keystead.gate.streams import streams_of
from keystead.operations.ciphers import LIMITS, spent
from keystead.operations.piece_work import (
    Work,
    begin_decryption,
    begin_encryption,
    begin_hash,
    begin_mac,
    begin_signature,
)
from keystead.operations.requests import CipherParameters
from keystead.operations.states_of_use import processes, protects


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One piece of data. `eq=False`: two pieces are never the same, though they may look it.

    Attributes:
        data: May be empty.
        correlation: Of the stream; None in its first piece.
        is_last: Nothing follows.
        parameters, iv, associated, is_digest: Count in the first piece.
        proof: Tag, code or signature to be judged; counts in the last piece, or in the first.
        fed: What it gave when it was fed.
    """

    data: bytes = field(repr=False)
    target: str = PLACEHOLDER
    correlation: bytes | None = None
    is_last: bool = False
    parameters: CipherParameters | None = None
    iv: bytes | None = field(default=None, repr=False)
    associated: bytes | None = field(default=None, repr=False)
    proof: bytes | None = field(default=None, repr=False)
    is_digest: bool = False
    fed: list["PieceDone"] = field(default_factory=list, repr=False)


class EncryptPiece(Piece):
    """Encrypt."""


class DecryptPiece(Piece):
    """Decrypt."""


class SignPiece(Piece):
    """Sign."""


class SignatureVerifyPiece(Piece):
    """Signature Verify."""


class MacPiece(Piece):
    """MAC."""


class MacVerifyPiece(Piece):
    """MAC Verify."""


class HashPiece(Piece):
    """Hash."""


@dataclass(frozen=True, slots=True)
class PieceDone:
    """What a piece gave.

    Attributes:
        id: Of the key, "" for a hash.
        data: Encrypted or decrypted data, the signature, the code or the digest.
        correlation: For the next piece; None after the last.
        iv: When the server made it.
        tag: Of authenticated modes, after the last piece.
        is_valid: After the last piece of what judges.
        detail: For the log.
    """

    id: str
    data: bytes = field(default=b"", repr=False)
    correlation: bytes | None = None
    iv: bytes | None = None
    tag: bytes | None = None
    is_valid: bool | None = None
    detail: str = ""


def _protects(use: UsageMask) -> Callable[[Call], None]:
    def check(call: Call) -> None:
        record = call.target
        if not record.shape.usage_mask & use:
            raise Refused("the key's usage mask does not allow this", "refused.usage_mask")
        if not protects(call, record):
            raise WrongState("the key is not active, or its Protect Stop Date has passed")

    return check


def _processes(use: UsageMask) -> Callable[[Call], None]:
    def check(call: Call) -> None:
        record = call.target
        if not record.shape.usage_mask & use:
            raise Refused("the key's usage mask does not allow this", "refused.usage_mask")
        if not processes(call, record):
            raise WrongState("the key is not active, or its Process Start Date is to come")

    return check


def _handler(
    check: Callable[[Call], None] | None, begin: Callable[[Call, Any], Work], *, spends: bool
) -> Callable[[Call, Any], PieceDone | Change]:
    """Make the handler of one operation.

    Args:
        check: Whether the key may be used so now; None = there is no key.
        begin: Makes what is fed, from the first piece.
        spends: It protects data, so it spends usage limits.
    """

    def handle(call: Call, request: Piece) -> PieceDone | Change:
        if check is not None:
            check(call)
        puts = _spent(call, request) if spends else ()  # first, as a piece that is refused must not be fed
        result = _fed(call, request, begin, keyed=check is not None)
        return Change(puts, result, detail="usage counted") if puts else result

    return handle


def _fed(call: Call, request: Piece, begin: Callable[[Call, Any], Work], *, keyed: bool) -> PieceDone:
    """Feed a piece to its stream, beginning that if need be; a piece that was fed already gives what it gave then."""
    streams, kind = streams_of(call), type(request).__name__
    if request.fed:
        again = request.correlation or request.fed[0].correlation
        if again is not None:
            call.on_undo(lambda: streams.end(call, again))
        return request.fed[0]
    target = call.target.id if keyed else ""
    correlation = request.correlation
    if correlation is None:
        work = begin(call, request)
        correlation = streams.begin(call, kind, target, work, keyed=keyed)
    else:
        work = streams.state_of(call, correlation, kind, target)
    named, rest = correlation, None
    try:
        data = work.feed(request)
        if request.is_last:
            rest = work.finish(request)
            data += rest.data
        done = PieceDone(
            target,
            data,
            None if request.is_last else correlation,
            work.iv if request.correlation is None else None,
            None if rest is None else rest.tag,
            None if rest is None else rest.is_valid,
            work.words,
        )
        request.fed.append(done)
    finally:
        if request.is_last or not request.fed:  # of one that failed nobody can tell how far it was fed
            streams.end(call, named)
    call.on_undo(lambda: streams.end(call, named))
    return done


def _spent(call: Call, request: Piece) -> tuple[Put, ...]:
    limits = call.target.attributes.first(LIMITS)
    if limits is None or (request.correlation is not None and limits.field(TAG_USAGE_LIMITS_UNIT) != UNIT_BYTE):
        return ()
    return (spent(call, call.target, limits, len(request.data)),)


def _declare(
    request: type[Piece], name: str, title: str, right: Right, handler: Callable[[Call, Any], PieceDone | Change]
) -> None:
    operation(
        request,
        name,
        title,
        user=right,
        targets=(Target(right),) if right else (),
        material=True,
        detail=attrgetter("detail"),
    )(handler)


_declare(
    EncryptPiece,
    "key.encrypt_piece",
    "Encrypt",
    Right.ENCRYPT,
    _handler(_protects(UsageMask.ENCRYPT), begin_encryption, spends=True),
)
_declare(
    DecryptPiece,
    "key.decrypt_piece",
    "Decrypt",
    Right.DECRYPT,
    _handler(_processes(UsageMask.DECRYPT), begin_decryption, spends=False),
)
_declare(
    SignPiece,
    "key.sign_piece",
    "Sign",
    Right.SIGN,
    _handler(_protects(UsageMask.SIGN), partial(begin_signature, judges=False), spends=True),
)
_declare(
    SignatureVerifyPiece,
    "key.verify_piece",
    "SignatureVerify",
    Right.VERIFY,
    _handler(_processes(UsageMask.VERIFY), partial(begin_signature, judges=True), spends=False),
)
_declare(
    MacPiece,
    "key.mac_piece",
    "MAC",
    Right.MAC,
    _handler(_protects(UsageMask.MAC_GENERATE), partial(begin_mac, judges=False), spends=True),
)
_declare(
    MacVerifyPiece,
    "key.mac_verify_piece",
    "MACVerify",
    Right.MAC_VERIFY,
    _handler(_processes(UsageMask.MAC_VERIFY), partial(begin_mac, judges=True), spends=False),
)
_declare(HashPiece, "server.hash_piece", "Hash", Right.NONE, _handler(None, begin_hash, spends=False))
