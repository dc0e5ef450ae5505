"""Words for what people say of keys: algorithms with their lengths, kinds, states, rights.

Source: requirements KS-KEY-007, 022; KS-LIFE-001; LEG-06.
"""

from enum import StrEnum
from typing import NamedTuple

from keystead.core.algorithms import Algorithm, name_of
from keystead.core.attribute_table import ObjectType
from keystead.core.errors import Invalid
from keystead.core.key_pairs import Curve
from keystead.core.lifecycle import State
from keystead.core.permission import GRANTABLE, Right


class KeyKind(StrEnum):
    """What an object is."""

    CERTIFICATE = "certificate"
    SYMMETRIC_KEY = "symmetric-key"
    PUBLIC_KEY = "public-key"
    PRIVATE_KEY = "private-key"
    SPLIT_KEY = "split-key"
    TEMPLATE = "template"
    SECRET_DATA = "secret-data"  # noqa: S105  # the name of a kind
    OPAQUE = "opaque"
    PGP_KEY = "pgp-key"


class KeyState(StrEnum):
    """Where an object is in its life cycle."""

    PRE_ACTIVE = "pre-active"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    COMPROMISED = "compromised"
    DESTROYED = "destroyed"
    DESTROYED_COMPROMISED = "destroyed-compromised"


class KeySort(NamedTuple):
    """An algorithm as people choose it; 0 = of any length, or on the curve that is usual."""

    algorithm: int
    length_bits: int = 0
    curve: int = 0


CATALOGUE: dict[str, KeySort] = {
    **{f"AES-{bits}": KeySort(Algorithm.AES, bits) for bits in (256, 192, 128)},
    **{f"RSA-{bits}": KeySort(Algorithm.RSA, bits) for bits in (4096, 3072, 2048, 1024, 512)},
    "EC-P256": KeySort(Algorithm.EC, 256, Curve.P_256),
    "EC-P384": KeySort(Algorithm.EC, 384, Curve.P_384),
    "EC-P521": KeySort(Algorithm.EC, 521, Curve.P_521),
    "Ed25519": KeySort(Algorithm.ED25519, 256, Curve.CURVE25519),
    "Ed448": KeySort(Algorithm.ED448, 448, Curve.CURVE448),
    "HmacSHA512": KeySort(Algorithm.HMAC_SHA512, 512),
    "HmacSHA384": KeySort(Algorithm.HMAC_SHA384, 384),
    "HmacSHA256": KeySort(Algorithm.HMAC_SHA256, 256),
    "HmacSHA224": KeySort(Algorithm.HMAC_SHA224, 224),
    "HmacSHA1": KeySort(Algorithm.HMAC_SHA1, 160),
    "DES-EDE-168": KeySort(Algorithm.DES3, 168),
    "DES-EDE-112": KeySort(Algorithm.DES3, 112),
    "DES": KeySort(Algorithm.DES, 56),
    "RC4-128": KeySort(Algorithm.RC4, 128),
    "RC4-40": KeySort(Algorithm.RC4, 40),
    **{f"ARIA-{bits}": KeySort(Algorithm.ARIA, bits) for bits in (256, 192, 128)},
    "SEED": KeySort(Algorithm.SEED, 128),
}
"""Name of an algorithm -> what a new key of it is; the outdated ones need `legacy.algorithms` (LEG-06)."""

PAIRS = frozenset({int(Algorithm.RSA), int(Algorithm.EC), int(Algorithm.ED25519), int(Algorithm.ED448)})
"""Algorithms whose keys come in two halves."""

FAMILIES: dict[str, int] = {name_of(int(algorithm)): int(algorithm) for algorithm in Algorithm}
"""Name of an algorithm alone ("AES", "HMAC-SHA256") -> its number."""

_NAMES = {sort: name for name, sort in CATALOGUE.items()}


def sort_of(name: str) -> KeySort:
    """Return what a key of a named algorithm is.

    Raises:
        Invalid: no algorithm has this name.
    """
    found = CATALOGUE.get(name)
    if found is None:
        raise Invalid(f"there is no algorithm {name}; there are {', '.join(CATALOGUE)}", "invalid.algorithm")
    return found


def sort_or_family(name: str) -> KeySort:
    """Return what to look for under the name of an algorithm, with its length or without.

    Raises:
        Invalid: no algorithm has this name.
    """
    family = FAMILIES.get(name) if name not in CATALOGUE else None
    return sort_of(name) if family is None else KeySort(family)


def algorithm_word(sort: KeySort) -> str:
    """Return what people call the algorithm of a key, "-" when it has none."""
    return _NAMES.get(sort) or (name_of(sort.algorithm) if sort.algorithm else "-")


def kind_word(object_type: int) -> str:
    """Return what kind of object it is, as `KeyKind` has it."""
    return ObjectType(object_type).name.lower().replace("_", "-")


def kind_number(kind: KeyKind) -> int:
    """Return KMIP's Object Type of a kind."""
    return int(ObjectType[kind.name])


def state_word(state: int) -> KeyState:
    """Return a state by its number."""
    return KeyState[State(state).name]


def state_number(state: KeyState) -> int:
    """Return KMIP's number of a state."""
    return int(State[state.name])


RIGHTS: dict[str, Right] = {right.name.lower().replace("_", "-"): right for right in GRANTABLE if right.name}
"""What may be granted, by its word."""


def right_words(mask: int) -> tuple[str, ...]:
    """Return the words for what a mask of rights grants."""
    return tuple(word for word, right in RIGHTS.items() if mask & right)
