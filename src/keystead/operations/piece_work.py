"""What the pieces of a stream are fed to: made from its first piece, with the key as it is then.

Source: as of `pieces`.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from keystead.core.attribute_table import PAIR, ObjectType
from keystead.core.errors import Invalid, NotSupported, Refused
from keystead.gate.call import Call
from keystead.operations.ciphers import NONE, own_parameters
from keystead.operations.requests import CipherParameters
from keystead.operations.signatures import ready_key, wanted_of
from keystead.operations.wrapped_keys import opened
from keystead.trust.cipher_modes import Prepared
from keystead.trust.ciphers import Suite, new_iv, prepare, suite
from keystead.trust.macs import HMACS, hashing, is_code, method
from keystead.trust.pieces import Begun, Cmac, Decryption, Digest, Encryption, Gathered, Hmac, Pieces, can_be_fed
from keystead.trust.signatures import is_signature, scheme, sign

if TYPE_CHECKING:
    from keystead.operations.pieces import Piece

PROOF_MISSING = "the last piece brings what is to be judged"


class Rest(NamedTuple):
    """What the last piece gives besides."""

    data: bytes = b""
    tag: bytes | None = None
    is_valid: bool | None = None


class Work(Protocol):
    """Takes the pieces of one stream.

    Attributes:
        words: For the log.
        iv: That the server made.
    """

    words: str
    iv: bytes | None

    def feed(self, piece: "Piece") -> bytes:
        """Take a piece and return what can be given out."""

    def finish(self, piece: "Piece") -> Rest:
        """Return the rest after the last piece."""


@dataclass(slots=True)
class _Encrypting:
    words: str
    iv: bytes | None
    pieces: Encryption

    def feed(self, piece: "Piece") -> bytes:
        return self.pieces.feed(piece.data)

    def finish(self, _piece: "Piece") -> Rest:
        return Rest(self.pieces.finish(), self.pieces.tag)


@dataclass(slots=True)
class _Decrypting:
    words: str
    iv: bytes | None
    pieces: Decryption

    def feed(self, piece: "Piece") -> bytes:
        return self.pieces.feed(piece.data)

    def finish(self, _piece: "Piece") -> Rest:
        return Rest(self.pieces.finish())


@dataclass(slots=True)
class _AtTheEnd:
    """A cipher that is used once everything is there."""

    words: str
    iv: bytes | None
    first: "Piece"
    used_iv: bytes | None
    prepared: Prepared
    tag_bytes: int | None
    decrypts: bool
    gathered: Gathered

    def feed(self, piece: "Piece") -> bytes:
        return self.gathered.feed(piece.data)

    def finish(self, piece: "Piece") -> Rest:
        data, associated = self.gathered.finish(), self.first.associated
        if not self.decrypts:
            return Rest(*self.prepared.encrypt(data, self.used_iv, associated, self.tag_bytes))
        proof = piece.proof if piece.proof is not None else self.first.proof
        return Rest(self.prepared.decrypt(data, self.used_iv, associated, proof))


@dataclass(slots=True)
class _Coding:
    """A code or digest; judges it when the last, or the first, piece brings one."""

    words: str
    iv: bytes | None
    first: "Piece"
    pieces: Pieces
    judges: bool

    def feed(self, piece: "Piece") -> bytes:
        return self.pieces.feed(piece.data)

    def finish(self, piece: "Piece") -> Rest:
        code = self.pieces.finish()
        if not self.judges:
            return Rest(code)
        return Rest(is_valid=is_code(code, _proof(self.first, piece)))


@dataclass(slots=True)
class _Signing:
    words: str
    iv: bytes | None
    first: "Piece"
    pieces: Pieces
    key: Any
    how: Any
    is_digest: bool
    judges: bool

    def feed(self, piece: "Piece") -> bytes:
        return self.pieces.feed(piece.data)

    def finish(self, piece: "Piece") -> Rest:
        data = self.pieces.finish()
        if not self.judges:
            return Rest(sign(self.key, self.how, data, is_digest=self.is_digest))
        proof = _proof(self.first, piece)
        return Rest(is_valid=is_signature(self.key, self.how, data, proof, is_digest=self.is_digest))


def _proof(first: "Piece", last: "Piece") -> bytes:
    proof = last.proof if last.proof is not None else first.proof
    if proof is None:
        raise Invalid(PROOF_MISSING, "invalid.missing")
    return proof


def begin_encryption(call: Call, piece: "Piece") -> Work:
    """Begin to encrypt; a random IV is made and counted as for data that comes whole."""
    asked, found = _suite(call, piece)
    record, key = call.target, opened(call, call.targets[0])
    algorithm, mode, padding = record.shape.algorithm, asked.mode or 0, asked.padding or 0
    if found.legacy_algorithm and not call.switches.legacy_algorithms:
        raise Refused("this algorithm is outdated; it only decrypts here", "refused.switched_off")
    iv, made_iv = piece.iv, None
    if iv is None and asked.random_iv:
        if found.budget_count is not None:  # counting them needs a write with the answer, which a stream's has not
            raise NotSupported(
                "give the IV yourself: with this mode the server makes none for data in pieces",
                "not_supported.cryptography",
            )
        iv = made_iv = new_iv(algorithm, mode, asked.iv_length_bits)
    words = "1 Encrypt in pieces"
    if can_be_fed(algorithm, mode, decrypt=False):
        begun = Begun(algorithm, mode, padding, key, iv)
        return _Encrypting(words, made_iv, begun.encryption(piece.associated, asked.tag_length_bytes))
    ready = prepare(algorithm, mode, padding, key)
    return _AtTheEnd(words, made_iv, _without_data(piece), iv, ready, asked.tag_length_bytes, False, Gathered())


def begin_decryption(call: Call, piece: "Piece") -> Work:
    """Begin to decrypt."""
    asked, _ = _suite(call, piece)
    record, key = call.target, opened(call, call.targets[0])
    algorithm, mode, padding = record.shape.algorithm, asked.mode or 0, asked.padding or 0
    words = "1 Decrypt in pieces"
    if can_be_fed(algorithm, mode, decrypt=True):
        return _Decrypting(words, None, Begun(algorithm, mode, padding, key, piece.iv).decryption())
    ready = prepare(algorithm, mode, padding, key)
    return _AtTheEnd(words, None, _without_data(piece), piece.iv, ready, None, True, Gathered())


def begin_mac(call: Call, piece: "Piece", *, judges: bool) -> Work:
    """Begin a code, to make or to judge."""
    record = call.target
    if record.object_type != ObjectType.SYMMETRIC_KEY:
        raise Invalid("only symmetric keys make and verify authentication codes", "invalid.object_type")
    asked = piece.parameters or own_parameters(record) or NONE
    found = method(record.shape.algorithm, asked.mode or 0, asked.hashing, asked.algorithm)
    if found.legacy and not judges and not call.switches.legacy_algorithms:
        raise Refused("this algorithm is outdated; it only verifies here", "refused.switched_off")
    number = HMACS.get(record.shape.algorithm if asked.algorithm is None else asked.algorithm)
    key = opened(call, call.targets[0])
    pieces: Pieces = Cmac(key) if number is None else Hmac(key, number)
    words = f"1 {'MACVerify' if judges else 'MAC'} in pieces {found.name}"
    return _Coding(words, None, _without_data(piece), pieces, judges)


def begin_hash(call: Call, piece: "Piece") -> Work:
    """Begin a digest."""
    number = None if piece.parameters is None else piece.parameters.hashing
    if number is None:
        raise Invalid("name the hash: Cryptographic Parameters with a Hashing Algorithm", "invalid.missing")
    function = hashing(number)
    if function.legacy and not call.switches.legacy_algorithms:
        raise Refused("this hash is outdated; an administrator can set legacy.algorithms", "refused.switched_off")
    return _Coding(f"1 Hash in pieces {function.name}", None, _without_data(piece), Digest(number), judges=False)


def begin_signature(call: Call, piece: "Piece", *, judges: bool) -> Work:
    """Begin a signature, to make or to judge: the data is hashed as it comes, for EdDSA it is gathered."""
    record = call.target
    if record.object_type not in PAIR or (not judges and record.object_type != ObjectType.PRIVATE_KEY):
        raise Invalid("private keys sign, public and private keys verify", "invalid.object_type")
    ready = ready_key(call)
    how = scheme(ready.key, wanted_of(call, piece.parameters))
    if (how.legacy or ready.legacy) and not judges and not call.switches.legacy_algorithms:
        raise Refused("this algorithm is outdated; it only verifies here", "refused.switched_off")
    if piece.is_digest:
        raise Invalid("a digest comes in one piece", "invalid.field")
    pieces: Pieces = Digest(how.hashing) if how.hashing else Gathered()
    key = ready.public if judges else ready.key
    words = f"1 {'SignatureVerify' if judges else 'Sign'} in pieces {how.name}"
    return _Signing(words, None, _without_data(piece), pieces, key, how, bool(how.hashing), judges)


def _suite(call: Call, piece: "Piece") -> tuple[CipherParameters, Suite]:
    record = call.target
    if record.object_type != ObjectType.SYMMETRIC_KEY:
        raise Invalid("only symmetric keys encrypt and decrypt data in pieces", "invalid.object_type")
    asked = piece.parameters or own_parameters(record) or NONE
    if asked.algorithm not in (None, record.shape.algorithm):
        raise Invalid("the key is of another algorithm", "invalid.cryptographic_parameters")
    found = suite(record.shape.algorithm, asked.mode or 0)
    if found.legacy_mode and not call.switches.legacy_modes:
        raise Refused("this mode is outdated; an administrator can set legacy.modes", "refused.switched_off")
    return asked, found


def _without_data(piece: "Piece") -> "Piece":
    return replace(piece, data=b"")
