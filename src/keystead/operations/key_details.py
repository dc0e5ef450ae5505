"""A key as administrators see it: everything of it but what is in it.

Source: requirements KS-KEY-001, 008, 009, 021, 027, 028; KS-LIFE-001, 004; chapter Keys (Properties).
"""

from dataclasses import dataclass

from keystead.core.algorithms import UsageMask
from keystead.core.attribute_table import ObjectType
from keystead.core.attribute_values import micros
from keystead.core.attributes import ItemType, Value
from keystead.core.key_names import KeySort, algorithm_word, kind_word, right_words, state_word
from keystead.core.lifecycle import GONE, TRANSITIONS, Dates
from keystead.core.peoples_attributes import is_peoples, shown_number
from keystead.core.records import ManagedObject
from keystead.core.search import TAG_NAME_VALUE
from keystead.core.structures import TAG_RECOMMENDED_CURVE
from keystead.operations.grants import grants_of
from keystead.operations.key_pairs import DOMAIN
from keystead.operations.links import LinkType, link_of


@dataclass(frozen=True, slots=True)
class KeyAttribute:
    """One value of an attribute.

    Attributes:
        name: Of the attribute.
        index: From 0, where there are several; never given again.
        kind: Type of the value, such as "text string".
        value: As text; bytes in hexadecimal, dates in UTC microseconds.
    """

    name: str
    index: int
    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """What a group or a user may do; one of the names is "".

    Attributes:
        group: Name of the group.
        user: Name of the user.
        rights: In words, such as "encrypt".
        policy: Name of the policy that narrows these rights, "" = they are not.
    """

    group: str
    user: str
    rights: tuple[str, ...]
    policy: str = ""


@dataclass(frozen=True, slots=True)
class KeySummary:
    """A key in a list; times are UTC microseconds.

    Attributes:
        id: For ever.
        name: Unique; may be changed.
        owner: Name of a user; None = nobody, the key is global.
        kind: Such as "symmetric-key".
        algorithm: Such as "AES-256"; "-" = none.
        length_bits: Cryptographic Length; 0 = none.
        state: Such as "pre-active"; "-" of a versioned key, which has no life cycle.
        created_us: When it came here.
        changed_us: Of the last change.
        names: That its users gave it (KMIP Names).
        versions_count: Of a versioned key; 0 = it has no versions.
    """

    id: str
    name: str
    owner: str | None
    kind: str
    algorithm: str
    length_bits: int
    state: str
    created_us: int
    changed_us: int
    names: tuple[str, ...]
    versions_count: int


@dataclass(frozen=True, slots=True)
class KeyDates:
    """The moments of a key's life in UTC microseconds; None = not set.

    Attributes:
        activation_us: From then on it is active.
        process_start_us: From then on it decrypts and verifies.
        protect_stop_us: From then on it no longer encrypts and signs.
        deactivation_us: From then on it is deactivated.
        compromise_us: When it was marked compromised.
        compromise_occurrence_us: When that is held to have happened.
        destroy_us: When its bytes were erased.
    """

    activation_us: int | None
    process_start_us: int | None
    protect_stop_us: int | None
    deactivation_us: int | None
    compromise_us: int | None
    compromise_occurrence_us: int | None
    destroy_us: int | None


@dataclass(frozen=True, slots=True)
class KeyDetails:
    """Everything about a key but its bytes.

    Attributes:
        key: What a list tells too.
        dates: Of its life cycle; none of a versioned key.
        moves: States that it can be set to from the one it is in.
        deletable: Clients may delete it.
        exportable: Clients may export it.
        sensitive: It leaves only wrapped by another key.
        extractable: It may leave at all.
        usage: What it may be used for, such as "encrypt".
        attributes: Custom ones, and those of `core.peoples_attributes.PEOPLES`.
        grants: What others than the owner may do.
        digest: SHA-256 of the key bytes in hexadecimal, "" where that would let somebody guess them.
        other_half: Id of the other key of its pair, "" = none.
        revision: Counts its changes.
        caution: What whoever relies on the state should know (KS-LIFE-008); "" = nothing.
    """

    key: KeySummary
    dates: KeyDates
    moves: tuple[str, ...]
    deletable: bool
    exportable: bool
    sensitive: bool
    extractable: bool
    usage: tuple[str, ...]
    attributes: tuple[KeyAttribute, ...]
    grants: tuple[KeyGrant, ...]
    digest: str
    other_half: str
    revision: int
    caution: str = ""


