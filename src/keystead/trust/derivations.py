"""Deriving key bytes from key bytes: a table from KMIP's derivation methods to standard functions.

Law: what is derived depends on a secret: a hash of public data is no key. A method that cannot give as many bytes as
are asked for says so; nothing is stretched.

Source: RFC 8018 (PBKDF2), RFC 5869 (HKDF), NIST SP 800-108r1 section 4.1 (counter mode, 32-bit counter before the
fixed data); SP 800-56A (ECDH); KMIP 1.4 sections 4.6, 9.1.3.2.21; KMIP 2.1 section 6.1.12.
"""

import hashlib
import hmac
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation
from cryptography.hazmat.primitives.kdf.kbkdf import Mode as KbkdfMode

from keystead.core.errors import CryptographicFailure, Invalid, NotSupported
from keystead.core.secret import Secret
from keystead.trust.asymmetric_ciphers import library_hash
from keystead.trust.key_pairs import PrivateKey, PublicKey
from keystead.trust.macs import HASHES, HMACS, Hashing

ITERATIONS_COUNT_MAX = 10_000_000
ITERATIONS_AT_ONCE_COUNT_MAX = 2_000
"""More of PBKDF2's iterations, over all blocks of its output, are done on another thread."""
SALT_BYTES_MAX = 4096
REPEATED_DATA_BYTES_MAX = 4096  # goes into every block of what is derived, of which there are up to 4,096
COUNTER_BYTES = 4


class DerivationMethod(IntEnum):
    """Derivation Method, as far as it is offered."""

    PBKDF2 = 1
    HASH = 2
    HMAC = 3
    ENCRYPT = 4
    NIST800_108_C = 5
    ASYMMETRIC_KEY = 8
    HKDF = 10


class Derivation(NamedTuple):
    """What a derivation is made of, besides the base.

    Attributes:
        method: Derivation Method.
        length_bytes: Of what is derived.
        hashing: Hashing Algorithm; None = not given.
        data: Derivation Data.
        salt: Of PBKDF2 and HKDF.
        iterations: Of PBKDF2.
    """

    method: int
    length_bytes: int
    hashing: int | None = None
    data: bytes | None = None
    salt: bytes | None = None
    iterations: int | None = None

    def __repr__(self) -> str:
        """Show what may be shown: not the data."""
        return f"Derivation({self.method}, {self.length_bytes})"


def derive(how: Derivation, base: Secret, algorithm: int = 0) -> Secret:
    """Derive key bytes.

    Args:
        how: Everything but the base.
        base: Bytes of the key or secret to derive from.
        algorithm: Cryptographic Algorithm of the base; an HMAC key knows its hash.

    Raises:
        Invalid: a parameter is missing or does not fit the method.
        NotSupported: a method or hash that is not offered.
        CryptographicFailure: the method does not give as many bytes.
    """
    method = _METHODS.get(how.method)
    if method is None:
        raise NotSupported(
            "this derivation method is not offered; PBKDF2, HASH, HMAC, ENCRYPT, NIST800-108-C and HKDF are",
            "not_supported.cryptography",
        )
    return method(how, base, algorithm)


def is_outdated(how: Derivation, algorithm: int = 0) -> bool:
    """Tell whether the hash is an outdated one (LEG-06): nothing new is derived with it unless that is switched on."""
    if how.method == DerivationMethod.PBKDF2:
        number = Hashing.SHA_1 if how.hashing is None else how.hashing
    else:
        number = HMACS.get(algorithm) or how.hashing or 0
    found = HASHES.get(number)
    return found is not None and found.legacy


def agree(private: PrivateKey, public: PublicKey, length_bytes: int) -> Secret:
    """Return the beginning of the secret that a private and somebody else's public key agree on.

    Raises:
        Invalid: they are of two kinds. CryptographicFailure: on two curves, no secret, or one of fewer bytes.
    """
    try:
        shared = _shared(private, public)
    except ValueError as error:  # another curve, or a point of small order
        raise CryptographicFailure("these two keys do not agree on a secret") from error
    return cut(shared, length_bytes)


def _shared(private: PrivateKey, public: PublicKey) -> bytes:
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(public, ec.EllipticCurvePublicKey):
        return private.exchange(ec.ECDH(), public)
    if isinstance(private, x25519.X25519PrivateKey) and isinstance(public, x25519.X25519PublicKey):
        return private.exchange(public)
    if isinstance(private, x448.X448PrivateKey) and isinstance(public, x448.X448PublicKey):
        return private.exchange(public)
    raise Invalid("the two keys are not of one kind that agrees on secrets", "invalid.field")


