"""A log file of lines, appended to in one write at a time.

A full disk is counted, not raised: what reads goes on, and the loss is stated.
"""

import os
from pathlib import Path

from keystead.core.permission import Principal

TEXT_CHARACTERS_MAX = 256


class LogFile:
    """A file opened for appending with mode 0600.

    Attributes:
        lost_count: Lines that could not be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.lost_count = 0
        if _is_torn(path):
            self.write(b"\n")

    def write(self, data: bytes) -> None:
        """Append whole lines."""
        try:
            os.write(self._file, data)
        except OSError:
            self.lost_count += data.count(b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _is_torn(path: Path) -> bool:
    """Tell whether a file ends within a line, as a crash or a full disk may have left it."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(max(size_bytes - 1, 0))
        return size_bytes > 0 and file.read(1) != b"\n"


def one_word(text: str) -> str:
    """Return text safe for a field that ends with a space."""
    return printable(text).replace(" ", "?")


def in_brackets(text: str) -> str:
    """Return text safe for a field that stands in brackets."""
    return printable(text).replace("[", "(").replace("]", ")")


def printable(text: str) -> str:
    """Return text safe for one field of a log line: printable characters only, bounded length."""
    if text.isprintable() and len(text) <= TEXT_CHARACTERS_MAX:
        return text
    return "".join(c if c.isprintable() else "?" for c in text[:TEXT_CHARACTERS_MAX])


def asked_by(principal: Principal) -> str:
    """Return the fields that tell who asked: address, common name, user."""
    return f"{principal.address} [{in_brackets(principal.common_name) or '-'}] {one_word(principal.name) or '-'}"
