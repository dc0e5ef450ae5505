"""Public and private keys: which algorithms, sizes and curves there are, and the forms that their bytes may have.

Laws: an outdated size or curve (LEG-06) makes no new key and protects nothing unless `legacy_algorithms` is on; what it
once signed can be verified and what it protected can be read.

Source: KMIP 2.1 sections 11.12, 11.22, 11.44 (enumerations), 4.26 (default formats); RFC 8017, 5915, 5958, 8410;
FIPS 186-5; requirements KS-KEY-007, 022; LEG-06.
"""

from enum import IntEnum
from typing import NamedTuple

from keystead.core.algorithms import Algorithm, UsageMask
from keystead.core.errors import Invalid, NotSupported, Refused
from keystead.core.permission import Right, Switches

RSA_NEW_BITS = (1024, 2048, 3072, 4096)
RSA_BITS_MIN = 512
RSA_BITS_MAX = 8192
RSA_SAFE_BITS_MIN = 2048
RSA_DEFAULT_BITS = 3072


class PairFormat(IntEnum):
    """Key Format Type, as far as public and private keys have them."""

    RAW = 1  # the 32 to 57 bytes of RFC 7748 and 8032
    PKCS_1 = 3
    PKCS_8 = 4
    X_509 = 5  # SubjectPublicKeyInfo
    EC_PRIVATE_KEY = 6
    TRANSPARENT_RSA_PRIVATE_KEY = 10
    TRANSPARENT_RSA_PUBLIC_KEY = 11
    TRANSPARENT_ECDSA_PRIVATE_KEY = 14
    TRANSPARENT_ECDSA_PUBLIC_KEY = 15
    TRANSPARENT_ECDH_PRIVATE_KEY = 16
    TRANSPARENT_ECDH_PUBLIC_KEY = 17
    TRANSPARENT_EC_PRIVATE_KEY = 20
    TRANSPARENT_EC_PUBLIC_KEY = 21


STORED_PRIVATE: dict[int, PairFormat] = {
    PairFormat.RAW: PairFormat.RAW,
    PairFormat.PKCS_1: PairFormat.PKCS_1,
    PairFormat.PKCS_8: PairFormat.PKCS_8,
    PairFormat.EC_PRIVATE_KEY: PairFormat.EC_PRIVATE_KEY,
    PairFormat.TRANSPARENT_RSA_PRIVATE_KEY: PairFormat.PKCS_8,
    PairFormat.TRANSPARENT_ECDSA_PRIVATE_KEY: PairFormat.PKCS_8,
    PairFormat.TRANSPARENT_ECDH_PRIVATE_KEY: PairFormat.PKCS_8,
    PairFormat.TRANSPARENT_EC_PRIVATE_KEY: PairFormat.PKCS_8,
}
"""Format of a private key -> form of its bytes."""

STORED_PUBLIC: dict[int, PairFormat] = {
    PairFormat.RAW: PairFormat.RAW,
    PairFormat.PKCS_1: PairFormat.PKCS_1,
    PairFormat.X_509: PairFormat.X_509,
    PairFormat.TRANSPARENT_RSA_PUBLIC_KEY: PairFormat.X_509,
    PairFormat.TRANSPARENT_ECDSA_PUBLIC_KEY: PairFormat.X_509,
    PairFormat.TRANSPARENT_ECDH_PUBLIC_KEY: PairFormat.X_509,
    PairFormat.TRANSPARENT_EC_PUBLIC_KEY: PairFormat.X_509,
}
"""Format of a public key -> form of its bytes."""


class Curve(IntEnum):
    """Recommended Curve, as far as it is offered."""

    P_192 = 0x01
    P_224 = 0x04
    P_256 = 0x07
    P_384 = 0x0A
    P_521 = 0x0D
    SECP256K1 = 0x19
    BRAINPOOLP256R1 = 0x3D
    BRAINPOOLP384R1 = 0x41
    BRAINPOOLP512R1 = 0x43
    CURVE25519 = 0x45
    CURVE448 = 0x46


class CurveRule(NamedTuple):
    """A curve: Cryptographic Length of its keys, and whether it is outdated."""

    bits: int
    legacy: bool = False


CURVES: dict[int, CurveRule] = {
    Curve.P_192: CurveRule(192, legacy=True),
    Curve.P_224: CurveRule(224),
    Curve.P_256: CurveRule(256),
    Curve.P_384: CurveRule(384),
    Curve.P_521: CurveRule(521),
    Curve.SECP256K1: CurveRule(256),
    Curve.BRAINPOOLP256R1: CurveRule(256),
    Curve.BRAINPOOLP384R1: CurveRule(384),
    Curve.BRAINPOOLP512R1: CurveRule(512),
    Curve.CURVE25519: CurveRule(256),
    Curve.CURVE448: CurveRule(448),
}

