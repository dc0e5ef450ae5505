"""Shamir's secret sharing over GF(2^8): any M of N shares give the secret, M - 1 say nothing about it.

Laws: pure (randomness is an argument). Field arithmetic has no secret-dependent branch or table index; Python integers
give no promise beyond that. A share carries no check of its clear value, so that a share under a PIN tells nobody
whether the PIN was right (KS-HSM-011): its carrier has a checksum over what it stores.

Source: A. Shamir, "How to share a secret" (1979); field polynomial 0x11B of FIPS 197; requirement KS-HSM-012.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from keystead.core.errors import Invalid
from keystead.core.secret import Secret

COUNT_MAX = 16  # KS-HSM-012: M 1 to 16, N from M to 16
SET_ID_BYTES = 16
SECRET_BYTES_MAX = 1024
_POLYNOMIAL = 0x1B


@dataclass(frozen=True, slots=True)
class Share:
    """One share of a secret.

    Attributes:
        set_id: 16 bytes that all shares of one splitting have in common.
        index: 1 to `count`; the point at which the polynomials were evaluated.
        threshold: M, how many distinct shares give the secret.
        count: N, how many were made.
        value: As long as the secret.
    """

    set_id: bytes
    index: int
    threshold: int
    count: int
    value: bytes = field(repr=False)


def check_counts(threshold: int, count: int) -> None:
    """Check M and N (KS-HSM-012).

    Raises:
        Invalid: not 1 <= M <= N <= 16.
    """
    if not 1 <= threshold <= count <= COUNT_MAX:
        raise Invalid(f"M must be 1 to {COUNT_MAX} and N from M to {COUNT_MAX}, not {threshold} of {count}")


def split(secret: Secret, counts: tuple[int, int], *, set_id: bytes, randomness: bytes) -> tuple[Share, ...]:
    """Split a secret into N shares of which M give it back.

    Args:
        secret: 1 to 1024 bytes.
        counts: (M, N).
        set_id: 16 bytes, fresh for each splitting.
        randomness: (M - 1) * len(secret) bytes, fresh, uniformly random, used for nothing else.

    Raises:
        Invalid: counts or lengths out of range.
    """
    threshold, count = counts
    check_counts(threshold, count)
    length = len(secret)
    if not 1 <= length <= SECRET_BYTES_MAX or len(set_id) != SET_ID_BYTES:
        raise Invalid("a secret to split has 1 to 1024 bytes and a set id of 16")
    if len(randomness) != (threshold - 1) * length:
        raise Invalid(f"splitting needs {(threshold - 1) * length} random bytes")
    rows = [secret.reveal(), *(randomness[i * length : (i + 1) * length] for i in range(threshold - 1))]
    return tuple(
        Share(set_id, index, threshold, count, bytes(_evaluate(column, index) for column in zip(*rows, strict=True)))
        for index in range(1, count + 1)
    )


def combine(shares: Sequence[Share]) -> Secret:
    """Give back the secret from exactly M distinct shares of one set.

    Exactly M, because one more would tell whether they fit together, and only the module may judge that.

    Raises:
        Invalid: none, too few, too many, twice the same, or of different sets.
    """
    if not shares:
        raise Invalid("no share was presented")
    first = shares[0]
    if any(_identity(share) != _identity(first) for share in shares):
        raise Invalid("the shares belong to different sets; present shares that were made together")
    indices = [share.index for share in shares]
    if len(set(indices)) != len(indices):
        raise Invalid("the same share was presented twice; a duplicate counts as its original")
    if len(shares) != first.threshold:
        raise Invalid(f"{first.threshold} shares of this set are needed, {len(shares)} were presented")
    weights = [_weight_at_zero(index, indices) for index in indices]
    columns = zip(*(share.value for share in shares), strict=True)
    return Secret(bytes(_dot(weights, column) for column in columns))


def _identity(share: Share) -> tuple[bytes, int, int, int]:
    return share.set_id, share.threshold, share.count, len(share.value)


def multiply(a: int, b: int) -> int:
    """Multiply in GF(2^8) by eight masked steps, whatever the operands are."""
    product = 0
    for _ in range(8):
        product ^= a & -(b & 1)
        a = ((a << 1) & 0xFF) ^ (_POLYNOMIAL & -(a >> 7))
        b >>= 1
    return product


def invert(a: int) -> int:
    """Return a^254, the inverse in GF(2^8); 0 gives 0."""
    result = 1
    for _ in range(7):  # 254 = 2 + 4 + ... + 128
        a = multiply(a, a)
        result = multiply(result, a)
    return result


def _evaluate(coefficients: Sequence[int], x: int) -> int:
    """Horner's rule; coefficients from the constant one upward."""
    value = 0
    for coefficient in reversed(coefficients):
        value = multiply(value, x) ^ coefficient
    return value


def _weight_at_zero(index: int, indices: Sequence[int]) -> int:
    """Lagrange's basis polynomial of one index, at zero; indices are public."""
    weight = 1
    for other in indices:
        if other != index:
            weight = multiply(weight, multiply(other, invert(other ^ index)))
    return weight


def _dot(weights: Sequence[int], values: Sequence[int]) -> int:
    total = 0
    for weight, value in zip(weights, values, strict=True):
        total ^= multiply(weight, value)
    return total
