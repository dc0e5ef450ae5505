"""Message authentication codes and hashes: which there are, and making them.

Laws: a code is compared in constant time; what is outdated says so, and whoever asks decides.

Source: FIPS 198-1 (HMAC), FIPS 180-4 and 202 (hashes), NIST SP 800-38B (CMAC); KMIP 1.4 sections 4.33, 4.34, 4.37,
9.1.3.2.13, 9.1.3.2.16.
"""

import hashlib
import hmac
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC

from keystead.core.algorithms import Algorithm, Mode
from keystead.core.errors import Invalid, NotSupported
from keystead.core.secret import Secret


class Hashing(IntEnum):
    """Hashing Algorithm, as far as it is offered; the numbers are KMIP's."""

    MD5 = 3
    SHA_1 = 4
    SHA_224 = 5
    SHA_256 = 6
    SHA_384 = 7
    SHA_512 = 8
    SHA_512_224 = 12
    SHA_512_256 = 13
    SHA3_224 = 14
    SHA3_256 = 15
    SHA3_384 = 16
    SHA3_512 = 17


class Hash(NamedTuple):
    """A hash function.

    Attributes:
        name: For people and for hashlib, in lower case with underscores.
        legacy: Outdated: only with legacy algorithms switched on.
    """

    name: str
    legacy: bool = False


HASHES: dict[int, Hash] = {
    Hashing.MD5: Hash("md5", legacy=True),
    Hashing.SHA_1: Hash("sha1", legacy=True),
    Hashing.SHA_224: Hash("sha224"),
    Hashing.SHA_256: Hash("sha256"),
    Hashing.SHA_384: Hash("sha384"),
    Hashing.SHA_512: Hash("sha512"),
    Hashing.SHA_512_224: Hash("sha512_224"),
    Hashing.SHA_512_256: Hash("sha512_256"),
    Hashing.SHA3_224: Hash("sha3_224"),
    Hashing.SHA3_256: Hash("sha3_256"),
    Hashing.SHA3_384: Hash("sha3_384"),
    Hashing.SHA3_512: Hash("sha3_512"),
}

HMACS: dict[int, int] = {
    Algorithm.HMAC_SHA1: Hashing.SHA_1,
    Algorithm.HMAC_SHA224: Hashing.SHA_224,
    Algorithm.HMAC_SHA256: Hashing.SHA_256,
    Algorithm.HMAC_SHA384: Hashing.SHA_384,
    Algorithm.HMAC_SHA512: Hashing.SHA_512,
    Algorithm.HMAC_SHA3_224: Hashing.SHA3_224,
    Algorithm.HMAC_SHA3_256: Hashing.SHA3_256,
    Algorithm.HMAC_SHA3_384: Hashing.SHA3_384,
    Algorithm.HMAC_SHA3_512: Hashing.SHA3_512,
}
"""Algorithm of a key -> the hash of its HMAC."""


class Method(NamedTuple):
    """How a key makes codes.

    Attributes:
        name: For the activity log.
        make: From key and data to the code.
        legacy: Outdated: makes codes only with legacy algorithms switched on, and verifies always.
    """

    name: str
    make: Callable[[Secret, bytes], bytes]
    legacy: bool = False


def hashing(number: int) -> Hash:
    """Look a hash function up.

    Raises:
        NotSupported: it is not offered.
    """
    found = HASHES.get(number)
    if found is None:
        raise NotSupported("this hashing algorithm is not offered; SHA-256 is", "not_supported.cryptography")
    return found


def digest(function: Hash, data: bytes) -> bytes:
    """Return the hash of data."""
    return hashlib.new(function.name, data, usedforsecurity=not function.legacy).digest()


def method(algorithm: int, mode: int, hash_number: int | None, asked: int | None = None) -> Method:
    """Return how a key of an algorithm makes codes.

    Args:
        algorithm: Cryptographic Algorithm of the key.
        mode: Block Cipher Mode; 0 = not given.
        hash_number: Hashing Algorithm; None = not given. It may only repeat what the algorithm says.
        asked: Cryptographic Algorithm of the parameters; None = not given. A cipher's key makes HMACs when it is asked
            to by this, and its own codes when it is asked to by the mode CMAC.

    Raises:
        NotSupported: such keys make no codes. Invalid: parameters do not fit the key.
    """
    if asked not in (None, algorithm) and (algorithm in HMACS or asked not in HMACS):
        raise Invalid("the key is of another algorithm; leave the algorithm out, or give the key's own", _PARAMETERS)
    number = HMACS.get(algorithm if asked is None else asked)
    if number is not None:
        if mode or hash_number not in (None, number):
            raise Invalid("the algorithm says how the codes are made; leave mode and hash out", _PARAMETERS)
        function = HASHES[number]
        name = f"HMAC-{function.name.upper().replace('_', '-')}"
        return Method(name, lambda key, data: hmac.digest(key.reveal(), data, function.name), function.legacy)
    if algorithm == Algorithm.AES:
        if mode != Mode.CMAC or hash_number is not None:
            raise Invalid("an AES key makes codes by CMAC or as HMAC; say which in the parameters", _PARAMETERS)
        return Method("AES/CMAC", _cmac)
    raise NotSupported("keys of this algorithm make no authentication codes", "not_supported.cryptography")


def is_code(made: bytes, given: bytes) -> bool:
    """Compare codes in constant time."""
    return hmac.compare_digest(made, given)


_PARAMETERS = "invalid.cryptographic_parameters"


def _cmac(key: Secret, data: bytes) -> bytes:
    context = CMAC(algorithms.AES(key.reveal()))
    context.update(data)
    return context.finalize()
