"""Words for people in their own language: messages are written in English and looked up where they are said.

Laws: nothing is translated before a program asks for it (a node never does: logs, protocols and audit entries have one
language); what is unknown stays English; a catalogue comes with the program and never from a peer.

Source: requirement CA-030; GNU gettext's rules for messages; docs/adr/0095-translations.md.
"""

from collections.abc import Callable


class _Chosen:
    """The language of this process."""

    language = "en"
    look_up: Callable[[str], str] = staticmethod(lambda message: message)


def use(language: str, look_up: Callable[[str], str]) -> None:
    """Say everything in another language from now on.

    Args:
        language: Its tag, such as "de" (RFC 5646).
        look_up: Returns what a message is in it; the message itself when it is not known.
    """
    _Chosen.language, _Chosen.look_up = language, staticmethod(look_up)


def language() -> str:
    """Return the tag of the language that is in use."""
    return _Chosen.language


def tr(message: str, **fields: object) -> str:
    """Return a message in the language that is in use.

    Args:
        message: In English; a constant here, or one that was marked elsewhere. Fields stand in braces.
        fields: What to put in their places.
    """
    said = _Chosen.look_up(message) if message else ""
    return said.format(**fields) if fields else said


def mark(message: str) -> str:
    """Mark a message as one that `tr` gets somewhere else. Returns it unchanged."""
    return message
