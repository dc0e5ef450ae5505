"""Key pairs for tests, made once, and their forms."""

from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from keystead.core.algorithms import Algorithm, UsageMask
from keystead.core.attribute_table import ObjectType
from keystead.core.attributes import Value
from keystead.core.key_pairs import CURVES, Curve, PairFormat, PairSpecification
from keystead.core.permission import Principal
from keystead.core.secret import Secret
from keystead.gate.workshop import Done, InlineWorkshop, Make
from keystead.operations.key_pairs import CreateKeyPair, Wishes
from keystead.operations.requests import KeyBlock, Register
from keystead.trust import key_pairs
from keystead.trust.key_pairs import PrivateKey
from keystead.trust.selftest import ConditionalTests
from tests.support.builders import ALICE, Node, attributes, date, enumeration, integer

SIGN, VERIFY, ENCRYPT, DECRYPT = UsageMask.SIGN, UsageMask.VERIFY, UsageMask.ENCRYPT, UsageMask.DECRYPT
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


def pair_request(algorithm: int = Algorithm.EC, **common: Value) -> CreateKeyPair:
    """A request for a pair, whose private half signs and whose public half verifies."""
    said = attributes(Cryptographic_Algorithm=enumeration(algorithm), **common)
    halves = (Wishes(attributes(Cryptographic_Usage_Mask=integer(int(mask)))) for mask in (SIGN, VERIFY))
    return CreateKeyPair(Wishes(said), *halves)


def a_pair(node: Node, owner: Principal = ALICE, *, active: bool = True, **more: Any) -> tuple[str, str]:
    """The ids of a new private and public key of a user."""
    if active:
        more["Activation_Date"] = date(-1)
    created = node.ask(owner, pair_request(**more))
    return created.private_id, created.public_id


def key_registration(
    of: str | PrivateKey, *, private: bool, form: int = 0, mask: int | None = None, **more: Value
) -> Register:
    """A request to keep one half of a pair that was made elsewhere, active at once; its block names no algorithm."""
    key = pair(of) if isinstance(of, str) else of
    form = form or (PairFormat.PKCS_8 if private else PairFormat.X_509)
    material = key_pairs.write_private(key, form) if private else key_pairs.write_public(key.public_key(), form)
    algorithm = key_pairs.specification_of(key).algorithm if form == PairFormat.RAW else 0
    usage = int(SIGN if private else VERIFY) if mask is None else mask
    given = attributes(Cryptographic_Usage_Mask=integer(usage), **{"Activation_Date": date(-1), **more})
    object_type = ObjectType.PRIVATE_KEY if private else ObjectType.PUBLIC_KEY
    return Register(object_type, KeyBlock(form, material, int(algorithm)), given)


class HeldWorkshop:
    """Keeps the work until it is told to do it, so that something can happen meanwhile."""

    def __init__(self) -> None:
        self.held: list[tuple[Make, Done]] = []

    def submit(self, make: Make, done: Done) -> None:
        self.held.append((make, done))

    def work(self) -> None:
        """Do what is held now; what follows from it is held again."""
        held, self.held = self.held, []
        for make, done in held:
            InlineWorkshop().submit(make, done)