CURVE_OF_BITS = {192: Curve.P_192, 224: Curve.P_224, 256: Curve.P_256, 384: Curve.P_384, 521: Curve.P_521}
"""The curve that is meant when a client gives a length only: NIST's."""

ELLIPTIC = frozenset({Algorithm.EC, Algorithm.ECDSA, Algorithm.ECDH})
EDWARDS = {Algorithm.ED25519: Curve.CURVE25519, Algorithm.ED448: Curve.CURVE448}
MONTGOMERY = frozenset({Curve.CURVE25519, Curve.CURVE448})
SIGNING = ELLIPTIC - {Algorithm.ECDH} | frozenset(EDWARDS) | {Algorithm.RSA}


class PairSpecification(NamedTuple):
    """What a key pair is: algorithm, Cryptographic Length, and its curve (0 for RSA)."""

    algorithm: int
    length_bits: int
    curve: int = 0

    @property
    def legacy(self) -> bool:
        """Outdated: new keys and protection only with `legacy_algorithms`."""
        return self.length_bits < RSA_SAFE_BITS_MIN if self.curve == 0 else CURVES[self.curve].legacy


def new_pair(algorithm: int, length_bits: int, curve: int, switches: Switches) -> PairSpecification:
    """Complete and check what a new key pair shall be; 0 = not given.

    Raises:
        Invalid: not an algorithm of key pairs, or a length or curve that it does not have.
        NotSupported: the curve is not offered.
        Refused: outdated, and legacy algorithms are switched off.
    """
    found = _specified(algorithm, length_bits, curve)
    if found.legacy and not switches.legacy_algorithms:
        raise Refused(
            "a key of this size is outdated; ask for RSA 2048 or more, or a curve of 224 bits or more",
            "refused.switched_off",
        )
    return found


def _specified(algorithm: int, length_bits: int, curve: int) -> PairSpecification:
    if algorithm == Algorithm.RSA:
        bits = length_bits or RSA_DEFAULT_BITS
        if bits not in RSA_NEW_BITS:
            raise Invalid("new RSA keys have 1024, 2048, 3072 or 4096 bits", "invalid.attribute_value")
        if curve:
            raise Invalid("an RSA key has no curve", "invalid.attribute_value")
        return PairSpecification(algorithm, bits)
    if algorithm in EDWARDS:
        only = EDWARDS[Algorithm(algorithm)]
        if curve not in (0, only) or length_bits not in (0, CURVES[only].bits):
            raise Invalid("this algorithm has one curve and one length; leave both out", "invalid.attribute_value")
        return PairSpecification(algorithm, CURVES[only].bits, only)
    if algorithm not in ELLIPTIC:
        raise Invalid("key pairs are of RSA, EC, ECDSA, ECDH, Ed25519 or Ed448 here", "invalid.algorithm")
    curve = curve or CURVE_OF_BITS.get(length_bits or CURVES[Curve.P_256].bits, 0)
    rule = CURVES.get(curve)
    if rule is None:
        raise NotSupported("this curve is not offered; P-256, P-384 and P-521 are", "not_supported.cryptography")
    if length_bits not in (0, rule.bits):
        raise Invalid(f"keys on this curve have {rule.bits} bits", "invalid.attribute_value")
    if curve in MONTGOMERY and algorithm == Algorithm.ECDSA:
        raise Invalid("ECDSA has no such curve; ask for Ed25519 or Ed448", "invalid.attribute_value")
    return PairSpecification(algorithm, rule.bits, curve)


def default_format(found: PairSpecification, *, private: bool) -> PairFormat:
    """Return the Key Format Type of a new key that nobody asked for (KMIP 2.1 table 81)."""
    if found.algorithm == Algorithm.RSA:
        return PairFormat.PKCS_1
    if found.curve in MONTGOMERY:  # there is no transparent form of these
        return PairFormat.PKCS_8 if private else PairFormat.X_509
    return PairFormat.TRANSPARENT_EC_PRIVATE_KEY if private else PairFormat.TRANSPARENT_EC_PUBLIC_KEY


def default_usage(found: PairSpecification, *, private: bool) -> UsageMask:
    """Return what a new key may be used for when nobody said it."""
    if found.algorithm == Algorithm.RSA:
        return UsageMask.SIGN | UsageMask.DECRYPT if private else UsageMask.VERIFY | UsageMask.ENCRYPT
    if found.algorithm in SIGNING and not (found.curve in MONTGOMERY and found.algorithm not in EDWARDS):
        return UsageMask.SIGN if private else UsageMask.VERIFY
    return UsageMask.KEY_AGREEMENT


def pair_rights(algorithm: int) -> Right:
    """Return what a group may be granted on a public or private key, besides seeing it and taking it out."""
    rights = Right.NONE
    if algorithm == Algorithm.RSA:
        rights |= Right.ENCRYPT | Right.DECRYPT
    if algorithm in SIGNING:
        rights |= Right.SIGN | Right.VERIFY
    return rights
