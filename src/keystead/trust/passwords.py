"""Keeping passwords so that nobody gets them back: Argon2id in the usual text form; and words that are no passwords.

Law: judging takes the same time whether or not there is an account (`nobodys`), and runs off the loop: it is made slow
on purpose, some 20 to 90 ms and 19 MiB.

Source: RFC 9106; requirements KS-PWD-003, 016; attacks.md class 47; the parameters are those that OWASP names first.
"""

import os
from functools import cache

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from keystead.core.secret import Secret

MEMORY_KIB = 19_456
PASSES_COUNT = 2
LANES_COUNT = 1
SALT_BYTES = 16
DIGEST_BYTES = 32


def kept(password: Secret) -> str:
    """Return what is kept of a password (UTF-8 of its one form): a PHC string of about 100 characters."""
    function = Argon2id(
        salt=os.urandom(SALT_BYTES),
        length=DIGEST_BYTES,
        iterations=PASSES_COUNT,
        lanes=LANES_COUNT,
        memory_cost=MEMORY_KIB,
    )
    return function.derive_phc_encoded(password.reveal())


def is_password(password: Secret, phc: str) -> bool:
    """Tell whether this is the password that a PHC string was made from; False also for a broken one."""
    try:
        Argon2id.verify_phc_encoded(password.reveal(), phc)
    except (InvalidKey, ValueError):
        return False
    return True


@cache
def nobodys() -> str:
    """Return a PHC string of a password that nobody has, to judge by where there is no account."""
    return kept(Secret(os.urandom(DIGEST_BYTES)))


def is_word(text: str) -> bool:
    """Tell whether lower-case text is among the words, names and passwords that people use most."""
    return text in _words()


@cache
def _words() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415  # 12 MB that few processes need

    return frozenset(word for words in FREQUENCY_LISTS.values() for word in words if len(word) > 2)
