"""A second reader of keystead's envelopes.

It was written from docs/design/envelope.md alone, and imports nothing of keystead. It has its own reader of CBOR and
its own combination of shares, so that an error in the first reader or in the description cannot hide in both.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256, sha512
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"keystead-env-1\r\n"
SUITE = b"\x00\x01"
SIGNATURE = 3373
TAIL = len(SUITE) + 32 + SIGNATURE
SHORTEST = len(MAGIC) + 4 + 16 + TAIL
CHUNK = 65_536 + 16
SEALED = 1 + 12 + 32 + 16
HPKE_SEALED = 1120 + 32 + 16
HEADER = {"suite": int, "kind": str, "id": 16, "made": int, "about": dict, "prefix": 7, "recipients": list}
STANZAS: dict[str, dict[str, Any]] = {
    "passphrase": {"salt": 16, "cost": [1_048_576, 16, 16], "wrapped": SEALED},
    "hpke": {"key": 32, "wrapped": HPKE_SEALED},
    "shares": {"set": 16, "counts": [16, 16], "wrapped": SEALED},
    "module": {"wrapped": bytes},
}


class Refusal(Exception):
    """An envelope was not opened; the cause is tampered, not-supported, invalid or refused."""

    def __init__(self, cause: str, why: str) -> None:
        """Keep the cause beside the sentence that explains it."""
        super().__init__(f"{cause}: {why}")
        self.cause = cause


@dataclass
class Opened:
    """What an envelope says and holds."""

    kind: str
    id: bytes
    made: int
    about: dict[Any, Any]
    content: bytes
    recipients: list[Any]


@dataclass
class _Keys:
    """The keys at hand: recipients and custodians by the ids of their public keys."""

    passphrase: bytes | None
    recipients: dict[bytes, hpke.MLKEM768X25519PrivateKey]
    shares: dict[int, bytes]
    custodians: dict[bytes, hpke.MLKEM768X25519PrivateKey]


def frame(*parts: bytes) -> bytes:
    """Join parts, each after its length in four bytes."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def _need(holds: bool, why: str) -> None:
    """Refuse a header that breaks its form."""
    if not holds:
        raise Refusal("invalid", why)


def _take(data: bytes, at: int, count: int) -> bytes:
    """Give bytes of a CBOR text, as many as were said."""
    _need(count <= len(data) - at, "a value is cut off")
    return data[at : at + count]


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """Read the value of deterministic CBOR at a place; give it and the place behind it."""
    _need(depth <= 64, "nested too deeply")
    first = _take(data, at, 1)[0]
    at, major, number = at + 1, first >> 5, first & 31
    if major == 7 and number in (20, 21, 22):
        return (False, True, None)[number - 20], at
    _need(major < 6, "a tag, a floating-point number or another simple value")
    _need(number < 28, "an indefinite or reserved length")
    if number > 23:
        size, least = 1 << (number - 24), (24, 1 << 8, 1 << 16, 1 << 32)[number - 24]
        number = int.from_bytes(_take(data, at, size), "big")
        _need(number >= least, "a number is not in its shortest form")
        at += size
    if major < 2:
        return (-1 - number if major else number), at
    if major < 4:
        raw = _take(data, at, number)
        try:
            return (raw if major == 2 else raw.decode("utf-8")), at + number
        except UnicodeDecodeError:
            raise Refusal("invalid", "a text is not UTF-8") from None
    items: list[Any] = []
    fields: dict[Any, Any] = {}
    before = (0, b"")
    for _ in range(number):
        start = at
        value, at = _item(data, at, depth + 1)
        items.append(value)
        if major == 5:
            _need(type(value) in (int, str, bytes), "a map's key is neither a number nor a string")
            _need((at - start, data[start:at]) > before, "a map's keys are repeated or out of order")
            before = (at - start, data[start:at])
            fields[value], at = _item(data, at, depth + 1)
    return (items if major == 4 else fields), at


def _fits(value: Any, form: Any) -> bool:
    """Tell whether a value has a form: a length of bytes, a type, limits of numbers, or a map of forms."""
    if isinstance(form, int | type):
        return type(value) is form or (isinstance(value, bytes) and len(value) == form)
    if type(value) is not type(form) or len(value) != len(form):
        return False
    if isinstance(form, list):
        return all(type(one) is int and 1 <= one <= most for one, most in zip(value, form, strict=True))
    return value.keys() == form.keys() and all(_fits(value[name], form[name]) for name in form)


