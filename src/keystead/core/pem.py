"""Keys of pairs as PEM text.

Source: RFC 7468; RFC 8017 appendix A; RFC 5915.
"""

import binascii
import re
from base64 import b64decode, b64encode

from keystead.core.attribute_table import ObjectType
from keystead.core.errors import Invalid
from keystead.core.key_pairs import PairFormat
from keystead.core.secret import Secret

_PEM = re.compile(r"\s*-----BEGIN ([A-Z ]{1,32})-----([A-Za-z0-9+/=\s]+)-----END \1-----\s*")
_LINE_CHARACTERS = 64
LABELS: dict[str, tuple[ObjectType, PairFormat]] = {
    "RSA PRIVATE KEY": (ObjectType.PRIVATE_KEY, PairFormat.PKCS_1),
    "EC PRIVATE KEY": (ObjectType.PRIVATE_KEY, PairFormat.EC_PRIVATE_KEY),
    "PRIVATE KEY": (ObjectType.PRIVATE_KEY, PairFormat.PKCS_8),
    "RSA PUBLIC KEY": (ObjectType.PUBLIC_KEY, PairFormat.PKCS_1),
    "PUBLIC KEY": (ObjectType.PUBLIC_KEY, PairFormat.X_509),
}
_BY_FORM = {form: label for label, form in LABELS.items()}


def read_pem(text: str) -> tuple[ObjectType, PairFormat, Secret]:
    """Return type, format and bytes of a key.

    Raises:
        Invalid: this is no PEM of a key.
    """
    found = _PEM.fullmatch(text)
    kind = LABELS.get(found[1]) if found is not None else None
    if found is None or kind is None:
        raise Invalid("a key of a pair comes as PEM: RSA, EC or PKCS #8 private key, or public key", "invalid.key")
    try:
        return *kind, Secret(b64decode("".join(found[2].split()), validate=True))
    except binascii.Error:
        raise Invalid("the PEM holds no Base64", "invalid.key") from None


def write_pem(object_type: int, form: int, data: bytes) -> str:
    """Return the bytes of a key as PEM; lines keep their breaks."""
    label = _BY_FORM[ObjectType(object_type), PairFormat(form)]
    text = b64encode(data).decode()
    lines = [text[at : at + _LINE_CHARACTERS] for at in range(0, len(text), _LINE_CHARACTERS)]
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))
