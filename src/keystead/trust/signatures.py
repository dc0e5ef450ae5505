"""Signing and verifying: a table from KMIP's parameters to a scheme, and the schemes.

Laws: the key decides the algorithm, the parameters only what is left open; a signature that does not fit is an answer,
not an error. Outdated hashes say so in the scheme, and whoever signs asks. ECDSA signatures are DER (X9.62).
Where KMIP's parameters leave something out: the mask's hash is the message's, the salt is as long as the hash, and
ECDSA takes the hash of the curve's size (docs/adr/0035). Verifying finds the salt's length itself, and takes a mask
with SHA-1 too, as KMIP's text has it.

Source: RFC 8017 sections 8.1, 8.2; FIPS 186-5; RFC 8032; KMIP 1.4 sections 3.6, 4.31, 4.32, 9.1.3.2.7.
"""

from collections.abc import Iterator
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from keystead.core.algorithms import Algorithm, Padding
from keystead.core.errors import Invalid, NotSupported
from keystead.trust.asymmetric_ciphers import MGF1, library_hash
from keystead.trust.cipher_modes import parameters
from keystead.trust.key_pairs import PrivateKey, PublicKey
from keystead.trust.macs import HASHES, Hashing

RSASSA_PSS = 8
SIGNATURE_BYTES_MAX = 4096

_NAMED: dict[int, tuple[int, int]] = {
    2: (Algorithm.RSA, Hashing.MD5),
    3: (Algorithm.RSA, Hashing.SHA_1),
    4: (Algorithm.RSA, Hashing.SHA_224),
    5: (Algorithm.RSA, Hashing.SHA_256),
    6: (Algorithm.RSA, Hashing.SHA_384),
    7: (Algorithm.RSA, Hashing.SHA_512),
    12: (Algorithm.ECDSA, Hashing.SHA_1),
    13: (Algorithm.ECDSA, Hashing.SHA_224),
    14: (Algorithm.ECDSA, Hashing.SHA_256),
    15: (Algorithm.ECDSA, Hashing.SHA_384),
    16: (Algorithm.ECDSA, Hashing.SHA_512),
    17: (Algorithm.RSA, Hashing.SHA3_256),
    18: (Algorithm.RSA, Hashing.SHA3_384),
    19: (Algorithm.RSA, Hashing.SHA3_512),
}
"""Digital Signature Algorithm -> algorithm of the key, hash. Those of RSA pad as PKCS#1 v1.5; PSS leaves it open."""


class Wanted(NamedTuple):
    """What a request, or the key, says of a signature; None = not given. Numbers are KMIP's.

    Attributes:
        signature: Digital Signature Algorithm.
        algorithm: Cryptographic Algorithm.
        hashing: Hashing Algorithm.
        padding: Padding Method.
        salt_bytes: Salt Length.
        mask_hashing: Mask Generator Hashing Algorithm.
        mask_generator: Mask Generator.
    """

    signature: int | None = None
    algorithm: int | None = None
    hashing: int | None = None
    padding: int | None = None
    salt_bytes: int | None = None
    mask_hashing: int | None = None
    mask_generator: int | None = None


class Scheme(NamedTuple):
    """How a key signs.

    Attributes:
        name: For the activity log.
        hashing: Hashing Algorithm; 0 = the scheme has its own (EdDSA).
        padding: Padding Method of RSA; 0 = none.
        salt_bytes: Of PSS; None = not given.
        mask_hashing: Of PSS; 0 = not given.
        legacy: Its hash is outdated.
    """

    name: str
    hashing: int
    padding: int = 0
    salt_bytes: int | None = None
    mask_hashing: int = 0
    legacy: bool = False


def scheme(key: PrivateKey | PublicKey, wanted: Wanted) -> Scheme:
    """Decide how a key signs.

    Raises:
        Invalid: the parameters are for another key, contradict each other, or leave out what RSA needs.
        NotSupported: the key cannot sign, or the scheme is not offered.
    """
    if isinstance(key, (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey)):
        return _edwards(wanted, Algorithm.ED25519, "Ed25519")
    if isinstance(key, (ed448.Ed448PrivateKey, ed448.Ed448PublicKey)):
        return _edwards(wanted, Algorithm.ED448, "Ed448")
    if isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey)):
        return _rsa(wanted)
    if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)):
        return _ecdsa(wanted, key.key_size)
    raise NotSupported("this key agrees on secrets and does not sign", "not_supported.cryptography")


def sign(key: PrivateKey, how: Scheme, data: bytes, *, is_digest: bool = False) -> bytes:
    """Sign data, or a digest made with the scheme's hash.

    Raises:
        Invalid: the digest has another length than the hash gives, or the key is too short for it.
        NotSupported: the library has no such scheme.
    """
    try:
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, _rsa_padding(how, how.mask_hashing or how.hashing), _hash(how, is_digest=is_digest))
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(data, ec.ECDSA(_hash(how, is_digest=is_digest)))
        if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)):
            _refuse_digest(is_digest=is_digest)
            return key.sign(data)
    except ValueError as error:
        raise parameters("the digest does not have the hash's length, or the key is too short for it") from error
    except UnsupportedAlgorithm as error:
        raise NotSupported("this combination is not offered", "not_supported.cryptography") from error
    raise NotSupported("this key does not sign", "not_supported.cryptography")


def is_signature(key: PublicKey, how: Scheme, data: bytes, signature: bytes, *, is_digest: bool = False) -> bool:
    """Tell whether a signature fits; errors as of `sign`."""
    if not 0 < len(signature) <= SIGNATURE_BYTES_MAX:
        return False
    return any(_fits(key, attempt, data, signature, is_digest) for attempt in _attempts(key, how))


