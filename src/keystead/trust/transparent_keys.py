"""Public and private keys as numbers, which KMIP calls transparent, and as the DER that is kept of them.

Source: KMIP 1.4 section 2.1.7 (tables of fields); RFC 8017 section 3; SP 800-56B revision 2 appendix C.2; SEC 1
section 2.3.
"""

from math import gcd, isqrt
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keystead.core.errors import Invalid, NotSupported
from keystead.core.key_pairs import RSA_BITS_MAX, RSA_BITS_MIN, PairFormat
from keystead.core.secret import Secret
from keystead.trust.key_pairs import (
    LIBRARY_CURVES,
    RSA_PUBLIC_EXPONENT,
    read_private,
    read_public,
    specification_of,
    write_private,
    write_public,
)

_RSA_PRIVATE = frozenset({PairFormat.TRANSPARENT_RSA_PRIVATE_KEY})
_RSA_PUBLIC = frozenset({PairFormat.TRANSPARENT_RSA_PUBLIC_KEY})
EC_PRIVATE = frozenset(
    {
        PairFormat.TRANSPARENT_EC_PRIVATE_KEY,
        PairFormat.TRANSPARENT_ECDSA_PRIVATE_KEY,
        PairFormat.TRANSPARENT_ECDH_PRIVATE_KEY,
    }
)
EC_PUBLIC = frozenset(
    {
        PairFormat.TRANSPARENT_EC_PUBLIC_KEY,
        PairFormat.TRANSPARENT_ECDSA_PUBLIC_KEY,
        PairFormat.TRANSPARENT_ECDH_PUBLIC_KEY,
    }
)
TRANSPARENT = _RSA_PRIVATE | _RSA_PUBLIC | EC_PRIVATE | EC_PUBLIC


class RsaNumbers(NamedTuple):
    """Numbers of an RSA key; None = not given. A public key has the first two only."""

    modulus: int
    public_exponent: int | None = None
    private_exponent: int | None = None
    p: int | None = None
    q: int | None = None
    exponent_p: int | None = None
    exponent_q: int | None = None
    coefficient: int | None = None

    def __repr__(self) -> str:
        """Show what may be shown: not the numbers."""
        return "RsaNumbers()"


class EcNumbers(NamedTuple):
    """Numbers of a key on an elliptic curve: Recommended Curve, and D of a private or the point of a public key."""

    curve: int
    d: int | None = None
    point: bytes | None = None

    def __repr__(self) -> str:
        """Show what may be shown: the curve."""
        return f"EcNumbers({self.curve})"


Numbers = RsaNumbers | EcNumbers


def is_rsa(key_format: int) -> bool:
    """Tell whether a transparent format is one of RSA."""
    return key_format in _RSA_PRIVATE | _RSA_PUBLIC


def kept(key_format: int, numbers: Numbers) -> Secret:
    """Return the bytes that are kept of a transparent key: PKCS#8 or SubjectPublicKeyInfo.

    Raises:
        Invalid: the numbers are no key, or too few of them are given.
        NotSupported: the curve is not offered.
    """
    try:
        if isinstance(numbers, RsaNumbers):
            return _kept_rsa(key_format, numbers)
        return _kept_ec(key_format, numbers)
    except (ValueError, OverflowError) as error:
        raise Invalid("the numbers are no key of this Key Format Type", "invalid.key") from error


def numbers_of(key_format: int, material: Secret) -> Numbers:
    """Return the numbers of a transparent key from the bytes that are kept of it."""
    if key_format in _RSA_PRIVATE | EC_PRIVATE:
        private = read_private(PairFormat.PKCS_8, material)
        if isinstance(private, rsa.RSAPrivateKey):
            found = private.private_numbers()
            public_part = found.public_numbers
            return RsaNumbers(
                *(public_part.n, public_part.e, found.d, found.p, found.q, found.dmp1, found.dmq1, found.iqmp)
            )
        if isinstance(private, ec.EllipticCurvePrivateKey):
            return EcNumbers(specification_of(private).curve, private.private_numbers().private_value)
    else:
        public = read_public(PairFormat.X_509, material)
        if isinstance(public, rsa.RSAPublicKey):
            return RsaNumbers(public.public_numbers().n, public.public_numbers().e)
        if isinstance(public, ec.EllipticCurvePublicKey):
            point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            return EcNumbers(specification_of(public).curve, None, point)
    raise NotSupported("the key has no transparent form", "not_supported.key_format")


