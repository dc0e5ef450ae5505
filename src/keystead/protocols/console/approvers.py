"""Administrators who stand beside whoever fills in a form, and approve it there and then with name and password. Pure.

Law: their passwords are in no page; what is wrong with them is said in one sentence, and then nothing was done.

Source: requirement KS-MC-008; docs/adr/0070.
"""

from collections.abc import Mapping

from keystead.core.errors import Invalid
from keystead.core.secret import Secret

NAME, PASSWORD = "approver-name", "approver-password"  # names of fields


def credentials_of(posted: Mapping[str, list[str]]) -> tuple[tuple[str, Secret], ...]:
    """Return the names and passwords that were typed; none = the request may have to wait.

    Raises:
        Invalid: a name without a password, or the other way round.
    """
    names, passwords = posted.get(NAME, []), posted.get(PASSWORD, [])
    typed = [(name.strip(), password) for name, password in zip(names, passwords, strict=False)]
    typed = [one for one in typed if any(one)]
    if len(names) != len(passwords) or not all(name and password for name, password in typed):
        raise Invalid("whoever approves beside you types name and password", "invalid.field")
    return tuple((name, Secret(password.encode(errors="replace"))) for name, password in typed)
