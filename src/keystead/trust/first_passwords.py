"""Passwords that one person hands to another: easy to read aloud, hard to guess, good for one login.

Law: every character comes from the system's generator; letters and digits that look alike are left out.

Source: requirements KS-PWD-005, 006, 012; KS-ADM-005.
"""

import secrets

from keystead.core.passwords import is_based_on
from keystead.core.secret import Secret

BLOCK_CHARACTERS = 5
BLOCKS_COUNT_MIN = 4
_KINDS = ("abcdefghjkmnpqrstuvwxyz", "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789")
_ALL = "".join(_KINDS)


def first_password(length_min: int = 0, name: str = "") -> Secret:
    """Return a new password of blocks with hyphens between them, with letters of both sizes and digits.

    Args:
        length_min: It has at least so many characters.
        name: Of the account; by chance, a short one could be in it.
    """
    blocks_count = max(BLOCKS_COUNT_MIN, -(-(length_min + 1) // (BLOCK_CHARACTERS + 1)))
    while True:
        blocks = ["".join(secrets.choice(_ALL) for _ in range(BLOCK_CHARACTERS)) for _ in range(blocks_count)]
        found = "-".join(blocks)
        if all(any(one in kind for one in found) for kind in _KINDS) and not (name and is_based_on(found, name)):
            return Secret(found.encode())
