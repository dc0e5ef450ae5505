"""Algorithms, their key lengths and uses; modes and paddings; usage masks. Numbers are KMIP's enumeration values.

Laws: an outdated algorithm (LEG-06) makes no new key and protects nothing unless `legacy_algorithms` is on; what it
once protected stays readable. An outdated mode (LEG-07) needs `legacy_modes` in both directions: the asker chooses a
mode, a stored key cannot choose its algorithm.

Source: KMIP 2.1 section 11 (enumerations); SP 800-57 part 1; requirements KS-KEY-007, 022; LEG-06, LEG-07.
"""

from collections.abc import Iterable
from enum import IntEnum, IntFlag
from typing import NamedTuple

from keystead.core.errors import Invalid, Refused
from keystead.core.permission import Right, Switches

KEY_BITS_MAX = 16_384  # of a symmetric or MAC key
SECRET_BYTES_MAX = 65_536  # of secret data and opaque objects


class Algorithm(IntEnum):
    """Cryptographic Algorithm: the symmetric ones, and names for the log of those that are only kept."""

    DES = 1
    DES3 = 2
    AES = 3
    RSA = 4
    DSA = 5
    ECDSA = 6
    HMAC_SHA1 = 7
    HMAC_SHA224 = 8
    HMAC_SHA256 = 9
    HMAC_SHA384 = 10
    HMAC_SHA512 = 11
    HMAC_MD5 = 12
    DH = 13
    ECDH = 14
    BLOWFISH = 16
    CAMELLIA = 17
    CAST5 = 18
    IDEA = 19
    MARS = 20
    RC2 = 21
    RC4 = 22
    RC5 = 23
    SKIPJACK = 24
    TWOFISH = 25
    EC = 26
    ONE_TIME_PAD = 27
    CHACHA20 = 28
    POLY1305 = 29
    CHACHA20_POLY1305 = 30
    HMAC_SHA3_224 = 35
    HMAC_SHA3_256 = 36
    HMAC_SHA3_384 = 37
    HMAC_SHA3_512 = 38
    ARIA = 41
    SEED = 42
    SM4 = 45
    ED25519 = 0x37
    ED448 = 0x38


class Mode(IntEnum):
    """Block Cipher Mode."""

    CBC = 1
    ECB = 2
    CFB = 4
    OFB = 5
    CTR = 6
    CMAC = 7
    CCM = 8
    GCM = 9
    XTS = 11
    AES_KEY_WRAP_PADDING = 12
    NIST_KEY_WRAP = 13
    AEAD = 18


class Padding(IntEnum):
    """Padding Method."""

    NONE = 1
    OAEP = 2
    PKCS5 = 3
    ANSI_X923 = 6
    PKCS1_V1_5 = 8
    PSS = 10


class KeyFormat(IntEnum):
    """Key Format Type, as far as symmetric keys and secrets have them."""

    RAW = 1
    OPAQUE = 2
    TRANSPARENT_SYMMETRIC_KEY = 7


class SecretDataType(IntEnum):
    """Secret Data Type."""

    PASSWORD = 1
    SEED = 2


class UsageMask(IntFlag):
    """Cryptographic Usage Mask, as far as operations here ask for it."""

    SIGN = 0x1
    VERIFY = 0x2
    ENCRYPT = 0x4
    DECRYPT = 0x8
    WRAP = 0x10
    UNWRAP = 0x20
    EXPORT = 0x40
    MAC_GENERATE = 0x80
    MAC_VERIFY = 0x100
    DERIVE = 0x200
    KEY_AGREEMENT = 0x800


class AlgorithmRule(NamedTuple):
    """What a symmetric key of an algorithm may be.

    Attributes:
        lengths_bits: Permitted Cryptographic Lengths; a range for keys of any length.
        default_bits: Length of a new key when none is asked for.
        legacy: Outdated: new keys and protection only with `legacy_algorithms`.
        rights: What a group may be granted on such a key (KS-KEY-022).
    """

    lengths_bits: Iterable[int]
    default_bits: int
    legacy: bool = False
    rights: Right = Right.ENCRYPT | Right.DECRYPT

    def permits(self, length_bits: int) -> bool:
        """Tell whether a key may have this Cryptographic Length."""
        return length_bits in self.lengths_bits


_MACS = Right.MAC | Right.MAC_VERIFY
_ANY = range(8, KEY_BITS_MAX + 1, 8)
_MAC_LENGTHS = range(112, KEY_BITS_MAX + 1, 8)  # SP 800-131A: 112 bits at least
_ANY_LENGTH = AlgorithmRule(_ANY, 128, legacy=True)


def _mac(default_bits: int) -> AlgorithmRule:
    return AlgorithmRule(_MAC_LENGTHS, default_bits, rights=_MACS)


