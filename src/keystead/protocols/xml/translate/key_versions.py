"""Versions of keys, and what changes a key as a whole: modifying, cloning.

Owner, rights and attributes are those of the key; a request without a number means the default version.

Source: docs/xml-interface.md; requirements KS-NAE-006, 012, 013, 029; KS-KEY-012, 056.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from keystead.core.errors import Invalid
from keystead.core.key_versions import VERSIONS_PER_KEY_COUNT_MAX
from keystead.core.records import ManagedObject
from keystead.core.secret import Secret
from keystead.operations.admin_keys_made import KeyEncoding
from keystead.operations.key_changes import ModifyKey
from keystead.operations.key_clones import CloneKey
from keystead.operations.key_versions import VERSIONS_LISTED_COUNT_MAX, CreateVersion, ImportVersion, KeyVersion
from keystead.protocols.xml.translate.fields import FLAG, ID, KEY_NAME, RAW, Field, Kind, Mark, choice, number
from keystead.protocols.xml.translate.work import KEY_VERSION, Answer, Asked, Row, Work, words
from keystead.protocols.xml.wire.elements import Element, of

VALUE_CHARACTERS_MAX = 4_096
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _make_version(asked: Asked) -> Work:
    name, data = asked.values["KeyName"], asked.values.get("KeyData")
    request: CreateVersion | ImportVersion = CreateVersion(name)
    if data is not None:
        request = ImportVersion(name, Secret(data.strip().encode()), KeyEncoding.HEXADECIMAL)

    def answer(results: list[Any]) -> Answer:
        made: KeyVersion = results[0]
        return Answer((words("KeyName", made.key), *_identity(made.version, made.id, made.default_iv)))

    return Work((request,), answer, name)


def _make_modify(asked: Asked) -> Work:
    values, name = asked.values, asked.values["KeyName"]
    given = values.get("CustomAttributeList", ())
    written = tuple(f"{key}={value}" for key, value in given if value)
    without = tuple(key for key, value in given if not value)
    flags = values.get("Deletable"), values.get("Exportable")
    request = ModifyKey(name, values.get("NewKeyName"), *flags, attributes=written, without=without)
    return Work((request,), lambda _results: Answer((words("KeyName", values.get("NewKeyName", name)),)), name)


def _make_clone(asked: Asked) -> Work:
    name = asked.values["KeyName"]
    request = CloneKey(name, asked.values["NewKeyName"], "VersionedKey" in asked.values)
    return Work((request,), lambda results: Answer((words("KeyName", results[0].key.name),)), name)


def told_life(record: ManagedObject, now_us: int) -> tuple[Element, ...]:
    """Return what is told of a key's state, or of the version that its record is."""
    versioning = record.versioning
    if versioning is None:
        state = "-".join(word.capitalize() for word in record.state(now_us).name.split("_"))
        return words("Versioned", False), words("State", state)
    told = (
        words("Versioned", True),
        words("KeyVersionNumber", versioning.number),
        words("KeyID", record.id),
        words("KeyVersionState", versioning.state.capitalize()),
        words("CreationDate", _moment(record.initial_us)),
        *_iv(versioning.iv.hex()),
    )
    if not versioning.is_default:
        return told
    retired_count = versioning.number - versioning.active_count - versioning.restricted_count
    return (
        *told,
        words("NumKeyVersions", versioning.number),
        words("NumActiveVersions", versioning.active_count),
        words("NumRestrictedVersions", versioning.restricted_count),
        words("NumRetiredVersions", retired_count),
    )


def listed_versions(found: Sequence[KeyVersion]) -> tuple[Element, ...]:
    """Return an element for each version."""
    return tuple(
        of(
            "Version",
            [
                *_identity(one.version, one.id, one.default_iv),
                words("KeyVersionState", one.state.capitalize()),
                words("CreationDate", _moment(one.created_us)),
            ],
        )
        for one in found
    )


def _identity(version: int, version_id: str, iv: str) -> tuple[Element, ...]:
    return words(KEY_VERSION, version), words("KeyID", version_id), *_iv(iv)


def _iv(iv: str) -> tuple[Element, ...]:
    return (words("DefaultIV", iv),) if iv else ()


def _moment(moment_us: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=moment_us):%Y-%m-%dT%H:%M:%SZ}"