def summary_of(record: ManagedObject, now_us: int) -> KeySummary:
    """Return what a list tells of a key at a moment."""
    return KeySummary(
        record.id,
        record.handle,
        record.owner,
        kind_word(record.object_type),
        algorithm_word(_sort_of(record)),
        record.shape.length_bits,
        "-" if record.versioning is not None else state_word(record.state(now_us)),
        record.initial_us,
        record.last_change_us,
        names_of(record),
        0 if record.versioning is None else record.versioning.number,
    )


def details_of(record: ManagedObject, now_us: int) -> KeyDetails:
    """Return everything about a key at a moment."""
    dates = record.dates if record.versioning is None else Dates()
    protection = record.protection
    return KeyDetails(
        summary_of(record, now_us),
        KeyDates(
            dates.activation_us,
            dates.process_start_us,
            dates.protect_stop_us,
            dates.deactivation_us,
            dates.compromise_us,
            record.compromise_occurrence_us,
            dates.destroy_us,
        ),
        _moves(record, now_us),
        protection.deletable,
        protection.exportable,
        protection.sensitive,
        protection.extractable,
        tuple(use.name.lower().replace("_", "-") for use in UsageMask if use.name and record.shape.usage_mask & use),
        tuple(
            KeyAttribute(name, index, ItemType(value.type).name.lower().replace("_", " "), _text(value))
            for name, index, value in record.attributes
            if is_peoples(name)
        ),
        tuple(KeyGrant(one.group, one.user, right_words(one.rights), one.policy) for one in grants_of(record).grants),
        "" if record.digest is None else record.digest.hex(),
        other_half_of(record) or "",
        record.revision,
    )


def names_of(record: ManagedObject) -> tuple[str, ...]:
    """Return the KMIP Names of an object."""
    return tuple(
        str(content)
        for instance in record.attributes.instances("Name")
        for tag, _, content in instance.value.content
        if tag == TAG_NAME_VALUE
    )


def other_half_of(record: ManagedObject) -> str | None:
    """Return the id of the other key of a pair, None when the object names none."""
    if record.object_type == ObjectType.PRIVATE_KEY:
        return link_of(record.attributes, LinkType.PUBLIC_KEY)
    if record.object_type == ObjectType.PUBLIC_KEY:
        return link_of(record.attributes, LinkType.PRIVATE_KEY)
    return None


def _sort_of(record: ManagedObject) -> KeySort:
    domain = record.attributes.first(DOMAIN)
    curve = 0 if domain is None else int(domain.field(TAG_RECOMMENDED_CURVE) or 0)
    return KeySort(record.shape.algorithm, record.shape.length_bits, curve)


def _moves(record: ManagedObject, now_us: int) -> tuple[str, ...]:
    """Return the states that somebody can set; destroying is another operation (KS-LIFE-004)."""
    if record.object_type in (ObjectType.TEMPLATE, ObjectType.CERTIFICATE) or record.versioning is not None:
        return ()
    state = record.state(now_us)
    return tuple(state_word(to) for (of, _), to in TRANSITIONS.items() if of == state and to not in GONE)


def _text(value: Value) -> str:
    if value.type in (ItemType.DATE_TIME, ItemType.DATE_TIME_EXTENDED):
        return str(micros(value))
    content = value.content
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, int):
        return shown_number(content)
    return content.hex() if isinstance(content, bytes) else str(content)