SYMMETRIC: dict[int, AlgorithmRule] = {
    Algorithm.AES: AlgorithmRule((128, 192, 256, 512), 256),  # 512: both keys of XTS
    Algorithm.CHACHA20: AlgorithmRule((256,), 256),
    Algorithm.CHACHA20_POLY1305: AlgorithmRule((256,), 256),
    Algorithm.HMAC_SHA224: _mac(224),
    Algorithm.HMAC_SHA256: _mac(256),
    Algorithm.HMAC_SHA384: _mac(384),
    Algorithm.HMAC_SHA512: _mac(512),
    Algorithm.HMAC_SHA3_224: _mac(224),
    Algorithm.HMAC_SHA3_256: _mac(256),
    Algorithm.HMAC_SHA3_384: _mac(384),
    Algorithm.HMAC_SHA3_512: _mac(512),
    Algorithm.DES: AlgorithmRule((56, 64), 56, legacy=True),
    Algorithm.DES3: AlgorithmRule((112, 128, 168, 192), 168, legacy=True),
    Algorithm.RC4: AlgorithmRule(range(40, 2049, 8), 128, legacy=True),
    Algorithm.HMAC_SHA1: AlgorithmRule(_ANY, 160, legacy=True, rights=_MACS),
    Algorithm.HMAC_MD5: AlgorithmRule(_ANY, 128, legacy=True, rights=_MACS),
    Algorithm.SKIPJACK: AlgorithmRule((80,), 80, legacy=True),
    Algorithm.BLOWFISH: _ANY_LENGTH,
    Algorithm.CAMELLIA: AlgorithmRule((128, 192, 256), 256, legacy=True),
    Algorithm.CAST5: _ANY_LENGTH,
    Algorithm.IDEA: _ANY_LENGTH,
    Algorithm.MARS: _ANY_LENGTH,
    Algorithm.RC2: _ANY_LENGTH,
    Algorithm.RC5: _ANY_LENGTH,
    Algorithm.TWOFISH: _ANY_LENGTH,
    Algorithm.ARIA: AlgorithmRule((128, 192, 256), 256, legacy=True),
    Algorithm.SEED: AlgorithmRule((128,), 128, legacy=True),
    Algorithm.SM4: AlgorithmRule((128,), 128, legacy=True),
}
"""Algorithms of symmetric keys. Those of public and private keys have rules of their own."""

_DES_LENGTHS = {56: 64, 112: 128, 168: 192}  # with the parity bits, as the key bytes have them


def new_key_rule(algorithm: int, length_bits: int, switches: Switches, *, made_here: bool = True) -> AlgorithmRule:
    """Return the rule of an algorithm after checking that a new key of it may come to be.

    What was not made here (registered or derived) may have any length where legacy algorithms are on: no cipher takes
    it, but it can be kept, handed out and derived from.

    Raises:
        Invalid: not an algorithm of symmetric keys, or a length it does not have.
        Refused: outdated, and legacy algorithms are switched off.
    """
    rule = SYMMETRIC.get(algorithm)
    if rule is None:
        raise Invalid("this is no algorithm of symmetric keys here", "invalid.algorithm")
    if rule.legacy and not switches.legacy_algorithms:
        raise Refused("this algorithm is outdated; an administrator can set legacy.algorithms", "refused.switched_off")
    is_kept = not made_here and switches.legacy_algorithms and length_bits in _ANY
    if not rule.permits(length_bits) and not is_kept:
        raise Invalid(f"{name_of(algorithm)} has no keys of {length_bits} bits", "invalid.attribute_value")
    return rule


def material_bytes(algorithm: int, length_bits: int) -> int:
    """Return how many key bytes a Cryptographic Length means; DES counts with or without its parity bits."""
    if algorithm in (Algorithm.DES, Algorithm.DES3):
        length_bits = _DES_LENGTHS.get(length_bits, length_bits)
    return length_bits // 8


def length_of(algorithm: int, material_count_bytes: int) -> int:
    """Return the Cryptographic Length of key bytes when nobody said it; of DES without the parity bits."""
    bits = 8 * material_count_bytes
    if algorithm in (Algorithm.DES, Algorithm.DES3):
        return next((clear for clear, stored in _DES_LENGTHS.items() if stored == bits), bits)
    return bits


def with_odd_parity(material: bytes) -> bytes:
    """Return DES key bytes with the parity bit of every byte set right (FIPS 46-3)."""
    return bytes(byte & 0xFE | (byte >> 1).bit_count() + 1 & 1 for byte in material)


def is_quantum_safe(algorithm: int, length_bits: int) -> bool:
    """Tell whether a symmetric key keeps 128 bits of strength against Grover's search: 256 bits or more."""
    rule = SYMMETRIC.get(algorithm)
    return rule is not None and not rule.legacy and length_bits >= 256


def grantable_rights(algorithm: int) -> Right:
    """Return what a group may be granted on a key: seeing, exporting, and what the algorithm can do (KS-KEY-022)."""
    rule = SYMMETRIC.get(algorithm)
    return Right.SEE | Right.EXPORT | Right.DERIVE | (rule.rights if rule is not None else Right.NONE)


_LOG_NAMES = {Algorithm.DES3: "DES-EDE", Algorithm.CHACHA20_POLY1305: "ChaCha20-Poly1305"}


def name_of(algorithm: int) -> str:
    """Return an algorithm's name for people and for the activity log ("AES", "HMAC-SHA256"); the number if unknown."""
    try:
        known = Algorithm(algorithm)
    except ValueError:
        return str(algorithm)
    return _LOG_NAMES.get(known) or known.name.replace("_", "-")


def transformation(algorithm: int, mode: int, padding: int) -> str:
    """Return algorithm, mode and padding as the activity log writes them: "AES/CBC/PKCS5"."""
    parts = [name_of(algorithm)]
    parts += [kind(number).name for kind, number in ((Mode, mode), (Padding, padding)) if number > 0]
    return "/".join(parts)
