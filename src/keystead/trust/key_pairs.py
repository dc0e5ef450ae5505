"""Public and private keys: reading them from the forms of KMIP, checking, generating, writing them in another form.

Laws: a key of a transparent format is kept as PKCS#8 or SubjectPublicKeyInfo. Which of the DER forms the bytes of
another one have is seen from them, as common clients name the wrong one; it is handed out under the name it came with.
Private keys are read without the library's primality test, which takes 0.1 to 14 s: their arithmetic is checked
instead, and a key with composite "primes" hurts only whoever registered it.

Source: RFC 8017 (PKCS#1), 5958 (PKCS#8), 5915 (ECPrivateKey), 5280 (SubjectPublicKeyInfo), 7748, 8032; KMIP 2.1
sections 3.1 to 3.7, 4.26, 11.22.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from keystead.core.algorithms import Algorithm
from keystead.core.errors import Invalid, NotSupported
from keystead.core.key_pairs import (
    CURVES,
    EDWARDS,
    ELLIPTIC,
    MONTGOMERY,
    RSA_BITS_MAX,
    RSA_BITS_MIN,
    STORED_PRIVATE,
    STORED_PUBLIC,
    Curve,
    PairFormat,
    PairSpecification,
)
from keystead.core.secret import Secret
from keystead.trust.selftest import ConditionalTests

PUBLIC_EXPONENT_BITS_MAX = 64  # a longer one makes verifying as slow as signing
RSA_PUBLIC_EXPONENT = 65_537

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | x25519.X25519PrivateKey
    | x448.X448PrivateKey
)
PublicKey = (
    rsa.RSAPublicKey
    | ec.EllipticCurvePublicKey
    | ed25519.Ed25519PublicKey
    | ed448.Ed448PublicKey
    | x25519.X25519PublicKey
    | x448.X448PublicKey
)
Key = TypeVar("Key")

LIBRARY_CURVES: dict[int, ec.EllipticCurve] = {
    Curve.P_192: ec.SECP192R1(),
    Curve.P_224: ec.SECP224R1(),
    Curve.P_256: ec.SECP256R1(),
    Curve.P_384: ec.SECP384R1(),
    Curve.P_521: ec.SECP521R1(),
    Curve.SECP256K1: ec.SECP256K1(),
    Curve.BRAINPOOLP256R1: ec.BrainpoolP256R1(),
    Curve.BRAINPOOLP384R1: ec.BrainpoolP384R1(),
    Curve.BRAINPOOLP512R1: ec.BrainpoolP512R1(),
}
_CURVE_NAMES = {curve.name: number for number, curve in LIBRARY_CURVES.items()}

_RAW_PRIVATE: dict[tuple[int, int], Callable[[bytes], PrivateKey]] = {
    (Algorithm.ED25519, 32): ed25519.Ed25519PrivateKey.from_private_bytes,
    (Algorithm.ED448, 57): ed448.Ed448PrivateKey.from_private_bytes,
    (Algorithm.ECDH, 32): x25519.X25519PrivateKey.from_private_bytes,
    (Algorithm.ECDH, 56): x448.X448PrivateKey.from_private_bytes,
    (Algorithm.EC, 32): x25519.X25519PrivateKey.from_private_bytes,
    (Algorithm.EC, 56): x448.X448PrivateKey.from_private_bytes,
}
_RAW_PUBLIC: dict[tuple[int, int], Callable[[bytes], PublicKey]] = {
    (Algorithm.ED25519, 32): ed25519.Ed25519PublicKey.from_public_bytes,
    (Algorithm.ED448, 57): ed448.Ed448PublicKey.from_public_bytes,
    (Algorithm.ECDH, 32): x25519.X25519PublicKey.from_public_bytes,
    (Algorithm.ECDH, 56): x448.X448PublicKey.from_public_bytes,
    (Algorithm.EC, 32): x25519.X25519PublicKey.from_public_bytes,
    (Algorithm.EC, 56): x448.X448PublicKey.from_public_bytes,
}

RAW_KEYS = frozenset(_RAW_PRIVATE)
"""Algorithm and length in bytes of keys that have a raw form."""


def read_private(key_format: int, material: Secret, algorithm: int = 0) -> PrivateKey:
    """Read a private key.

    Args:
        key_format: Key Format Type.
        material: Its bytes.
        algorithm: Cryptographic Algorithm as told; needed for raw bytes only.

    Raises:
        Invalid: the bytes are not such a key, or contradict themselves.
        NotSupported: a format, curve or algorithm that is not offered.
    """
    form = STORED_PRIVATE.get(key_format)
    if form is None:
        raise NotSupported("send a private key as PKCS#8, PKCS#1 or ECPrivateKey", "not_supported.key_format")
    data = material.reveal()
    if form == PairFormat.RAW:
        return _raw(_RAW_PRIVATE, algorithm, data)
    try:
        key = load_der_private_key(data, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError) as error:
        raise _unreadable() from error
    except UnsupportedAlgorithm as error:
        raise _unoffered() from error
    if not isinstance(key, PrivateKey):
        raise _unoffered()
    if isinstance(key, rsa.RSAPrivateKey):
        _check_rsa(key)
    return key


def read_public(key_format: int, material: Secret, algorithm: int = 0) -> PublicKey:
    """Read a public key; arguments and errors as of `read_private`."""
    form = STORED_PUBLIC.get(key_format)
    if form is None:
        raise NotSupported("send a public key as X.509 or PKCS#1", "not_supported.key_format")
    data = material.reveal()
    if form == PairFormat.RAW:
        return _checked_public(_raw(_RAW_PUBLIC, algorithm, data))
    try:
        key = load_der_public_key(data)
    except (ValueError, TypeError) as error:
        raise _unreadable() from error
    except UnsupportedAlgorithm as error:
        raise _unoffered() from error
    if not isinstance(key, PublicKey):
        raise _unoffered()
    return _checked_public(key)


def write_private(key: PrivateKey, key_format: int) -> Secret:
    """Write a private key in a format, transparent ones as PKCS#8.

    Raises:
        NotSupported: a key of this algorithm has no such format.
    """
    form = STORED_PRIVATE.get(key_format)
    if form == PairFormat.RAW and not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        return Secret(key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    is_traditional = (form == PairFormat.PKCS_1 and isinstance(key, rsa.RSAPrivateKey)) or (
        form == PairFormat.EC_PRIVATE_KEY and isinstance(key, ec.EllipticCurvePrivateKey)
    )
    if is_traditional:
        return Secret(key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    if form == PairFormat.PKCS_8 and _has_transparent(key, key_format):
        return Secret(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    raise NotSupported("the key cannot be given in this format; ask for PKCS#8", "not_supported.key_format")


def write_public(key: PublicKey, key_format: int) -> Secret:
    """Write a public key in a format, transparent ones as SubjectPublicKeyInfo.

    Raises:
        NotSupported: a key of this algorithm has no such format.
    """
    form = STORED_PUBLIC.get(key_format)
    if form == PairFormat.RAW and not isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
        return Secret(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
    if form == PairFormat.PKCS_1 and isinstance(key, rsa.RSAPublicKey):
        return Secret(key.public_bytes(Encoding.DER, PublicFormat.PKCS1))
    if form == PairFormat.X_509 and _has_transparent(key, key_format):
        return Secret(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    raise NotSupported("the key cannot be given in this format; ask for X.509", "not_supported.key_format")


def specification_of(key: PrivateKey | PublicKey, algorithm: int = 0) -> PairSpecification:
    """Return what a key is; of several names for an elliptic key the one that was told is kept.

    Raises:
        Invalid: it is of another algorithm than it was said to be.
        NotSupported: its curve is not offered.
    """
    found = _specification_of(key)
    if algorithm in (0, found.algorithm):
        return found
    names = set(ELLIPTIC)
    if found.curve in MONTGOMERY:
        names = {Algorithm.EC, Algorithm.ECDH} if found.algorithm == Algorithm.ECDH else {Algorithm.EC, Algorithm.ECDSA}
    if found.curve and algorithm in names:
        # What signs on an Edwards curve keeps its own name: EC on these curves means key agreement.
        return found._replace(algorithm=algorithm) if found.algorithm not in EDWARDS else found
    raise Invalid("the key is of another Cryptographic Algorithm than was told", "invalid.field")


def generate(specification: PairSpecification, tests: ConditionalTests) -> PrivateKey:
    """Generate a key pair and test that its halves fit; RSA takes 0.1 to some seconds and lets other threads work.

    Raises:
        Unavailable: a conditional test failed.
    """
    algorithm, length_bits, curve = specification
    if algorithm == Algorithm.RSA:
        return tests.rsa_key(length_bits)
    if curve in LIBRARY_CURVES:
        return tests.ec_key(LIBRARY_CURVES[curve])
    key: PrivateKey = tests.octet_key(_OCTET_KEYS[algorithm in EDWARDS, curve])
    return key


_OCTET_KEYS: dict[tuple[bool, int], Callable[[], PrivateKey]] = {
    (True, Curve.CURVE25519): ed25519.Ed25519PrivateKey.generate,
    (True, Curve.CURVE448): ed448.Ed448PrivateKey.generate,
    (False, Curve.CURVE25519): x25519.X25519PrivateKey.generate,
    (False, Curve.CURVE448): x448.X448PrivateKey.generate,
}


def _specification_of(key: PrivateKey | PublicKey) -> PairSpecification:
    if isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey)):
        return PairSpecification(Algorithm.RSA, key.key_size)
    if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)):
        number = _CURVE_NAMES.get(key.curve.name)
        if number is None:
            raise _unoffered()
        return PairSpecification(Algorithm.EC, CURVES[number].bits, number)
    for kinds, algorithm, curve in (
        ((ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey), Algorithm.ED25519, Curve.CURVE25519),
        ((ed448.Ed448PrivateKey, ed448.Ed448PublicKey), Algorithm.ED448, Curve.CURVE448),
        ((x25519.X25519PrivateKey, x25519.X25519PublicKey), Algorithm.ECDH, Curve.CURVE25519),
    ):
        if isinstance(key, kinds):
            return PairSpecification(algorithm, CURVES[curve].bits, curve)
    return PairSpecification(Algorithm.ECDH, CURVES[Curve.CURVE448].bits, Curve.CURVE448)


def _has_transparent(key: PrivateKey | PublicKey, key_format: int) -> bool:
    """Tell whether a key can be written in this format, if that is a transparent one."""
    if key_format in (PairFormat.TRANSPARENT_RSA_PRIVATE_KEY, PairFormat.TRANSPARENT_RSA_PUBLIC_KEY):
        return isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey))
    if key_format in (PairFormat.PKCS_8, PairFormat.X_509):
        return True
    return isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey))


def _raw(readers: Mapping[tuple[int, int], Callable[[bytes], Key]], algorithm: int, data: bytes) -> Key:
    reader = readers.get((algorithm, len(data)))
    if reader is None:
        raise Invalid("raw keys are of Ed25519, Ed448, X25519 or X448 and have their length", "invalid.key")
    return reader(data)


def _check_rsa(key: rsa.RSAPrivateKey) -> None:
    """Check that the numbers of a private key belong together (RFC 8017 section 3.2)."""
    _check_rsa_public(key.public_key())
    numbers = key.private_numbers()
    p, q, d = numbers.p, numbers.q, numbers.d
    modulus, e = numbers.public_numbers.n, numbers.public_numbers.e
    fits = p * q == modulus and p > 2 and q > 2 and 1 < d < modulus
    fits = fits and numbers.dmp1 == d % (p - 1) and numbers.dmq1 == d % (q - 1) and numbers.iqmp * q % p == 1
    if not (fits and e * d % (p - 1) == 1 and e * d % (q - 1) == 1):
        raise Invalid("the numbers of the RSA key do not belong together", "invalid.key")


def _checked_public(key: PublicKey) -> PublicKey:
    if isinstance(key, rsa.RSAPublicKey):
        _check_rsa_public(key)
    elif isinstance(key, (x25519.X25519PublicKey, x448.X448PublicKey)):
        _check_agreement(key)
    return key


def _check_agreement(key: x25519.X25519PublicKey | x448.X448PublicKey) -> None:
    """Refuse a point with which everybody agrees on the same secret: zeros (RFC 7748 section 6)."""
    try:
        if isinstance(key, x25519.X25519PublicKey):
            x25519.X25519PrivateKey.generate().exchange(key)
        else:
            x448.X448PrivateKey.generate().exchange(key)
    except ValueError as error:
        raise Invalid("the public key is a point of small order, which keeps no secret", "invalid.key") from error


def _check_rsa_public(key: rsa.RSAPublicKey) -> None:
    if not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
        raise Invalid(f"RSA keys have {RSA_BITS_MIN} to {RSA_BITS_MAX} bits", "invalid.key")
    modulus, exponent = key.public_numbers().n, key.public_numbers().e
    if not modulus & 1:
        raise Invalid("the modulus of an RSA key is odd", "invalid.key")
    if exponent.bit_length() > PUBLIC_EXPONENT_BITS_MAX:
        raise Invalid(f"a public exponent has at most {PUBLIC_EXPONENT_BITS_MAX} bits", "invalid.key")


def _unreadable() -> Invalid:
    return Invalid("the key bytes cannot be read in their Key Format Type", "invalid.key")


def _unoffered() -> NotSupported:
    return NotSupported(
        "keys of this algorithm or curve are not offered; RSA, EC on P-256, P-384 and P-521, Ed25519 and X25519 are",
        "not_supported.cryptography",
    )
