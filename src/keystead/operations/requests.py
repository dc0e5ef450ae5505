"""Requests and results of the operations on managed objects; handlers stand in the files beside.

A target is an object's id; PLACEHOLDER ("") means the object of the item before in the same batch. Numbers of
enumerations are KMIP's. Every protocol makes these same requests and reads these same results. Those that every second
client sends all day are tuples, which are made three times as quickly as frozen classes.

Source: KMIP 1.4 section 4; KMIP 2.1 section 6.1; docs/adr/0002.
"""

from dataclasses import dataclass
from typing import NamedTuple

from keystead.core.attribute_rules import ASKER
from keystead.core.attributes import Attribute, Value
from keystead.core.records import ManagedObject
from keystead.core.secret import Secret
from keystead.core.split_keys import SplitKey
from keystead.gate.operation import PLACEHOLDER


class KeyBlock(NamedTuple):
    """Key material with its kind, on the way in (Register) or out (Get).

    Attributes:
        format: Key Format Type (1 Raw, 2 Opaque, 7 Transparent Symmetric Key, …).
        material: The key bytes as `format` says; for a certificate or opaque object its bytes.
        algorithm: Cryptographic Algorithm; 0 = none.
        length_bits: Cryptographic Length; 0 = not given.
        subtype: Secret Data Type, Opaque Data Type, Certificate Type or PGP Key Version of those objects.
        split: What a split key says of the whole; None for other objects.
    """

    format: int
    material: Secret
    algorithm: int = 0
    length_bits: int = 0
    subtype: int = 0
    split: SplitKey | None = None


class Created(NamedTuple):
    """A new object: its id, and attributes set by the server that the client did not give; `record` for the log."""

    id: str
    object_type: int
    implicit: tuple[Attribute, ...] = ()
    record: ManagedObject | None = None


@dataclass(frozen=True, slots=True)
class Touched:
    """An object that was changed."""

    id: str


class Terms(NamedTuple):
    """What a protocol with names and flags of its own says of a new object (KS-KEY-002, 008, 009).

    Attributes:
        handle: Name unique within the realm; None = made up.
        deletable: Its owner may destroy it.
        exportable: Its key bytes may leave.
        owner: Whose it will be, where administrators say it; None = nobody's.
        versioned: It can have further versions, and is the first one.
    """

    handle: str | None = None
    deletable: bool = True
    exportable: bool = True
    owner: str | None = ASKER
    versioned: bool = False


USUAL = Terms()


class Create(NamedTuple):
    """Make a new symmetric key (KMIP 1.4 section 4.1).

    Attributes:
        templates: KMIP Names of templates (1.x, AMB-05).
        is_like_others: Its attributes, but for a Name, are the very objects of earlier requests and of later ones.
    """

    object_type: int
    attributes: tuple[Attribute, ...] = ()
    templates: tuple[str, ...] = ()
    is_like_others: bool = False
    terms: Terms = USUAL


@dataclass(frozen=True, slots=True)
class Register:
    """Take an object that was made elsewhere (KMIP 1.4 section 4.3). `block` is None for a template."""

    object_type: int
    block: KeyBlock | None
    attributes: tuple[Attribute, ...] = ()
    templates: tuple[str, ...] = ()
    terms: Terms = USUAL


class Get(NamedTuple):
    """Fetch an object with its key bytes (KMIP 1.4 section 4.11). `format` None = as stored."""

    target: str = PLACEHOLDER
    format: int | None = None
    compression: int | None = None
    wrap_type: int | None = None  # Key Wrap Type: 1 not wrapped, 2 as registered


class Got(NamedTuple):
    """An object with its key bytes."""

    id: str
    object_type: int
    block: KeyBlock | None
    attributes: tuple[Attribute, ...] = ()  # of a template


@dataclass(frozen=True, slots=True)
class GetAttributes:
    """Read attributes (KMIP 1.4 section 4.12); no names = all."""

    target: str = PLACEHOLDER
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GetAttributeList:
    """Read the names of all attributes of an object (KMIP 1.4 section 4.13)."""

    target: str = PLACEHOLDER


@dataclass(frozen=True, slots=True)
class AttributesRead:
    """Attribute instances of an object, server-made ones included; `record` for protocols that need the head."""

    id: str
    attributes: tuple[Attribute, ...]
    record: ManagedObject


@dataclass(frozen=True, slots=True)
class AddAttribute:
    """Add one instance of an attribute (KMIP 1.4 section 4.14)."""

    name: str
    value: Value
    target: str = PLACEHOLDER


@dataclass(frozen=True, slots=True)
class ModifyAttribute:
    """Change an existing instance (KMIP 1.4 section 4.15).

    Attributes:
        index: Of KMIP 1.x; None = not given (means 0, KS-KMIP-045).
        current: Of KMIP 2.x: the value the instance has now.
        only: Of KMIP 2.x without `current`: there must be one instance only.
    """

    name: str
    value: Value
    index: int | None = None
    current: Value | None = None
    target: str = PLACEHOLDER
    only: bool = False


@dataclass(frozen=True, slots=True)
class DeleteAttribute:
    """Remove an instance (KMIP 1.4 section 4.16); `current` names it by value in 2.x, all instances if None there.

    Attributes:
        every: All instances of the name (2.x Attribute Reference).
    """

    name: str
    index: int | None = None
    current: Value | None = None
    every: bool = False
    target: str = PLACEHOLDER