def _read_attributes(element: Element) -> tuple[tuple[str, str], ...]:
    found = []
    for child in element.children:
        values = {one.name: one.text for one in child.children}
        is_known = child.name == "CustomAttribute" and values.keys() <= {"Name", "Value"} and "Name" in values
        if not is_known or len(values) != len(child.children):
            raise Invalid("CustomAttributeList holds CustomAttribute of Name and Value", "invalid.field")
        name, value = values["Name"].strip(), values.get("Value", "")
        if not name or "=" in name or len(value) > VALUE_CHARACTERS_MAX:
            raise Invalid("a CustomAttribute has a Name without '=' and at most 4,096 characters", "invalid.field")
        found.append((name, value))
    return tuple(found)


_ATTRIBUTES = Kind("list of CustomAttribute, each Name and Value", _read_attributes)
_TRUTH = choice("true, false", {"true": True, "false": False})
_NAME = Field("KeyName", KEY_NAME, Mark.OURS, required=True)
_NEW_NAME = Field("NewKeyName", KEY_NAME, Mark.OURS)
_IDENTITY = (
    Field(KEY_VERSION, None, Mark.OURS, about="its number"),
    Field("KeyID", None, Mark.OURS, about="KMIP clients use exactly this version by it"),
    Field("DefaultIV", None, Mark.OURS, about="of AES and other block ciphers; used where a client gives it as IV"),
)

VERSION = Field(
    KEY_VERSION, number(1, VERSIONS_PER_KEY_COUNT_MAX), Mark.OURS, about="absent: the default version, the newest"
)
VERSIONS_PAGE = (
    Field("Maximum", number(1, VERSIONS_LISTED_COUNT_MAX), Mark.OURS, about="lists at most so many versions"),
    Field("Below", number(2, VERSIONS_PER_KEY_COUNT_MAX), Mark.OURS, about="of them, those of lower numbers"),
)
VERSION_INFO = (
    Field("KeyVersionNumber", None, Mark.WITNESSED, about="of a versioned key: which version this tells of"),
    *_IDENTITY[1:],
    Field("KeyVersionState", None, Mark.OURS, about="Active, Restricted, Retired; a versioned key has no State"),
    Field("CreationDate", None, Mark.OURS, about="of the version, UTC"),
    Field("NumKeyVersions", None, Mark.WITNESSED, about="with the default version"),
    *(Field(f"Num{state}Versions", None, Mark.WITNESSED) for state in ("Active", "Restricted", "Retired")),
    Field("Version", None, Mark.OURS, multiple=True, about="newest first; KeyVersion and what is told of it"),
)

ROWS: dict[str, Row] = {
    "KeyVersionGenRequest": Row(
        (
            ID,
            _NAME,
            Field("KeyData", RAW, Mark.OURS, about="hexadecimal; only of a key that was imported"),
            Field("KeyVersionState", None, about="the newest version is active"),
        ),
        _make_version,
        "Makes the next version of a versioned key, which is the default one from then on",
        (_NAME._replace(required=False, kind=None), *_IDENTITY),
    ),
    "KeyModifyRequest": Row(
        (
            ID,
            _NAME,
            _NEW_NAME,
            Field("Deletable", _TRUTH, Mark.OURS, about="false takes it away; only an administrator gives it"),
            Field("Exportable", _TRUTH, Mark.OURS, about="false takes it away; only an administrator gives it"),
            Field("CustomAttributeList", _ATTRIBUTES, Mark.OURS, about="without Value, or an empty one: taken away"),
            Field("Owner", None, Mark.OURS, about="changed by an administrator's command"),
            Field("Permissions", None, Mark.OURS, about="grant rights by an administrator's command"),
        ),
        _make_modify,
        "Changes a key of one's own with all its versions, everything that is given or nothing",
        (_NAME._replace(required=False, kind=None, about="its name from now on"),),
    ),
    "KeyCloneRequest": Row(
        (
            ID,
            _NAME,
            _NEW_NAME._replace(required=True),
            Field("VersionedKey", FLAG, Mark.OURS, about="the clone can have versions; of a key without them"),
        ),
        _make_clone,
        "Makes another key with the same bytes, rights and attributes; of a versioned key with all of its versions",
        (_NAME._replace(required=False, kind=None, about="of the clone"),),
    ),
}
"""Requests about versions, and about keys as a whole."""
