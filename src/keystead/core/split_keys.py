"""Split keys: a part of a secret, and what it says of the whole; both are sealed as one.

A part's numbers would tell a thief of the store which parts to look for, so that they lie with its bytes.

Source: KMIP 1.4 section 2.2.5, 9.1.3.2.8; KMIP 2.1 sections 2.8, 11.54; requirement KS-KMIP-047.
"""

from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from keystead.core.errors import Invalid, Tampered
from keystead.core.secret import Secret

SPLIT_KEY_PARTS_MAX = 65_535  # as many points as a field of 2^16 has, besides zero
PRIME_FIELD_BYTES_MAX = 16_384

_FORMAT = 1
_HEAD = Struct(">BIIIII")


class SplitMethod(IntEnum):
    """Split Key Method."""

    XOR = 1
    GF_2_16 = 2
    PRIME_FIELD = 3
    GF_2_8 = 4


_PARTS_MAX = {SplitMethod.GF_2_8: 255}


class SplitKey(NamedTuple):
    """What a split key says of the whole.

    Attributes:
        parts_count: Split Key Parts.
        part: Key Part Identifier, from 1.
        threshold_count: Split Key Threshold: how many parts give the whole.
        method: Split Key Method.
        prime: Prime Field Size, None when it is not given.
    """

    parts_count: int
    part: int
    threshold_count: int
    method: int
    prime: int | None = None

    def __repr__(self) -> str:
        """Show how long the prime is: Python writes no number of more than 4,300 digits in decimal."""
        bits = "no prime" if self.prime is None else f"a prime of {self.prime.bit_length()} bits"
        return f"SplitKey({self.parts_count}, {self.part}, {self.threshold_count}, {self.method}, {bits})"


def check_split_key(split: SplitKey) -> None:
    """Check that the numbers of a part can be true.

    Raises:
        Invalid: they contradict each other, or the method is not known.
    """
    if split.method not in tuple(SplitMethod):
        raise Invalid("there is no such Split Key Method", "invalid.field")
    if not 1 <= split.parts_count <= _PARTS_MAX.get(SplitMethod(split.method), SPLIT_KEY_PARTS_MAX):
        raise Invalid("a key has 1 to 65,535 parts, over GF(2^8) at most 255", "invalid.field")
    if not 1 <= split.part <= split.parts_count:
        raise Invalid("the Key Part Identifier is from 1 to Split Key Parts", "invalid.field")
    if not 1 <= split.threshold_count <= split.parts_count:
        raise Invalid("the Split Key Threshold is from 1 to Split Key Parts", "invalid.field")
    if split.method == SplitMethod.PRIME_FIELD and split.prime is None:
        raise Invalid("splitting in a prime field needs the Prime Field Size", "invalid.missing")
    if split.prime is not None and not (split.prime > 1 and split.prime.bit_length() <= 8 * PRIME_FIELD_BYTES_MAX):
        raise Invalid("the Prime Field Size is from 2, with at most 16,384 bytes", "invalid.field")


def packed(split: SplitKey, material: Secret) -> Secret:
    """Return what is sealed of a part: format 1, its five numbers (4 bytes each), the prime, the key bytes.

    The fifth number is the length of the prime; 0 = none.
    """
    prime = b"" if split.prime is None else split.prime.to_bytes((split.prime.bit_length() + 7) // 8, "big")
    head = _HEAD.pack(_FORMAT, split.parts_count, split.part, split.threshold_count, split.method, len(prime))
    return Secret(head + prime + material.reveal())


def unpacked(sealed: Secret) -> tuple[SplitKey, Secret]:
    """Return a part's numbers and key bytes.

    Raises:
        Tampered: the bytes are of no known form.
    """
    data = sealed.reveal()
    if len(data) < _HEAD.size or data[0] != _FORMAT:
        raise Tampered("a split key has an unknown form; run the verification of the store")
    _, parts_count, part, threshold_count, method, prime_bytes = _HEAD.unpack_from(data)
    end = _HEAD.size + prime_bytes
    prime = int.from_bytes(data[_HEAD.size : end], "big") if prime_bytes else None
    return SplitKey(parts_count, part, threshold_count, method, prime), Secret(data[end:])