def _kept_rsa(key_format: int, numbers: RsaNumbers) -> Secret:
    if not RSA_BITS_MIN <= numbers.modulus.bit_length() <= RSA_BITS_MAX:  # before anything is computed with them
        raise Invalid(f"RSA keys have {RSA_BITS_MIN} to {RSA_BITS_MAX} bits", "invalid.key")
    public = rsa.RSAPublicNumbers(numbers.public_exponent or RSA_PUBLIC_EXPONENT, numbers.modulus)
    if key_format in _RSA_PUBLIC:
        if numbers.public_exponent is None:
            raise Invalid("a public RSA key needs its Public Exponent", "invalid.key")
        return write_public(public.public_key(), PairFormat.X_509)
    p, q, d = numbers.p, numbers.q, numbers.private_exponent
    if any(number is not None and number.bit_length() > RSA_BITS_MAX for number in numbers[1:]):
        raise Invalid("the numbers of the RSA key do not belong together", "invalid.key")
    if p is None or q is None:
        if not d or numbers.public_exponent is None:
            raise Invalid("a private RSA key needs P and Q, or its Private and Public Exponents", "invalid.key")
        p, q = _primes(public.n, public.e, d)
    if p < 2 or q < 2 or p * q != public.n:
        raise Invalid("the numbers of the RSA key do not belong together", "invalid.key")
    d = d or pow(public.e, -1, (p - 1) * (q - 1))
    found = rsa.RSAPrivateNumbers(
        *(p, q, d, numbers.exponent_p or rsa.rsa_crt_dmp1(d, p), numbers.exponent_q or rsa.rsa_crt_dmq1(d, q)),
        *(numbers.coefficient or rsa.rsa_crt_iqmp(p, q), public),
    )
    return write_private(found.private_key(unsafe_skip_rsa_key_validation=True), PairFormat.PKCS_8)


def _primes(n: int, e: int, d: int) -> tuple[int, int]:
    """Return P and Q of a modulus whose exponents are known, the larger one first.

    Deterministic, some milliseconds at most: the library's way draws numbers up to 500 times where there is nothing to
    be found, which takes minutes for numbers that a client has chosen to that end.

    Raises:
        Invalid: there are none.

    Source: SP 800-56B revision 2 appendix C.2.
    """
    multiple = (e * d - 1) * gcd(n - 1, e * d - 1)
    times, rest = divmod(multiple, n)
    total, left = divmod(n - rest, times + 1)
    total += 1  # P + Q
    root = isqrt(max(total * total - 4 * n, 0))
    p, q = (total + root) // 2, (total - root) // 2
    if left or p * q != n:
        raise Invalid("the exponents do not belong to the modulus; send P and Q", "invalid.key")
    return p, q


def _kept_ec(key_format: int, numbers: EcNumbers) -> Secret:
    curve = LIBRARY_CURVES.get(numbers.curve)
    if curve is None:
        raise NotSupported("this curve is not offered; P-256, P-384 and P-521 are", "not_supported.cryptography")
    if key_format in EC_PRIVATE and numbers.d is not None:
        return write_private(ec.derive_private_key(numbers.d, curve), PairFormat.PKCS_8)
    if key_format in EC_PUBLIC and numbers.point is not None:
        return write_public(ec.EllipticCurvePublicKey.from_encoded_point(curve, numbers.point), PairFormat.X_509)
    raise Invalid("the numbers are no key of this Key Format Type", "invalid.key")