def _attempts(key: PublicKey, how: Scheme) -> Iterator[Scheme]:
    if how.padding != Padding.PSS or how.mask_hashing or not isinstance(key, rsa.RSAPublicKey):
        yield how
        return
    yield how._replace(mask_hashing=how.hashing)
    if how.hashing != Hashing.SHA_1:
        yield how._replace(mask_hashing=int(Hashing.SHA_1))


def _fits(key: PublicKey, how: Scheme, data: bytes, signature: bytes, is_digest: bool) -> bool:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(
                signature, data, _rsa_padding(how, how.mask_hashing, verify=True), _hash(how, is_digest=is_digest)
            )
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(_hash(how, is_digest=is_digest)))
        elif isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
            _refuse_digest(is_digest=is_digest)
            key.verify(signature, data)
        else:
            raise NotSupported("this key does not verify", "not_supported.cryptography")
    except InvalidSignature:
        return False
    except ValueError as error:
        raise parameters("the digest does not have the hash's length, or the key is too short for it") from error
    except UnsupportedAlgorithm as error:
        raise NotSupported("this combination is not offered", "not_supported.cryptography") from error
    return True


def _rsa(wanted: Wanted) -> Scheme:
    method, hashing = wanted.padding, wanted.hashing
    named = _named(wanted, Algorithm.RSA)
    if wanted.signature == RSASSA_PSS:
        method = _agreed(method, int(Padding.PSS))
    elif named is not None:
        method, hashing = _agreed(method, int(Padding.PKCS1_V1_5)), _agreed(hashing, named)
    if wanted.algorithm not in (None, Algorithm.RSA):
        raise parameters("the key is an RSA key; the parameters are for another algorithm")
    if method not in (Padding.PSS, Padding.PKCS1_V1_5) or hashing is None:
        raise parameters("say how to sign: a Digital Signature Algorithm, or padding (PSS or PKCS1 v1.5) and hash")
    if wanted.mask_generator not in (None, MGF1):
        raise NotSupported("the only mask generator is MGF1", "not_supported.cryptography")
    library_hash(hashing)
    words = f"RSA/{'PSS' if method == Padding.PSS else 'PKCS1'}/{HASHES[hashing].name}"
    return Scheme(words, hashing, method, wanted.salt_bytes, wanted.mask_hashing or 0, HASHES[hashing].legacy)


def _ecdsa(wanted: Wanted, bits: int) -> Scheme:
    named = _named(wanted, Algorithm.ECDSA)
    if wanted.algorithm not in (None, Algorithm.EC, Algorithm.ECDSA):
        raise parameters("the key is on an elliptic curve; the parameters are for another algorithm")
    if wanted.signature == RSASSA_PSS or wanted.padding not in (None, Padding.NONE):
        raise parameters("ECDSA takes no padding")
    hashing = wanted.hashing if named is None else _agreed(wanted.hashing, named)
    if hashing is None:
        hashing = int(Hashing.SHA_256 if bits <= 256 else Hashing.SHA_384 if bits <= 384 else Hashing.SHA_512)
    library_hash(hashing)
    return Scheme(f"ECDSA/{HASHES[hashing].name}", hashing, legacy=HASHES[hashing].legacy)


def _edwards(wanted: Wanted, algorithm: int, name: str) -> Scheme:
    if wanted.algorithm not in (None, algorithm, Algorithm.EC) or wanted.signature is not None:
        raise parameters(f"the key is an {name} key; the parameters are for another algorithm")
    if wanted.hashing is not None or wanted.padding not in (None, Padding.NONE):
        raise parameters(f"{name} has its own hash and takes no padding; leave them out")
    return Scheme(name, 0)


def _named(wanted: Wanted, algorithm: int) -> int | None:
    """Return the hash that a Digital Signature Algorithm names, None when there is none to be had from it."""
    if wanted.signature is None or wanted.signature == RSASSA_PSS:
        return None
    found = _NAMED.get(wanted.signature)
    if found is None:
        raise NotSupported("this Digital Signature Algorithm is not offered", "not_supported.cryptography")
    if found[0] != algorithm:
        raise parameters("the Digital Signature Algorithm is for keys of another algorithm")
    return int(found[1])


def _agreed(given: int | None, meant: int) -> int:
    if given not in (None, meant):
        raise parameters("the Digital Signature Algorithm and the other parameters contradict each other")
    return meant


def _rsa_padding(how: Scheme, mask_hashing: int, *, verify: bool = False) -> AsymmetricPadding:
    if how.padding == Padding.PKCS1_V1_5:
        return padding.PKCS1v15()
    mask = padding.MGF1(library_hash(mask_hashing))
    if how.salt_bytes is not None:
        if not 0 <= how.salt_bytes <= SIGNATURE_BYTES_MAX:
            raise parameters("the salt does not have such a length")
        return padding.PSS(mask, how.salt_bytes)
    return padding.PSS(mask, padding.PSS.AUTO if verify else padding.PSS.DIGEST_LENGTH)


def _hash(how: Scheme, *, is_digest: bool) -> hashes.HashAlgorithm | Prehashed:
    found = library_hash(how.hashing)
    return Prehashed(found) if is_digest else found


def _refuse_digest(*, is_digest: bool) -> None:
    if is_digest:
        raise Invalid("EdDSA signs the data itself; send Data instead of Digested Data", "invalid.field")