def _check_stanza(stanza: Any) -> None:
    """Check the form of one stanza."""
    _need(isinstance(stanza, list) and len(stanza) == 2, "a stanza is not a pair")
    kind, fields = stanza
    _need(isinstance(kind, str) and kind in STANZAS, "a stanza's kind is not known")
    _need(isinstance(fields, dict), "a stanza's fields are not a map")
    custodians = fields.get("custodians", []) if kind == "shares" else []
    more = {"custodians": list} if custodians else {}
    _need(_fits(fields, STANZAS[kind] | more), "a stanza's fields")
    _need(kind not in ("passphrase", "shares") or fields["wrapped"][0] == 1, "a sealed value's first byte")
    _need(kind != "passphrase" or fields["cost"][0] >= 8 * fields["cost"][2], "too little memory for the lanes")
    _need(kind != "shares" or fields["counts"][0] <= fields["counts"][1], "M is more than N")
    if custodians:
        _need(len(custodians) == fields["counts"][1], "custodians are not N")
        for one in custodians:
            _need(isinstance(one, list) and len(one) == 2, "a custodian is not a pair")
            _need(_fits(one[0], 32) and _fits(one[1], HPKE_SEALED), "a custodian's id or share")
        names = [one[0] for one in custodians]
        _need(names == sorted(set(names)), "custodians are repeated or out of order")


def _read_header(raw: bytes) -> dict[str, Any]:
    """Read a header and check its form."""
    header, end = _item(raw, 0, 0)
    _need(end == len(raw) and _fits(header, HEADER), "the header's form")
    _need(header["suite"] == 1 and header["made"] >= 0, "suite or made")
    _need(1 <= len(header["recipients"]) <= 16, "the count of recipients")
    for stanza in header["recipients"]:
        _check_stanza(stanza)
    return dict(header)


def _check_signature(data: bytes, origins: Sequence[bytes]) -> None:
    """Check, in the order that is described, everything that comes before the header is read."""
    if len(data) < SHORTEST:
        raise Refusal("tampered", "too short")
    if not data.startswith(MAGIC):
        raise Refusal("not-supported", "magic of another format")
    signed, signature = data[:-SIGNATURE], data[-SIGNATURE:]
    trusted = {sha256(frame(b"keystead/origin/1", key)).digest(): key for key in origins if len(key) == 1984}
    key = trusted.get(signed[-32:])
    if key is None:
        raise Refusal("tampered", "signed by nobody trusted")
    if signed[-34:-32] != SUITE:
        raise Refusal("not-supported", "another suite")
    message = frame(b"keystead/signature/1", b"envelope", sha512(signed).digest())
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key[:32]).verify(signature[:64], message)
        mldsa.MLDSA65PublicKey.from_public_bytes(key[32:]).verify(signature[64:], message)
    except (InvalidSignature, ValueError):
        raise Refusal("tampered", "the signature does not hold") from None


def _unseal(key: bytes, sealed: bytes, context: bytes) -> bytes | None:
    """Open what was sealed under a symmetric key, or give nothing."""
    try:
        return AESGCM(key).decrypt(sealed[1:13], sealed[13:], b"\x01" + context)
    except InvalidTag:
        return None


def _recipients(privates: Sequence[bytes]) -> dict[bytes, hpke.MLKEM768X25519PrivateKey]:
    """Give the key objects of recipients' private keys by their ids; what has another length is no such key."""
    result = {}
    for private in (one for one in privates if len(one) == 96):
        lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(private[:64])
        curve = x25519.X25519PrivateKey.from_private_bytes(private[64:])
        public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        name = sha256(frame(b"keystead/recipient/1", public)).digest()
        result[name] = hpke.MLKEM768X25519PrivateKey(lattice, curve)
    return result


def _unhpke(key: hpke.MLKEM768X25519PrivateKey, sealed: bytes, info: bytes) -> bytes | None:
    """Open what was encrypted by HPKE, or give nothing."""
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    try:
        return suite.decrypt(sealed, key, info=info)
    except (InvalidTag, ValueError):
        return None


