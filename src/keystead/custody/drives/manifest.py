"""What is public of a drive and of a set: identity, visit and manifest, each signed or authenticated. Pure.

Source: requirements CB-009, 010, 011; AMB-54, AMB-57; docs/adr/0082.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cbor2

from keystead.core.errors import Invalid, NotSupported, Tampered
from keystead.trust.origins import Origin, OriginKey
from keystead.trust.sealing import frame

SET_SIZES = (3, 5, 7)
DRIVE_NAME_CHARACTERS_MAX = 64
SIGNED_BYTES_MAX = 65_536
ID_BYTES = 16
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a drive is, signed by the node that registered it.

    Attributes:
        id: 16 random bytes.
        name: What people call it, such as the text of its sticker.
        registered_at: Microseconds since 1970, UTC.
    """

    id: bytes
    name: str
    registered_at: int


@dataclass(frozen=True, slots=True)
class Partition:
    """What a set holds of one partition.

    Attributes:
        slot: Number of the slot at the time of the backup.
        label: Of the token; names the partition.
        keys_count: How many objects are saved.
        digest: SHA-256 over all of them as they are sealed.
    """

    slot: int
    label: str
    keys_count: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a set is; public, and signed by the node that wrote it.

    Attributes:
        set_id: 16 random bytes.
        made_at: Microseconds since 1970, UTC.
        number: Counts the sets of the node, from 1.
        drives: Ids of all drives of the set: 3, 5 or 7.
        envelope_bytes: Length of the envelope.
        envelope_digest: SHA-512 of it.
        partitions: What is in it.
        unsaved_count: Objects that no module let out; named inside the envelope.
    """

    set_id: bytes
    made_at: int
    number: int
    drives: tuple[bytes, ...]
    envelope_bytes: int
    envelope_digest: bytes
    partitions: tuple[Partition, ...]
    unsaved_count: int

    @property
    def keys_count(self) -> int:
        """Return how many objects the set holds."""
        return sum(each.keys_count for each in self.partitions)


def check_size(count: int) -> None:
    """Check the number of drives.

    Raises:
        Invalid: not 3, 5 or 7.
    """
    if count not in SET_SIZES:
        raise Invalid(f"a set has 3, 5 or 7 drives, not {count}")


def check_name(name: str) -> None:
    """Check a drive's name.

    Raises:
        Invalid: empty, longer than 64 characters, or not printable.
    """
    if not 1 <= len(name) <= DRIVE_NAME_CHARACTERS_MAX or not name.isprintable():
        raise Invalid(f"a drive's name has 1 to {DRIVE_NAME_CHARACTERS_MAX} printable characters")


def sign_identity(identity: Identity, origin: Origin) -> bytes:
    """Return the bytes of an identity file."""
    return _signed({"id": identity.id, "name": identity.name, "at": identity.registered_at}, origin, "drive-identity")


def read_identity(data: bytes, origins: Mapping[bytes, OriginKey]) -> Identity:
    """Check and read an identity file.

    Raises:
        Tampered: changed, or of a node that is not trusted here. Invalid, NotSupported: breaks its form.
    """
    fields = _verified(data, origins, "drive-identity")
    return Identity(_id(fields["id"]), str(fields["name"]), int(fields["at"]))


def sign_manifest(manifest: Manifest, origin: Origin) -> bytes:
    """Return the bytes of a manifest file."""
    partitions = [[each.slot, each.label, each.keys_count, each.digest] for each in manifest.partitions]
    fields = {
        "set": manifest.set_id,
        "at": manifest.made_at,
        "number": manifest.number,
        "drives": list(manifest.drives),
        "bytes": manifest.envelope_bytes,
        "digest": manifest.envelope_digest,
        "partitions": partitions,
        "unsaved": manifest.unsaved_count,
    }
    return _signed(fields, origin, "drive-set")


def read_manifest(data: bytes, origins: Mapping[bytes, OriginKey]) -> Manifest:
    """Check and read a manifest file.

    Raises:
        Tampered: changed, or of a node that is not trusted here. Invalid, NotSupported: breaks its form.
    """
    fields = _verified(data, origins, "drive-set")
    partitions = tuple(Partition(int(s), str(n), int(c), bytes(d)) for s, n, c, d in fields["partitions"])
    drives = tuple(_id(each) for each in fields["drives"])
    check_size(len(drives))
    return Manifest(
        set_id=_id(fields["set"]),
        made_at=int(fields["at"]),
        number=int(fields["number"]),
        drives=drives,
        envelope_bytes=int(fields["bytes"]),
        envelope_digest=bytes(fields["digest"]),
        partitions=partitions,
        unsaved_count=int(fields["unsaved"]),
    )


def visit_of(mac_key: bytes, drive_id: bytes, nonce: bytes) -> bytes:
    """Return what a drive must show at the next visit after the one with this nonce."""
    return hmac.digest(mac_key, frame(b"keystead/drive-visit/1", drive_id, nonce), hashlib.sha256)


def _signed(fields: dict[str, Any], origin: Origin, purpose: str) -> bytes:
    encoded = cbor2.dumps({"format": _FORMAT, **fields}, canonical=True)
    return cbor2.dumps([encoded, origin.key.id, origin.sign(encoded, purpose)], canonical=True)


def _verified(data: bytes, origins: Mapping[bytes, OriginKey], purpose: str) -> dict[str, Any]:
    try:
        encoded, origin_id, signature = cbor2.loads(data)
        origin = origins.get(origin_id)
        parts = bytes(encoded), bytes(signature)
    except (cbor2.CBORError, ValueError, TypeError):
        raise Tampered("the file was damaged: it has not its form any more") from None
    if origin is None:
        raise Tampered("the file was signed by another node, which is not trusted here")
    origin.verify(parts[1], parts[0], purpose)
    fields: dict[str, Any] = cbor2.loads(parts[0])
    if fields.pop("format", None) != _FORMAT:
        raise NotSupported("the drive was written by a newer version")
    return fields


def _id(value: Any) -> bytes:
    if not isinstance(value, bytes) or len(value) != ID_BYTES:
        raise Invalid(f"an id has {ID_BYTES} bytes")
    return value
