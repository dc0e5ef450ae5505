"""Passwords of people: their form, what makes one too easy, and when an account is locked.

Laws: a password is compared and kept in one form (RFC 8265, OpaqueString): composed characters, every kind of blank as
one; nothing of it is cut off. Rules bind passwords that are set afterwards. What is refused is never repeated.

Source: requirements KS-PWD-001 to 007, 014; KS-USR-002; KS-AUTH-010, 011; KS-ADM-015, 016; SM-13; RFC 8265 section 4.2.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from keystead.core.errors import Invalid

CHARACTERS_MAX = 256
DISTINCT_CHARACTERS_MIN = 5
BASED_ON_NAME_CHARACTERS_MIN = 3  # shorter names are in too many words by chance

_PHONE = re.compile(r"[+(]?[\d ()./-]*\d[\d ()./-]*")
_LEET = str.maketrans("014357$@!|", "oiaestsail")
_DECORATION = "0123456789!?.,;:*+-_#$%&@ "


@dataclass(frozen=True, slots=True)
class Rules:
    """What passwords need besides being hard to guess (KS-PWD-005, 006).

    Attributes:
        length_min: Characters.
        lower: At least one small letter.
        upper: At least one capital letter.
        digit: At least one digit.
        special: At least one character that is neither letter nor digit.
        angle: The less-than sign is allowed (KS-NAE-031).
    """

    length_min: int = 8
    lower: bool = False
    upper: bool = False
    digit: bool = False
    special: bool = False
    angle: bool = True


@dataclass(frozen=True, slots=True)
class Lockout:
    """How many wrong passwords in a row lock an account, and for how long.

    Attributes:
        failures_count: 0 = an account is never locked (KS-AUTH-010).
        duration_s: Seconds.
        prolongs: An attempt while it is locked begins the time anew (KS-ADM-016); else it is ignored (KS-AUTH-011).
    """

    failures_count: int
    duration_s: int
    prolongs: bool = False


@dataclass(frozen=True, slots=True)
class Attempts:
    """What is remembered of wrong passwords for one account.

    Attributes:
        failures_count: In a row.
        locked_until_us: When the lock ends; 0 = it is not locked.
    """

    failures_count: int = 0
    locked_until_us: int = 0

    def is_locked(self, now_us: int) -> bool:
        """Tell whether even the right password is of no use now."""
        return now_us < self.locked_until_us

    def failed(self, lockout: Lockout, now_us: int) -> "Attempts":
        """Return what is to be remembered after a wrong password, or after any password while it is locked."""
        until_us = now_us + lockout.duration_s * 1_000_000
        if self.is_locked(now_us):
            return Attempts(self.failures_count, until_us) if lockout.prolongs else self
        count = 1 if self.locked_until_us else self.failures_count + 1  # a lock that ended took its count with it
        if lockout.failures_count and count >= lockout.failures_count:
            return Attempts(count, until_us)
        return Attempts(count)


def prepared(password: str) -> str:
    """Return the one form of a password.

    Raises:
        Invalid: empty, too long, or with characters that nobody can type on purpose.
    """
    if len(password) > CHARACTERS_MAX:
        raise Invalid(f"a password has at most {CHARACTERS_MAX} characters")
    same_blanks = "".join(" " if unicodedata.category(one) == "Zs" else one for one in password)
    form = unicodedata.normalize("NFC", same_blanks)
    if not form or any(unicodedata.category(one) in ("Cc", "Cs", "Cn", "Co", "Zl", "Zp") for one in form):
        raise Invalid("a password is not empty and has no control characters")
    return form


def check_new(password: str, name: str, rules: Rules, is_word: Callable[[str], bool]) -> None:
    """Check a password that somebody wants to set, in its one form.

    Args:
        password: From `prepared`.
        name: Of the account.
        rules: As they are now.
        is_word: Tells whether lower-case text is a word or a password that many people use.

    Raises:
        Invalid: it is too easy, or breaks a rule; says which one.
    """
    if not password.strip():
        raise Invalid("a password is not made of blanks only")
    if len(password) < rules.length_min:
        raise Invalid(f"a password has at least {rules.length_min} characters here")
    if len(set(password)) < DISTINCT_CHARACTERS_MIN:
        raise Invalid(f"a password has at least {DISTINCT_CHARACTERS_MIN} different characters")
    _check_classes(password, rules)
    if _PHONE.fullmatch(password):
        raise Invalid("a password is no number such as that of a telephone")
    if is_based_on(password, name):
        raise Invalid("a password is not made from the name of its account")
    if any(is_word(form) or is_word(form[::-1]) for form in _plain_forms(password)):
        raise Invalid("a password is no word, forwards or backwards, and none that many people use")


def _check_classes(password: str, rules: Rules) -> None:
    for wanted, has, what in (
        (rules.lower, str.islower, "a small letter"),
        (rules.upper, str.isupper, "a capital letter"),
        (rules.digit, str.isdigit, "a digit"),
        (rules.special, lambda one: not one.isalnum() and not one.isspace(), "a special character"),
    ):
        if wanted and not any(map(has, password)):
            raise Invalid(f"a password has at least {what} here".replace("at least a", "at least one", 1))
    if not rules.angle and "<" in password:
        raise Invalid("a password has no less-than sign here")


def _plain_forms(password: str) -> set[str]:
    """Return a password as words are written: small, as it is, without digits and signs around it, without leet."""
    small = password.casefold()
    bare = small.strip(_DECORATION)
    return {form for form in (small, bare, small.translate(_LEET), bare.translate(_LEET)) if form}


def is_based_on(password: str, name: str) -> bool:
    """Tell whether a password holds the name of its account, forwards or backwards; very short names do not count."""
    small = name.casefold()
    if len(small) < BASED_ON_NAME_CHARACTERS_MIN:
        return False
    return any(small in form or small[::-1] in form for form in _plain_forms(password))