def _pbkdf2(how: Derivation, base: Secret, _algorithm: int) -> Secret:
    if how.data is not None:
        raise Invalid("PBKDF2 takes a salt; leave Derivation Data out", "invalid.field")
    if how.salt is None or how.iterations is None:
        raise Invalid("PBKDF2 needs a Salt and an Iteration Count", "invalid.missing")
    if how.iterations < 1 or iterations_count(how) > ITERATIONS_COUNT_MAX or len(how.salt) > SALT_BYTES_MAX:
        raise Invalid(
            "PBKDF2 takes 1 to 10,000,000 iterations, in all for as many blocks as it is to give, and at most 4,096 "
            "bytes of salt",
            "invalid.field",
        )
    return Secret(hashlib.pbkdf2_hmac(_pbkdf2_hash(how), base.reveal(), how.salt, how.iterations, how.length_bytes))


def iterations_count(how: Derivation) -> int:
    """Return how many iterations PBKDF2 takes in all: those asked for, once for every block of its output."""
    block_bytes = hashlib.new(_pbkdf2_hash(how)).digest_size
    return -(-how.length_bytes // block_bytes) * (how.iterations or 0)


def _pbkdf2_hash(how: Derivation) -> str:
    return _hash_name(Hashing.SHA_1 if how.hashing is None else how.hashing)


def _hash(how: Derivation, base: Secret, _algorithm: int) -> Secret:
    if how.data is not None:
        raise Invalid("HASH derives from the key alone; for key and data ask for HMAC", "invalid.message")
    return cut(hashlib.new(_hash_name(_named(how, 0)), base.reveal()).digest(), how.length_bytes)


def _hmac(how: Derivation, base: Secret, algorithm: int) -> Secret:
    if how.salt is not None:  # KMIP gives this method no salt; common clients mean RFC 5869 when they send one
        return _hkdf(how, base, algorithm)
    return cut(hmac.digest(base.reveal(), _data(how), _hash_name(_named(how, algorithm))), how.length_bytes)


def _counter(how: Derivation, base: Secret, algorithm: int) -> Secret:
    function = KBKDFHMAC(
        algorithm=library_hash(_named(how, algorithm)),
        mode=KbkdfMode.CounterMode,
        length=how.length_bytes,
        rlen=COUNTER_BYTES,
        llen=None,
        location=CounterLocation.BeforeFixed,
        label=None,
        context=None,
        fixed=_repeated(_data(how)),
    )
    return Secret(_library(lambda: function.derive(base.reveal())))


def _hkdf(how: Derivation, base: Secret, algorithm: int) -> Secret:
    if how.salt is not None and len(how.salt) > SALT_BYTES_MAX:
        raise Invalid("HKDF takes at most 4,096 bytes of salt", "invalid.field")
    chosen = library_hash(_named(how, algorithm))
    if how.length_bytes > 255 * chosen.digest_size:
        raise CryptographicFailure("the method does not give as many bytes")
    info = None if how.data is None else _repeated(how.data)
    return Secret(_library(lambda: HKDF(chosen, how.length_bytes, how.salt, info).derive(base.reveal())))


_METHODS: dict[int, Callable[[Derivation, Secret, int], Secret]] = {
    DerivationMethod.PBKDF2: _pbkdf2,
    DerivationMethod.HASH: _hash,
    DerivationMethod.HMAC: _hmac,
    DerivationMethod.NIST800_108_C: _counter,
    DerivationMethod.HKDF: _hkdf,
}
"""Methods that need bytes only; ENCRYPT and ASYMMETRIC_KEY need a cipher or another key."""


def _library(work: Callable[[], bytes]) -> bytes:
    try:
        return work()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CryptographicFailure("the derivation failed with these parameters") from error


def _data(how: Derivation) -> bytes:
    if not how.data:
        raise Invalid("this derivation needs Derivation Data", "invalid.missing")
    return how.data


def _repeated(data: bytes) -> bytes:
    if len(data) > REPEATED_DATA_BYTES_MAX:
        raise Invalid("this method takes at most 4,096 bytes of Derivation Data", "invalid.field")
    return data


def _named(how: Derivation, algorithm: int) -> int:
    """Return the hash: the key's own if it is an HMAC key, else the one in the parameters."""
    own = HMACS.get(algorithm)
    number = own if own is not None else how.hashing
    if number is None:
        raise Invalid("name the Hashing Algorithm in the Cryptographic Parameters", "invalid.missing")
    return int(number)


def _hash_name(number: int) -> str:
    library_hash(number)
    return HASHES[number].name


def cut(derived: bytes, length_bytes: int) -> Secret:
    """Return the beginning of derived bytes.

    Raises:
        CryptographicFailure: there are not as many.
    """
    if length_bytes > len(derived):
        raise CryptographicFailure(f"the method gives {len(derived)} bytes; ask for no more, or for another method")
    return Secret(derived[:length_bytes])
