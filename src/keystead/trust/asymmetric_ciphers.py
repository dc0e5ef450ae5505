"""Encrypting with a public key and decrypting with its private key: RSA with OAEP, and PKCS#1 v1.5 as a legacy mode.

Laws: as in `cipher_modes`: what is wrong with encrypted data is one error with one text. For PKCS#1 v1.5 the library
answers a wrong padding with random bytes (implicit rejection), so there is nothing to tell apart.
Where the mask's hash is not given it is the label's, as in every common library; KMIP's text says SHA-1
(docs/adr/0035).

Source: RFC 8017 sections 7.1, 7.2; KMIP 1.4 sections 3.6, 4.29, 4.30; LEG-07.
"""

from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding

from keystead.core.algorithms import Padding
from keystead.core.errors import NotSupported
from keystead.core.key_pairs import RSA_SAFE_BITS_MIN
from keystead.trust.cipher_modes import Encrypted, Prepared, failure, parameters
from keystead.trust.ciphers import Suite
from keystead.trust.key_pairs import PrivateKey, PublicKey
from keystead.trust.macs import Hashing

LIBRARY_HASHES: dict[int, hashes.HashAlgorithm] = {
    Hashing.MD5: hashes.MD5(),  # noqa: S303  # outdated everywhere; the library takes it for no OAEP
    Hashing.SHA_1: hashes.SHA1(),  # noqa: S303  # outdated but in OAEP and PSS masks, where it is not broken
    Hashing.SHA_224: hashes.SHA224(),
    Hashing.SHA_256: hashes.SHA256(),
    Hashing.SHA_384: hashes.SHA384(),
    Hashing.SHA_512: hashes.SHA512(),
    Hashing.SHA_512_224: hashes.SHA512_224(),
    Hashing.SHA_512_256: hashes.SHA512_256(),
    Hashing.SHA3_224: hashes.SHA3_224(),
    Hashing.SHA3_256: hashes.SHA3_256(),
    Hashing.SHA3_384: hashes.SHA3_384(),
    Hashing.SHA3_512: hashes.SHA3_512(),
}

MGF1 = 1
LABEL_BYTES_MAX = 4096


class MaskParameters(NamedTuple):
    """What KMIP says of OAEP: hash of the label, of the mask (None = the same), mask generator, label (P Source)."""

    hashing: int | None = None
    mask_hashing: int | None = None
    mask_generator: int | None = None
    label: bytes | None = None


def library_hash(number: int) -> hashes.HashAlgorithm:
    """Look a hash up by its Hashing Algorithm.

    Raises:
        NotSupported: it is not offered.
    """
    found = LIBRARY_HASHES.get(number)
    if found is None:
        raise NotSupported("this hash is not offered; SHA-256, SHA-384 and SHA-512 are", "not_supported.cryptography")
    return found


class Asymmetric:
    """RSA with a padding, made ready for one key (cipher_modes.Prepared).

    Args:
        key: Public to encrypt, private to decrypt.
        method: Padding Method.
        mask: Of OAEP.

    Raises:
        Invalid: no padding is named. NotSupported: another key or padding.
    """

    def __init__(self, key: PrivateKey | PublicKey, method: int, mask: MaskParameters) -> None:
        if not isinstance(key, (rsa.RSAPublicKey, rsa.RSAPrivateKey)):
            raise NotSupported("of key pairs only RSA encrypts and decrypts", "not_supported.cryptography")
        self._key = key
        self._padding = _padding(method, mask)

    def encrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag_length_bytes: int | None = None
    ) -> Encrypted:
        """See `Prepared.encrypt`. There is no IV, no associated data and no tag."""
        if iv is not None or associated is not None or tag_length_bytes is not None:
            raise parameters("RSA takes no IV, no additional data and no tag")
        if not isinstance(self._key, rsa.RSAPublicKey):
            raise parameters("encrypt with the public key; the private key decrypts")
        try:
            return self._key.encrypt(data, self._padding), None
        except UnsupportedAlgorithm as error:
            raise NotSupported("these hashes are not offered together", "not_supported.cryptography") from error
        except ValueError as error:
            raise parameters("the data is too long for this key and padding") from error

    def decrypt(
        self, data: bytes, iv: bytes | None = None, associated: bytes | None = None, tag: bytes | None = None
    ) -> bytes:
        """See `Prepared.decrypt`."""
        if iv is not None or associated is not None or tag is not None:
            raise parameters("RSA takes no IV, no additional data and no tag")
        if not isinstance(self._key, rsa.RSAPrivateKey):
            raise parameters("decrypt with the private key; the public key encrypts")
        try:
            return self._key.decrypt(data, self._padding)
        except UnsupportedAlgorithm as error:
            raise NotSupported("these hashes are not offered together", "not_supported.cryptography") from error
        except ValueError:
            raise failure() from None


def asymmetric_suite(method: int, length_bits: int) -> Suite:
    """Return what RSA with a padding needs and gives: no IV, no tag; PKCS#1 v1.5 is a legacy mode (LEG-07)."""
    return _SUITES[method == Padding.PKCS1_V1_5, length_bits < RSA_SAFE_BITS_MIN]


def _made_from_bytes(_key: bytes, _padding: int) -> Prepared:
    raise NotSupported("key pairs are made ready from their numbers", "not_supported.cryptography")


_SUITES = {
    (legacy_mode, legacy_algorithm): Suite(
        _made_from_bytes, (), 0, legacy_mode=legacy_mode, legacy_algorithm=legacy_algorithm
    )
    for legacy_mode in (False, True)
    for legacy_algorithm in (False, True)
}


def _padding(method: int, mask: MaskParameters) -> AsymmetricPadding:
    if method == Padding.PKCS1_V1_5:
        return padding.PKCS1v15()
    if method != Padding.OAEP:
        raise parameters("name the padding of RSA: OAEP, or PKCS1 v1.5 where legacy.modes is on")
    if mask.mask_generator not in (None, MGF1):
        raise NotSupported("the only mask generator is MGF1", "not_supported.cryptography")
    if mask.hashing is None:
        raise parameters("name the Hashing Algorithm of OAEP, such as SHA-256")
    label = mask.label
    if label is not None and len(label) > LABEL_BYTES_MAX:
        raise parameters(f"a P Source has at most {LABEL_BYTES_MAX} bytes")
    inner = library_hash(mask.hashing if mask.mask_hashing is None else mask.mask_hashing)
    return padding.OAEP(padding.MGF1(inner), library_hash(mask.hashing), label)
