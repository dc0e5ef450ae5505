"""Records of versioned keys: the first version, the default one that becomes an older one, the walk along all of them.

The record of a versioned key is its default version, with name, owner, grants and attributes of all of them. An older
version is a record of its own kind, in the family of its key; the family's own record says which the default one is.

Source: requirements KS-KEY-012, 014; docs/adr/0075.
"""

from collections.abc import Iterator
from typing import NamedTuple

from keystead.core.algorithms import Mode
from keystead.core.attribute_changes import LIMITS
from keystead.core.attribute_table import ObjectType
from keystead.core.changes import Put
from keystead.core.errors import Invalid, NotSupported, Tampered
from keystead.core.handles import made_up
from keystead.core.key_versions import Versioning, VersionState, place_of
from keystead.core.lifecycle import State, next_transition_at
from keystead.core.records import KIND_KEY_VERSION, ManagedObject, Record
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.versions import DEFAULT, FAMILY, NUMBER
from keystead.storage.store import Loaded
from keystead.trust.ciphers import new_iv

VERSIONS_AT_ONCE_COUNT = 1_000


class Version(NamedTuple):
    """An older version as it is stored: its record and what is in its record."""

    record: Record
    loaded: Loaded

    @property
    def number(self) -> int:
        """From 1."""
        return int(self.record.fields[NUMBER])

    @property
    def state(self) -> VersionState:
        """What it may be used for."""
        return VersionState(self.record.fields["state"])


def first_version(call: Call, record: ManagedObject) -> tuple[ManagedObject, Put]:
    """Return a new key as a versioned one, and the record of its family.

    Raises:
        Invalid: it is no symmetric key, its use is limited, or it is not active for good from now on.
    """
    check_versionable(record, call.now_us)
    family = new_id(call.now_us)
    versioning = Versioning(family, 1, default_iv(record.shape.algorithm), 1)
    pointer = Record(KIND_KEY_VERSION, family, family, {DEFAULT: record.id}, record.realm)
    return record._replace(versioning=versioning), Put(pointer)


def check_versionable(record: ManagedObject, now_us: int) -> None:
    """Check that a key can have versions.

    Raises:
        Invalid: as `first_version`.
    """
    if record.object_type != ObjectType.SYMMETRIC_KEY:
        raise Invalid("only symmetric keys have versions, MAC keys among them", "invalid.object_type")
    if record.protection.wrapped:
        raise Invalid("a key that is kept wrapped has no versions", "invalid.object_type")
    if record.attributes.first(LIMITS) is not None:
        raise Invalid("a key with usage limits has no versions", "invalid.attribute")
    dates = record.dates
    is_plain = dates.process_start_us is None and dates.protect_stop_us is None
    if record.state(now_us) is not State.ACTIVE or next_transition_at(dates, now_us) is not None or not is_plain:
        raise Invalid("a versioned key is active from now on; its versions have states instead of dates")


def default_iv(algorithm: int) -> bytes:
    """Draw the default IV of a new version; b"" for an algorithm without any."""
    try:
        return new_iv(algorithm, int(Mode.CBC)) or b""
    except (NotSupported, Invalid):
        return b""


def as_older(record: ManagedObject, now_us: int) -> Record:
    """Return the record in which a default version is kept from now on; its material goes with it."""
    versioning = versioning_of(record)
    fields = {
        FAMILY: versioning.family,
        NUMBER: versioning.number,
        "state": str(versioning.state),
        "made_us": record.initial_us,
        "changed_us": now_us,
        "iv": versioning.iv,
        "digest": record.digest,
    }
    place = place_of(versioning.family, versioning.number)
    return Record(KIND_KEY_VERSION, record.id, place, fields, record.realm, None, record.material)


def without_name(record: ManagedObject) -> ManagedObject:
    """Return a default version that gives its name to the next one; it is removed in the same change."""
    return record._replace(handle=made_up(versioning_of(record).family))


def versioning_of(record: ManagedObject) -> Versioning:
    """Return what a key knows of its versions.

    Raises:
        Invalid: it has none.
    """
    if record.versioning is None:
        raise Invalid("the key has no versions; clone it into a versioned key", "invalid.object_type")
    return record.versioning


def family_record(call: Call, record: ManagedObject) -> Record:
    """Return the record of a key's family. Raises Tampered."""
    family = versioning_of(record).family
    loaded = call.desk.objects.reader.record(KIND_KEY_VERSION, family)
    if loaded is None or not isinstance(loaded.record, Record):
        raise Tampered(f"key {record.id} lacks the record of its versions; run `keystead verify`")
    return loaded.record


def older_version_of(call: Call, record: ManagedObject, number: int) -> Version | None:
    """Return an older version by its number, None when there is none."""
    place = place_of(versioning_of(record).family, number)
    loaded = call.desk.objects.reader.by_handle(record.realm, KIND_KEY_VERSION, place)
    return None if loaded is None or not isinstance(loaded.record, Record) else Version(loaded.record, loaded)


def older_versions(call: Call, record: ManagedObject, below: int, limit_count: int) -> Iterator[Version]:
    """Yield older versions, newest first: those of a lower number than one, at most so many."""
    family, reader = versioning_of(record).family, call.desk.objects.reader
    left_count = min(below - 1, limit_count)
    while left_count > 0:
        count = min(left_count, VERSIONS_AT_ONCE_COUNT)
        found = reader.list_records(KIND_KEY_VERSION, place_of(family, below), count, record.realm)
        for loaded in found:
            if not isinstance(loaded.record, Record) or loaded.record.fields.get(FAMILY) != family:
                raise Tampered(f"key {record.id} lacks one of its versions; run `keystead verify`")
            yield Version(loaded.record, loaded)
        if len(found) < count:
            raise Tampered(f"key {record.id} lacks one of its versions; run `keystead verify`")
        left_count -= count
        below -= count
