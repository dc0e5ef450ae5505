"""Key pairs for tests, made once, and their forms."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa

from keystead.core.algorithms import Algorithm
from keystead.core.key_pairs import CURVES, Curve, PairFormat, PairSpecification
from keystead.core.secret import Secret
from keystead.trust import key_pairs
from keystead.trust.key_pairs import PrivateKey
from keystead.trust.selftest import ConditionalTests

RSA_2048 = PairSpecification(Algorithm.RSA, 2048)
SPECIFICATIONS = {
    "RSA": RSA_2048,
    **{
        curve.name: PairSpecification(Algorithm.EC, CURVES[curve].bits, curve)
        for curve in Curve
        if curve not in (Curve.CURVE25519, Curve.CURVE448)
    },
    "Ed25519": PairSpecification(Algorithm.ED25519, 256, Curve.CURVE25519),
    "Ed448": PairSpecification(Algorithm.ED448, 448, Curve.CURVE448),
    "X25519": PairSpecification(Algorithm.ECDH, 256, Curve.CURVE25519),
    "X448": PairSpecification(Algorithm.ECDH, 448, Curve.CURVE448),
}
"""One of every kind, under a name."""

OF_RSA = frozenset({"RSA"})
OF_CURVES = frozenset(curve.name for curve in Curve) & SPECIFICATIONS.keys()
OF_OCTETS = frozenset({"Ed25519", "Ed448", "X25519", "X448"})
EVERY = OF_RSA | OF_CURVES | OF_OCTETS

PRIVATE_FORMS = {
    PairFormat.RAW: OF_OCTETS,
    PairFormat.PKCS_1: OF_RSA,
    PairFormat.PKCS_8: EVERY,
    PairFormat.EC_PRIVATE_KEY: OF_CURVES,
    PairFormat.TRANSPARENT_RSA_PRIVATE_KEY: OF_RSA,
    PairFormat.TRANSPARENT_ECDSA_PRIVATE_KEY: OF_CURVES,
    PairFormat.TRANSPARENT_ECDH_PRIVATE_KEY: OF_CURVES,
    PairFormat.TRANSPARENT_EC_PRIVATE_KEY: OF_CURVES,
}
"""Format -> the kinds of private keys that have it."""

PUBLIC_FORMS = {
    PairFormat.RAW: OF_OCTETS,
    PairFormat.PKCS_1: OF_RSA,
    PairFormat.X_509: EVERY,
    PairFormat.TRANSPARENT_RSA_PUBLIC_KEY: OF_RSA,
    PairFormat.TRANSPARENT_ECDSA_PUBLIC_KEY: OF_CURVES,
    PairFormat.TRANSPARENT_ECDH_PUBLIC_KEY: OF_CURVES,
    PairFormat.TRANSPARENT_EC_PUBLIC_KEY: OF_CURVES,
}
"""Likewise of public keys."""


@cache
def pair(name: str) -> PrivateKey:
    """A private key of a kind."""
    return key_pairs.generate(SPECIFICATIONS[name], ConditionalTests())


@cache
def rsa_pair(bits: int = 2048, exponent: int = 65_537) -> rsa.RSAPrivateKey:
    """An RSA key of a size, also of an outdated one."""
    return rsa.generate_private_key(exponent, bits)


def private_bytes(name: str, form: int = PairFormat.PKCS_8) -> Secret:
    return key_pairs.write_private(pair(name), form)


def public_bytes(name: str, form: int = PairFormat.X_509) -> Secret:
    return key_pairs.write_public(pair(name).public_key(), form)
