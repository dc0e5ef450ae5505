"""Asking a person for PINs without showing them, or reading them from an answer file.

Law: a PIN is never a command-line argument nor an environment variable (attacks.md class 44).

Source: requirements KS-HSM-024, 026; KS-GEN-010 (interactive command or unattended answer file).
"""

import getpass
import stat
import sys
from pathlib import Path

from keystead.core.errors import Invalid, NotFound
from keystead.core.secret import Secret
from keystead.trust.role_tokens import pin

ANSWERS_BYTES_MAX = 65_536


class Answers:
    """PINs by name, typed by a person or from lines `name = value` of a file ("-": standard input).

    Args:
        source: Answer file of mode 0600, "-", or None to ask at the terminal.
    """

    def __init__(self, source: str | None) -> None:
        self._given = None if source is None else read_answers(source)

    def new_pin(self, name: str, title: str) -> Secret:
        """Return a new PIN; a person types it twice (KS-HSM-024).

        Raises:
            Invalid: not the form of a PIN, or typed differently.
        """
        if self._given is not None:
            return pin(self._answer(name))
        typed = getpass.getpass(f"New PIN for the {title}: ")
        chosen = pin(typed)
        if getpass.getpass("Once more: ") != typed:
            raise Invalid("the two PINs differ; nothing was made", "invalid.field")
        return chosen

    def pin(self, name: str, title: str) -> Secret:
        """Return the PIN of an existing token."""
        return pin(self._answer(name) if self._given is not None else getpass.getpass(f"PIN of the {title}: "))

    def _answer(self, name: str) -> str:
        if self._given is None or name not in self._given:
            raise NotFound(f"the answers lack a line `{name} = PIN`")
        return self._given[name]


def read_answers(source: str) -> dict[str, str]:
    """Return the lines `name = value` of a file that nobody else can read, or of standard input ("-").

    Raises:
        Invalid: others can read it. NotFound: it cannot be read.
    """
    if source == "-":
        text = sys.stdin.read(ANSWERS_BYTES_MAX)
    else:
        path = Path(source)
        try:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise Invalid(f"{source} can be read by others; run `chmod 600 {source}`", "invalid.field")
            text = path.read_text()[:ANSWERS_BYTES_MAX]
        except OSError as error:
            raise NotFound(f"{source}: {error.strerror}") from None
    lines = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in lines}