def _times(a: int, b: int) -> int:
    """Multiply in GF(2^8) with the polynomial 0x11B."""
    product = 0
    for bit in range(7, -1, -1):
        product = (product << 1) ^ (0x11B if product & 0x80 else 0) ^ (a if b >> bit & 1 else 0)
    return product


def _from_shares(fields: dict[str, Any], held: dict[int, bytes], context: bytes) -> bytes | None:
    """Open a stanza with M of the shares at hand, combined by Lagrange's formula at 0, or give nothing."""
    least, most = fields["counts"]
    fit = [(index, value) for index, value in held.items() if 1 <= index <= most and len(value) == 32][:least]
    inverses = {a: b for a in range(1, 32) for b in range(256) if _times(a, b) == 1}
    secret = bytearray(32)
    for x, value in fit:
        weight = 1
        for other, _ in fit:
            if other != x:
                weight = _times(weight, _times(other, inverses[other ^ x]))
        for place, byte in enumerate(value):
            secret[place] ^= _times(weight, byte)
    return _unseal(bytes(secret), fields["wrapped"], context) if len(fit) == least else None


def _stanza(kind: str, fields: dict[str, Any], context: bytes, keys: _Keys) -> bytes | None:
    """Give the file key of one stanza, or nothing if the keys at hand do not open it."""
    if kind == "passphrase" and keys.passphrase is not None:
        memory, passes, lanes = fields["cost"]
        kdf = Argon2id(salt=fields["salt"], length=32, iterations=passes, lanes=lanes, memory_cost=memory)
        return _unseal(kdf.derive(keys.passphrase), fields["wrapped"], context)
    if kind == "hpke" and fields["key"] in keys.recipients:
        return _unhpke(keys.recipients[fields["key"]], fields["wrapped"], context)
    if kind == "shares" and "custodians" not in fields:
        return _from_shares(fields, keys.shares, context)
    if kind == "shares":
        held = {}
        for index, (name, sealed) in enumerate(fields["custodians"], 1):
            if name in keys.custodians:
                info = frame(b"keystead/share/1", fields["set"], bytes([index]), context)
                held[index] = _unhpke(keys.custodians[name], sealed, info) or b""
        return _from_shares(fields, held, context)
    return None


def _content(file_key: bytes, raw: bytes, prefix: bytes, sealed: bytes) -> bytes:
    """Decrypt the chunks of the content."""
    key = AESGCM(HKDF(hashes.SHA256(), 32, sha256(raw).digest(), b"keystead/envelope/content/1").derive(file_key))
    chunks = [sealed[at : at + CHUNK] for at in range(0, len(sealed), CHUNK)]
    if len(chunks[-1]) < (16 if len(chunks) == 1 else 17):
        raise Refusal("tampered", "the last chunk is too short")
    parts = []
    for index, chunk in enumerate(chunks):
        nonce = prefix + struct.pack(">IB", index, index == len(chunks) - 1)
        try:
            parts.append(key.decrypt(nonce, chunk, None))
        except InvalidTag:
            raise Refusal("tampered", f"chunk {index}") from None
    return b"".join(parts)


def read(  # noqa: PLR0913  # one for each kind of key
    data: bytes,
    *,
    origins: Sequence[bytes],
    kind: str,
    passphrase: bytes | None = None,
    recipient: bytes | None = None,
    shares: Sequence[tuple[int, bytes]] = (),
    custodians: Sequence[bytes] = (),
) -> Opened:
    """Check an envelope and open it with any of the keys that are given."""
    _check_signature(data, origins)
    length = int.from_bytes(data[16:20], "big")
    _need(length <= 131_072 and length <= len(data) - SHORTEST, "the header's length")
    raw, sealed = data[20 : 20 + length], data[20 + length : -TAIL]
    header = _read_header(raw)
    _need(header["kind"] == kind, "another kind")
    context = frame(b"keystead/envelope/1", SUITE, kind.encode(), header["id"])
    own = _recipients([recipient] if recipient is not None else [])
    keys = _Keys(passphrase, own, dict(shares), _recipients(custodians))
    for name, fields in header["recipients"]:
        file_key = _stanza(name, fields, context, keys)
        if file_key is not None:
            content = _content(file_key, raw, header["prefix"], sealed)
            return Opened(kind, header["id"], header["made"], header["about"], content, header["recipients"])
    raise Refusal("refused", "none of the keys at hand opens it")
