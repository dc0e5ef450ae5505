"""DES keys that are none: wrong parity, and the keys under which DES undoes itself.

Source: NIST SP 800-67 revision 2 (parity; weak and semi-weak keys; keying options); requirement KS-KEY-037.
"""

from itertools import pairwise

from keystead.core.algorithms import Algorithm, with_odd_parity
from keystead.core.errors import Invalid

PART_BYTES = 8

_WEAK = frozenset(
    bytes.fromhex(digits)
    for digits in (
        *("0101010101010101", "FEFEFEFEFEFEFEFE", "E0E0E0E0F1F1F1F1", "1F1F1F1F0E0E0E0E"),
        *("011F011F010E010E", "1F011F010E010E01", "01E001E001F101F1", "E001E001F101F101"),
        *("01FE01FE01FE01FE", "FE01FE01FE01FE01", "1FE01FE00EF10EF1", "E01FE01FF10EF10E"),
        *("1FFE1FFE0EFE0EFE", "FE1FFE1FFE0EFE0E", "E0FEE0FEF1FEF1FE", "FEE0FEE0FEF1FEF1"),
    )
)
"""The 4 weak and the 12 semi-weak keys, with odd parity."""


def check_des(algorithm: int, material: bytes) -> None:
    """Check the bytes of a DES or DES-EDE key; those of other algorithms pass, as does a wrong length.

    Raises:
        Invalid: wrong parity, a weak key, or parts that are the same, which leaves less of DES-EDE.
    """
    if algorithm not in (Algorithm.DES, Algorithm.DES3):
        return
    if with_odd_parity(material) != material:
        raise Invalid("a byte of the DES key has wrong parity; each has an odd number of bits", "invalid.key")
    parts = [material[at : at + PART_BYTES] for at in range(0, len(material), PART_BYTES)]
    if any(part in _WEAK for part in parts):
        raise Invalid("this is one of the weak keys of DES; use another", "invalid.key")
    if any(one == other for one, other in pairwise(parts)):
        raise Invalid("parts of the DES-EDE key are the same, which undoes it; use another", "invalid.key")
