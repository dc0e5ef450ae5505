"""Records: what the stores keep. One canonical, authenticated document per record of every kind.

A record's document is canonical CBOR (RFC 8949 section 4.2). The head of a managed object is decoded at once, its
attributes only when somebody asks for them: serving a key must not pay for attributes nobody reads.

Source: design.md sections 5 to 7.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from keystead.core.attributes import NONE, Attributes
from keystead.core.key_versions import Versioning
from keystead.core.lifecycle import Dates, State, state_at

NO_GRANTS: Mapping[str, int] = MappingProxyType({})
ROOT_REALM = "root"
KIND_OBJECT = "object"
KIND_USER = "user"
KIND_GROUP = "group"
KIND_REALM = "realm"
KIND_AUTHORITY = "authority"
KIND_SETTINGS = "settings"
KIND_SERVER_KEY = "server_key"
KIND_MODULE = "module"
KIND_CERTIFICATE = "certificate"
KIND_ADMINISTRATOR = "administrator"
KIND_TRUST_PROFILE = "trust_profile"
KIND_REVOCATION_LIST = "revocation_list"
KIND_API_TOKEN = "api_token"  # noqa: S105  # what it is called
KIND_AUDIT_KEY = "audit_key"
KIND_AUDIT_TREE = "audit_tree"
KIND_APPROVAL = "approval"
KIND_POLICY = "policy"
KIND_KEY_VERSION = "key_version"
KIND_KEY_ATTRIBUTE = "key_attribute"
KIND_KEY_QUERY = "key_query"
KINDS = (
    *(KIND_OBJECT, KIND_USER, KIND_GROUP, KIND_REALM, KIND_AUTHORITY),
    *(KIND_SETTINGS, KIND_SERVER_KEY, KIND_MODULE, KIND_CERTIFICATE),
    *(KIND_ADMINISTRATOR, KIND_TRUST_PROFILE, KIND_REVOCATION_LIST, KIND_API_TOKEN),
    *(KIND_AUDIT_KEY, KIND_AUDIT_TREE, KIND_APPROVAL, KIND_POLICY, KIND_KEY_VERSION),
    *(KIND_KEY_ATTRIBUTE, KIND_KEY_QUERY),
)


class MaterialReference(NamedTuple):
    """Which sealed material belongs to a record.

    Attributes:
        id: Identifier of the material, bound by its AEAD.
        version: Rises when the material is sealed anew; bound by its AEAD.
        sealed_digest: SHA-256 over the sealed bytes as stored, 32 bytes; binds the material to the document.
    """

    id: str
    version: int
    sealed_digest: bytes


class KeyShape(NamedTuple):
    """What kind of key the material is; every number is KMIP's enumeration value. 0 or None = not applicable."""

    algorithm: int = 0
    length_bits: int = 0
    format: int = 0  # Key Format Type; bytes that came in a transparent form are stored in another
    usage_mask: int = 0  # Cryptographic Usage Mask
    subtype: int = 0  # Secret Data Type, Opaque Data Type, Certificate Type, PGP Key Version


class Protection(NamedTuple):
    """Flags that guard the material (KMIP 1.4 sections 3.40 to 3.49; KS-KEY-008, 009)."""

    deletable: bool = True
    exportable: bool = True
    sensitive: bool = False
    always_sensitive: bool = False
    extractable: bool = True
    never_extractable: bool = False
    fresh: bool = True
    wrapped: bool = False  # the material is wrapped by another key, as it came; it can only be handed out so


class ManagedObject(NamedTuple):
    """A key, secret or other object under management.

    Attributes:
        id: UUID version 7 in its usual text form; KMIP's Unique Identifier.
        object_type: KMIP's Object Type enumeration value.
        owner: Name of the owning user; None = global.
        handle: Name unique per realm and kind (KS-KEY-002); generated for objects made over KMIP.
        revision: Of the stored record, from 1; 0 = not stored yet.
        grants: Group name, `permission.personal` of a user, or `permission.conditional` of a policy and a group -> bit
            mask of `permission.Right`.
        digest: SHA-256 of the clear key material (KMIP's Digest attribute), kept only of keys of 112 bits and
            more: of a password it would let a thief of the file test guesses. Otherwise made when it is asked for.
        attributes: Everything of the multimap that is not in the head.
        versioning: Of a versioned key; the record is its default version, or stands for an older one.
    """

    id: str
    realm: str
    object_type: int
    owner: str | None
    handle: str
    initial_us: int
    last_change_us: int
    shape: KeyShape = KeyShape()
    dates: Dates = Dates()
    protection: Protection = Protection()
    material: MaterialReference | None = None
    digest: bytes | None = None
    compromise_occurrence_us: int | None = None
    revocation: tuple[int, str] | None = None  # Revocation Reason code, message
    original_creation_us: int | None = None
    grants: Mapping[str, int] = NO_GRANTS
    attributes: Attributes = NONE
    revision: int = 0
    versioning: Versioning | None = None

    def state(self, now_us: int) -> State:
        """Return the state at a moment."""
        return state_at(self.dates, now_us)

    def changed(self, now_us: int, **changes: Any) -> "ManagedObject":
        """Return a copy with changes and a new Last Change Date."""
        return self._replace(last_change_us=now_us, **changes)


class Record(NamedTuple):
    """Any other record (user, group, realm, authority, settings…): a name and plain CBOR-able fields.

    Attributes:
        id: UUID version 7, or a fixed well-known word for singletons.
        handle: Unique per realm and kind.
        fields: str -> None, bool, int, str, bytes, list or dict of these.
    """

    kind: str
    id: str
    handle: str
    fields: Mapping[str, Any]
    realm: str = ROOT_REALM
    owner: str | None = None
    material: MaterialReference | None = None
    revision: int = 0
