"""Version, login, random numbers, clients' events, what the device is.

Source: docs/xml-interface.md; requirements KS-NAE-003, 019, 020; KS-LOG-013, 014; AMB-17.
"""

import re
from typing import Any

import keystead
from keystead.core.errors import Invalid, NotSupported
from keystead.core.secret import Secret
from keystead.operations.client_events import EVENT_BYTES_MAX, RecordEvent
from keystead.operations.information import Query
from keystead.operations.logins import AccountKind, Door, LogIn
from keystead.operations.random_numbers import RANDOM_BYTES_MAX, RngRetrieve
from keystead.protocols.xml.translate.fields import BASE64, ID, Field, Kind, Mark, number, text
from keystead.protocols.xml.translate.work import Answer, Asked, Row, Work, words
from keystead.protocols.xml.wire.elements import Element

VERSIONS_COUNT_MAX = 100
PASSWORD_CHARACTERS_MAX = 256
NAME_CHARACTERS_MAX = 255
_UNLOGGED = re.compile(r"[^\x21-\x7e]")
_VERSION = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})")
_SPOKEN = ((1, 1, 99), (2, 0, 10), (3, 0, 1))
"""Major version, first and last minor one."""


def is_spoken(version: tuple[int, int]) -> bool:
    """Tell whether a version of the protocol may be agreed upon; 2.10 follows 2.9."""
    return any(version[0] == major and first <= version[1] <= last for major, first, last in _SPOKEN)


def _read_version(element: Element) -> tuple[int, int]:
    found = _VERSION.fullmatch(element.text.strip())
    if found is None or element.children:
        raise Invalid(f"{element.name} is two numbers with a point between them", "invalid.field")
    return int(found[1]), int(found[2])


def _read_versions(element: Element) -> tuple[tuple[int, int], ...]:
    if not 1 <= len(element.children) <= VERSIONS_COUNT_MAX or any(c.name != "Version" for c in element.children):
        raise Invalid("VersionList holds 1 to 100 Version elements", "invalid.field")
    return tuple(_read_version(child) for child in element.children)


def _read_password(element: Element) -> Secret:
    if element.children or not 1 <= len(element.text) <= PASSWORD_CHARACTERS_MAX:
        raise Invalid("Passwd is 1 to 256 characters", "invalid.field")
    return Secret(element.text.encode())


def _make_version(asked: Asked) -> Work:
    agreed = next((version for version in asked.values["VersionList"] if is_spoken(version)), None)
    if agreed is None:
        raise NotSupported(
            "none of these versions is spoken here; 1.1 to 2.10, 3.0 and 3.1 are", "not_supported.version"
        )
    return Work((), lambda _results: Answer((words("Version", f"{agreed[0]}.{agreed[1]}"),)))


def _make_auth(asked: Asked) -> Work:
    name = asked.values["User"]
    request = LogIn(name, asked.values["Passwd"], AccountKind.USER, Door.KEY_SERVER)
    return Work((request,), lambda _results: Answer(), detail=name)


def _make_random(asked: Asked) -> Work:
    size_bytes = asked.values["Size"]
    return Work((RngRetrieve(size_bytes),), _random, detail=str(size_bytes))


def _random(results: list[Any]) -> Answer:
    return Answer(chunks=(results[0].data.reveal(),))


def _make_device(_asked: Asked) -> Work:
    told = (words("DeviceModel", "keystead"), words("SoftwareVersion", keystead.__version__))
    return Work((Query(()),), lambda _results: Answer(told))


def _make_event(asked: Asked) -> Work:
    message, size_bytes = asked.values["Message"], asked.values["MessageSize"]
    if size_bytes != len(message):
        raise Invalid("MessageSize is how many bytes the Message holds once it is decoded", "invalid.field")
    return Work((RecordEvent(message, log_number(asked.values["ID"])),), lambda _results: Answer())


def log_number(number: str) -> str:
    """Return the ID of a request as one word of a log line."""
    return _UNLOGGED.sub("?", number)


VERSION = Row(
    (
        Field("MessageVersion", Kind("version", _read_version), required=True, about="of this message; any"),
        ID,
        Field("VersionList", Kind("list of Version", _read_versions), required=True, about="best first"),
    ),
    _make_version,
    "Agrees on the first version of the list that is spoken; first on the connection, or not at all",
    (Field("Version", None, about="stands before ID and Success"),),
    unproven=True,
)
AUTH = Row(
    (
        ID,
        Field("User", text(NAME_CHARACTERS_MAX), Mark.WITNESSED, required=True),
        Field("Passwd", Kind("text, 1 to 256 characters", _read_password), Mark.WITNESSED, required=True),
    ),
    _make_auth,
    "Logs in, before anything but VersionRequest; a failure ends the connection",
    unproven=True,
)
RANDOM = Row(
    (ID, Field("Size", number(1, RANDOM_BYTES_MAX), required=True, about="bytes")),
    _make_random,
    "Random bytes",
    data="answer",
)
DEVICE = Row(
    (ID,),
    _make_device,
    "What the server is",
    (Field("DeviceModel", None, Mark.OURS), Field("SoftwareVersion", None, Mark.OURS)),
)
EVENT = Row(
    (
        ID,
        Field(
            "MessageSize",
            number(0, EVENT_BYTES_MAX),
            required=True,
            about="bytes of the message; that it is decoded is ours",
        ),
        Field("Message", BASE64, required=True),
    ),
    _make_event,
    "Writes a line of the client event log",
)
