"""Names of algorithms, transformations, signatures and authentication codes, as the customary provider names go.

Law: a name means all parameters; nothing is guessed where a client says nothing.

Source: docs/xml-interface.md; KMIP 2.1 section 11 (numbers); requirement KS-NAE-014.
"""

from typing import NamedTuple

from keystead.core.algorithms import Algorithm, Mode, Padding, UsageMask
from keystead.core.key_pairs import Curve
from keystead.operations.requests import CipherParameters
from keystead.trust.asymmetric_ciphers import MGF1
from keystead.trust.macs import Hashing

CIPHERS = {
    "AES": Algorithm.AES,
    "DESede": Algorithm.DES3,
    "DES": Algorithm.DES,
    "RC4": Algorithm.RC4,
    "ARIA": Algorithm.ARIA,
    "SEED": Algorithm.SEED,
}
MACS = {
    "HmacSHA1": Algorithm.HMAC_SHA1,
    "HmacSHA224": Algorithm.HMAC_SHA224,
    "HmacSHA256": Algorithm.HMAC_SHA256,
    "HmacSHA384": Algorithm.HMAC_SHA384,
    "HmacSHA512": Algorithm.HMAC_SHA512,
}
PAIRS = {"RSA": Algorithm.RSA, "EC": Algorithm.EC}
ALGORITHMS = {**CIPHERS, **MACS, **PAIRS}
CURVES = {
    "prime256v1": Curve.P_256,
    "secp256r1": Curve.P_256,
    "secp384r1": Curve.P_384,
    "secp521r1": Curve.P_521,
}
_NAMES = {int(number): name for name, number in ALGORITHMS.items()}


def name_of(algorithm: int) -> str:
    """Return what an algorithm is called here; a number where it has no name."""
    return _NAMES.get(algorithm, str(algorithm))


def usage_of(algorithm: int) -> UsageMask:
    """Return what a symmetric key of an algorithm may do."""
    if algorithm in MACS.values():
        return UsageMask.MAC_GENERATE | UsageMask.MAC_VERIFY
    return UsageMask.ENCRYPT | UsageMask.DECRYPT


class Transformation(NamedTuple):
    """How data is encrypted.

    Attributes:
        parameters: Algorithm, mode, padding.
        has_iv: Needs an IV.
        tag_bytes: Length of the authentication tag that ends the encrypted data; 0 = none.
    """

    parameters: CipherParameters
    has_iv: bool = False
    tag_bytes: int = 0


def _block(algorithm: Algorithm, mode: Mode, padding: Padding | None) -> Transformation:
    parameters = CipherParameters(int(mode), None if padding is None else int(padding), algorithm=int(algorithm))
    return Transformation(parameters, mode != Mode.ECB)


def _oaep(hashing: Hashing) -> Transformation:
    return Transformation(
        CipherParameters(
            padding=int(Padding.OAEP),
            hashing=int(hashing),
            algorithm=int(Algorithm.RSA),
            mask_generator=MGF1,
            mask_hashing=int(hashing),
        )
    )


_BLOCKS = {
    f"{name}/{mode.name}/{padding_name}": _block(algorithm, mode, padding)
    for name, algorithm in (("AES", Algorithm.AES), ("DESede", Algorithm.DES3), ("DES", Algorithm.DES))
    for mode in (Mode.CBC, Mode.ECB)
    for padding_name, padding in (("PKCS5Padding", Padding.PKCS5), ("NoPadding", Padding.NONE))
}
TRANSFORMATIONS: dict[str, Transformation] = {
    **_BLOCKS,
    "AES/CTR/NoPadding": _block(Algorithm.AES, Mode.CTR, None),
    "AES/GCM/NoPadding": _block(Algorithm.AES, Mode.GCM, None)._replace(tag_bytes=16),
    "RSA/ECB/PKCS1Padding": Transformation(
        CipherParameters(padding=int(Padding.PKCS1_V1_5), algorithm=int(Algorithm.RSA))
    ),
    "RSA/ECB/OAEPWithSHA-256AndMGF1Padding": _oaep(Hashing.SHA_256),
    "RSA/ECB/OAEPWithSHA-384AndMGF1Padding": _oaep(Hashing.SHA_384),
    "RSA/ECB/OAEPWithSHA-512AndMGF1Padding": _oaep(Hashing.SHA_512),
}
"""Ways to encrypt; OAEP's mask uses the same hash."""

_HASHES = {
    "SHA1": Hashing.SHA_1,
    "SHA224": Hashing.SHA_224,
    "SHA256": Hashing.SHA_256,
    "SHA384": Hashing.SHA_384,
    "SHA512": Hashing.SHA_512,
}
SIGNATURES: dict[str, CipherParameters] = {
    **{
        f"{name}withRSA": CipherParameters(
            padding=int(Padding.PKCS1_V1_5), hashing=int(hashing), algorithm=int(Algorithm.RSA)
        )
        for name, hashing in _HASHES.items()
    },
    **{
        f"{name}withRSA/PSS": CipherParameters(
            padding=int(Padding.PSS), hashing=int(hashing), algorithm=int(Algorithm.RSA)
        )
        for name, hashing in _HASHES.items()
    },
    **{
        f"{name}withECDSA": CipherParameters(hashing=int(hashing), algorithm=int(Algorithm.ECDSA))
        for name, hashing in _HASHES.items()
    },
}
"""Ways to sign."""
