"""Names of users and groups that come from a directory: one spelling each, whatever a directory takes for the same.

A directory finds `alice` for `ALICE`, ` alice ` or letters of full width. Whoever decides by names must not: a name
counts only as what a local user could be called too, in small letters, and only if it is what was asked for.

Source: requirements KS-GEN-013, KS-USR-001; AMB-71; attacks.md class 9; docs/adr/0091.
"""

import re

NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


def directory_name(text: str) -> str | None:
    """Return the one spelling of a name; None when it is none that is used here."""
    folded = text.lower() if text.isascii() else ""
    return folded if NAME.fullmatch(folded) else None
