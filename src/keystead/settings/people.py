"""Passwords and the locking of accounts.

Chapter: Password Management; Key Server (user account lockout). Rows: KS-PWD-005 to 008, 011; KS-AUTH-010, 011;
KS-NAE-031; AMB-01.
"""

from dataclasses import dataclass

from keystead.core.permission import Access
from keystead.settings.section import Section, described, section


@section
@dataclass(frozen=True, slots=True)
class Passwords(Section):
    """What new passwords need; length and kinds bind users too, age and history administrators only (KS-PWD-007)."""

    name, title, access = "passwords", "Password management", Access.HIGH_ACCESS
    length_min: int = described("Shortest password, characters", 8, minimum=5, maximum=256)
    lower: bool = described("At least one small letter", False)
    upper: bool = described("At least one capital letter", False)
    digit: bool = described("At least one digit", False)
    special: bool = described("At least one character that is neither letter nor digit", False)
    angle: bool = described("The less-than sign is allowed in passwords of users", True)
    age_days: int = described("Administrators change their password after, days; 0 = never", 0, minimum=0, maximum=365)
    history_count: int = described("Former passwords that are not taken again; 0 = none", 0, minimum=0, maximum=25)


@section
@dataclass(frozen=True, slots=True)
class UserLockout(Section):
    """Locking a user's account after wrong passwords in a row (SM-13)."""

    name, title, access = "user_lockout", "User account lockout", Access.KEY_SERVER
    enabled: bool = described("Lock accounts after wrong passwords", True)
    failures_count: int = described("Wrong passwords in a row that lock an account", 5, minimum=1, maximum=100)
    duration_s: int = described("Locked for, seconds", 60, minimum=1, maximum=86_400)
