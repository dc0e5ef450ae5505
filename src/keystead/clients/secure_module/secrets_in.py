"""How PINs reach the programs: from a terminal without echo, or from a file that only its owner reads; nothing else.

Law: never from the command line or the environment, which others can see.

Source: requirements CA-013; the rule for secrets in docs/design.md section 6.
"""

import getpass
import os
import stat
import sys
from pathlib import Path

from keystead.core.errors import Invalid, Refused
from keystead.core.secret import Secret
from keystead.core.translation import tr

SECRET_BYTES_MAX = 1024


def secret_from(file: Path | None, prompt: str, *, twice: bool = False) -> Secret:
    """Return a PIN.

    Args:
        file: Mode 0600, one line; None = ask at the terminal.
        prompt: What to ask for.
        twice: Ask again, to find typing errors.

    Raises:
        Invalid: nothing was entered, or two different things. Refused: others may read the file.
    """
    if file is not None:
        return _read(file)
    first = getpass.getpass(f"{prompt}: ", sys.stderr)
    if twice and getpass.getpass(tr("{prompt}, once more", prompt=prompt) + ": ", sys.stderr) != first:
        raise Invalid(tr("the two entries differ; nothing was changed"))
    if not first:
        raise Invalid(tr("nothing was entered"))
    return Secret(first.encode())


def _read(file: Path) -> Secret:
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise Refused(tr("others than its owner may read the file with the PIN; set its mode to 0600"))
            text = opened.read(SECRET_BYTES_MAX).rstrip(b"\r\n")
    except OSError as error:
        raise Invalid(tr("the file with the PIN cannot be read: {why}", why=error.strerror)) from None
    if not text:
        raise Invalid(tr("the file with the PIN is empty"))
    return Secret(text)