@dataclass(frozen=True, slots=True)
class SetAttribute:
    """Set a single-instance attribute whether or not it is there (KMIP 2.1 section 6.1.52)."""

    name: str
    value: Value
    target: str = PLACEHOLDER


@dataclass(frozen=True, slots=True)
class AttributeChanged:
    """The instance after an attribute operation; after a deletion the one that was deleted.

    Attributes:
        indexed: The request named it by its index.
    """

    id: str
    attribute: Attribute
    indexed: bool = False


@dataclass(frozen=True, slots=True)
class Activate:
    """Make a pre-active object active (KMIP 1.4 section 4.19)."""

    target: str = PLACEHOLDER


@dataclass(frozen=True, slots=True)
class Revoke:
    """Deactivate, or mark compromised (KMIP 1.4 section 4.20). `code` is the Revocation Reason Code."""

    code: int
    message: str = ""
    occurrence_us: int | None = None
    target: str = PLACEHOLDER


@dataclass(frozen=True, slots=True)
class Destroy:
    """Erase the key material (KMIP 1.4 section 4.21)."""

    target: str = PLACEHOLDER


@dataclass(frozen=True, slots=True)
class Delete:
    """Take a key out of use and erase its material, whatever state it is in; its handle is free again.

    Attributes:
        target: The key.
        other: The other key of its pair, which goes with it.
    """

    target: str
    other: str | None = None


class Condition(NamedTuple):
    """One attribute of a search; two date values of one name make a range (KMIP 1.4 section 4.9)."""

    name: str
    value: Value


class Locate(NamedTuple):
    """Find objects (KMIP 1.4 section 4.9).

    Attributes:
        maximum_count: 0 = no more than the server's cap; None = not given.
        offset_count: Of 1.3 and later.
        storage_mask: Storage Status Mask; None = online; without the online bit nothing is found (KS-KMIP-044).
        group_member: Object Group Member: 1 fresh, 2 default.
    """

    conditions: tuple[Condition, ...] = ()
    maximum_count: int | None = None
    offset_count: int = 0
    storage_mask: int | None = None
    group_member: int | None = None


class Located(NamedTuple):
    """Ids, newest first; `total_count` when the whole number is known."""

    ids: tuple[str, ...]
    total_count: int | None = None


class CipherParameters(NamedTuple):
    """Cryptographic Parameters of Encrypt and Decrypt (KMIP 1.4 section 3.6); None = not given.

    Lengths in bytes; `random_iv` asks the server to make the IV.
    """

    mode: int | None = None
    padding: int | None = None
    hashing: int | None = None
    algorithm: int | None = None
    random_iv: bool = False
    iv_length_bits: int | None = None
    tag_length_bytes: int | None = None
    fixed_field_length_bits: int | None = None
    invocation_field_length_bits: int | None = None
    counter_length_bits: int | None = None
    initial_counter: int | None = None
    signature: int | None = None  # Digital Signature Algorithm
    salt_bytes: int | None = None
    mask_generator: int | None = None
    mask_hashing: int | None = None
    label: bytes | None = None  # P Source of OAEP


class Wrapping(NamedTuple):
    """How a key is wrapped (KMIP 1.4 sections 2.1.5, 2.1.6).

    Attributes:
        key: Id of the wrapping key.
        parameters: Of that key; None = its own.
        method: Wrapping Method.
        encoding: Encoding Option; None = not given, which means TTLV.
        names: Attributes to be wrapped with the key.
    """

    key: str
    parameters: CipherParameters | None = None
    method: int = 1
    encoding: int | None = None
    names: tuple[str, ...] = ()


class GotWrapped(NamedTuple):
    """An object with its key bytes wrapped: `block.material` is what the wrapping gave; `iv` where there is one."""

    id: str
    object_type: int
    block: KeyBlock
    wrapping: Wrapping
    iv: bytes | None = None


class Encrypt(NamedTuple):
    """Encrypt data with a managed key (KMIP 1.4 section 4.29)."""

    data: bytes
    target: str = PLACEHOLDER
    parameters: CipherParameters | None = None
    iv: bytes | None = None
    associated: bytes | None = None

    def __repr__(self) -> str:
        """Show what may be shown: not the data."""
        return f"Encrypt({self.target!r}, {self.parameters!r})"


class Encrypted(NamedTuple):
    """Ciphertext; `iv` when the server made it, `tag` of authenticated modes, `detail` for the log."""

    id: str
    data: bytes
    iv: bytes | None = None
    tag: bytes | None = None
    detail: str = ""


class Decrypt(NamedTuple):
    """Decrypt data with a managed key (KMIP 1.4 section 4.30)."""

    data: bytes
    target: str = PLACEHOLDER
    parameters: CipherParameters | None = None
    iv: bytes | None = None
    associated: bytes | None = None
    tag: bytes | None = None

    def __repr__(self) -> str:
        """Show what may be shown: not the data."""
        return f"Decrypt({self.target!r}, {self.parameters!r})"


class Decrypted(NamedTuple):
    """Clear data; `detail` for the log."""

    id: str
    data: bytes
    detail: str = ""

    def __repr__(self) -> str:
        """Show what may be shown: not the data."""
        return f"Decrypted({self.id!r})"


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a signature or an authentication code fits; `detail` for the log."""

    id: str
    is_valid: bool
    detail: str = ""
