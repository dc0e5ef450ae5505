"""What administrators do with keys that are there: showing, naming, describing, moving through life, erasing.

Laws: a key is named by its id or by its name; whose it is does not matter; key bytes are never told.

Source: requirements KS-KEY-001, 002, 010, 020, 025 to 029, 042; KS-LIFE-001 to 006; AMB-41; chapter Keys (Properties,
Life Cycle, Custom Attributes).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

from keystead.core.approvals import Approval
from keystead.core.attribute_changes import Instance, assigned, dated, deleted
from keystead.core.attribute_table import ObjectType
from keystead.core.attributes import Attribute, text
from keystead.core.changes import Change, Put
from keystead.core.errors import Exists, Invalid, NotFound, WrongState
from keystead.core.fields import Items, Text
from keystead.core.handles import check_new
from keystead.core.lifecycle import Event
from keystead.core.peoples_attributes import is_peoples
from keystead.core.permission import Access, Right
from keystead.core.records import KIND_OBJECT, ManagedObject
from keystead.core.structures import name_value
from keystead.gate.call import Call
from keystead.gate.operation import Target, operation
from keystead.operations.grants import KeyPlace
from keystead.operations.key_attribute_names import DefinedNames
from keystead.operations.key_details import KeyDetails, details_of, other_half_of
from keystead.operations.lifecycle import KEY_COMPROMISE, MESSAGE_CHARACTERS_MAX, activate, check_move, deletion, revoke
from keystead.operations.requests import Activate, Revoke, Touched
from keystead.settings.xml import XmlServer
from keystead.storage.store import as_object

ATTRIBUTES_PER_REQUEST_COUNT_MAX = 100
DESCRIPTION_CHARACTERS_MAX = 4096
KeyName = Annotated[str, Text(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", 64, example="payroll-2027")]
Description = Annotated[str, Text(characters_max=DESCRIPTION_CHARACTERS_MAX)]
STATE_IS_NOT_FOR_XML = (
    "The state does not bind clients of the XML interface, who may use the key until it is destroyed; "
    "xml_server.life_cycle_states changes that."
)
Assignments = Annotated[tuple[str, ...], Items(ATTRIBUTES_PER_REQUEST_COUNT_MAX), Text(r"[^=]+=.*", 4096)]
AttributeNames = Annotated[tuple[str, ...], Items(ATTRIBUTES_PER_REQUEST_COUNT_MAX), Text(characters_max=255)]
UNSPECIFIED = 1  # Revocation Reason Code
NAME = "Name"
DESCRIPTION = "Description"

_SEEN = (Target(Right.SEE, destroyed=True, by_name=True),)
_CHANGED = (Target(Right.MODIFY, by_name=True),)


class Move(StrEnum):
    """State that an administrator sets; destroying is `key.erase`."""

    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    COMPROMISED = "compromised"


@dataclass(frozen=True, slots=True)
class ShowKey:
    """Show everything about a key but its bytes.

    Attributes:
        target: Id or name of the key.
    """

    target: KeyPlace


@dataclass(frozen=True, slots=True)
class RenameKey:
    """Give a key another name; clients find it under the new one from the next request on.

    Attributes:
        target: Id or name of the key.
        name: A letter and up to 63 letters, digits, "_", "." and "-"; of no other key.
    """

    target: KeyPlace
    name: KeyName


@dataclass(frozen=True, slots=True)
class ChangeKey:
    """Change dates, description and attributes of a key; what is left out stays as it is.

    Dates are UTC microseconds. One to come is a change of state at that time, one that has passed counts at once.

    Attributes:
        target: Id or name of the key.
        activation_us: From then on it is active.
        process_start_us: From then on it decrypts and verifies; of symmetric keys.
        protect_stop_us: From then on it no longer encrypts and signs; of symmetric keys.
        deactivation_us: From then on it is deactivated.
        description: "" takes it away.
        attributes: NAME=VALUE each; custom names begin with x- and hold text, but those that have a type of their own
            (`key_attribute.list`); besides there are Comment, Contact Information and Object Group.
        without: Names of attributes to take away.
    """

    target: KeyPlace
    activation_us: int | None = None
    process_start_us: int | None = None
    protect_stop_us: int | None = None
    deactivation_us: int | None = None
    description: Description | None = None
    attributes: Assignments = ()
    without: AttributeNames = ()


@dataclass(frozen=True, slots=True)
class SetKeyState:
    """Move a key to another state, from now on; there is no way back.

    Attributes:
        target: Id or name of the key.
        state: The new one; only what follows the present one can be set.
        message: Why, for those who look later; not for active.
        occurrence_us: When a compromise is held to have happened, UTC microseconds; None = when the key was made.
    """

    target: KeyPlace
    state: Move
    message: Annotated[str, Text(characters_max=MESSAGE_CHARACTERS_MAX)] = ""
    occurrence_us: int | None = None


@dataclass(frozen=True, slots=True)
class EraseKey:
    """Erase the bytes of a key and of the other half of its pair: what they protect is lost. Its name is free again.

    Attributes:
        target: Id or name of the key.
        confirm: Its id or name once more.
    """

    target: KeyPlace
    confirm: Annotated[str, Text(characters_max=64)] = ""


@operation(ShowKey, "key.show", "KeyShow", administrator=Access.KEYS, targets=_SEEN)
def show_key(call: Call, _request: ShowKey) -> KeyDetails:
    """Return everything about the key, also about a destroyed one."""
    return replace(details_of(call.target, call.now_us), caution=_caution(call))


def _caution(call: Call) -> str:
    """Say to whom the state of the key means nothing (KS-LIFE-008)."""
    is_bound = call.desk.objects.section(XmlServer).life_cycle_states or call.target.versioning is not None
    return "" if is_bound else STATE_IS_NOT_FOR_XML


@operation(
    RenameKey,
    "key.rename",
    "KeyRename",
    administrator=Access.KEYS,
    targets=_CHANGED,
    route="PUT /keys/{target}/name",
    answer=KeyDetails,
    approval=Approval.CHANGE_KEYS,
)
def rename_key(call: Call, request: RenameKey) -> Change:
    """Change the handle, and the KMIP Name that was the same."""
    record = call.target
    return _stored(call, renamed(call, record, request.name), f"name from {record.handle} to {request.name}")


def renamed(call: Call, record: ManagedObject, name: str) -> ManagedObject:
    """Return a key under another name.

    Raises:
        Invalid: nothing can be called so, or it is called so. Exists: another one is.
    """
    check_new(name)
    if name == record.handle:
        raise Invalid("the key has this name already", "invalid.field")
    if call.desk.objects.reader.by_handle(record.realm, KIND_OBJECT, name) is not None:
        raise Exists("there is a key of this name; choose another")
    attributes, former = record.attributes, name_value(record.handle)
    for instance in attributes.instances(NAME):
        if instance.value == former:
            attributes = attributes.replaced(NAME, instance.index, name_value(name))
    return record.changed(call.now_us, handle=name, attributes=attributes)


@operation(
    ChangeKey,
    "key.change",
    "KeyChange",
    administrator=Access.KEYS,
    targets=_CHANGED,
    answer=KeyDetails,
    approval=Approval.CHANGE_KEYS,
)
def change_key(call: Call, request: ChangeKey) -> Change:
    """Change what was given, all of it or nothing."""
    record = call.target
    moments = {
        "Activation Date": request.activation_us,
        "Process Start Date": request.process_start_us,
        "Protect Stop Date": request.protect_stop_us,
        "Deactivation Date": request.deactivation_us,
    }
    given = {name: moment_us for name, moment_us in moments.items() if moment_us is not None}
    if given:
        _check_no_certificate(record)
        record = dated(record, given, call.now_us)
    written = list(attributes_from(call, request.attributes))
    removed = list(request.without)
    if request.description:
        written.append(Attribute(DESCRIPTION, 0, text(request.description)))
    elif request.description is not None and record.attributes.first(DESCRIPTION) is not None:
        removed.append(DESCRIPTION)
    removed = [*map(DefinedNames(call).stored, removed)]
    record = described_by(record, written, removed, call.now_us)
    if record is call.target:
        raise Invalid("say what to change", "invalid.missing")
    return _stored(call, record, f"changed {', '.join([*given, *[one.name for one in written], *removed])}")


def described_by(
    record: ManagedObject, written: Sequence[Attribute], removed: Sequence[str], now_us: int
) -> ManagedObject:
    """Return a key with some of people's attributes taken away, then others written.

    Raises:
        Invalid: one is not people's to set, or cannot have this value. NotFound: the key has none to take away.
    """
    for name in removed:
        _check_peoples(name)
        record = deleted(record, Instance(name), now_us, every=True).record
    for name, _, value in written:
        record = _assigned(record, Attribute(name, 0, value), now_us)
    return record


@operation(
    SetKeyState,
    "key.set_state",
    "KeySetState",
    administrator=Access.KEYS,
    targets=(Target(Right.MODIFY, destroyed=True, by_name=True),),
    route="PUT /keys/{target}/state",
    answer=KeyDetails,
    approval=Approval.CHANGE_KEYS,
)
def set_key_state(call: Call, request: SetKeyState) -> Change:
    """Move the key along the table of transitions, as Activate and Revoke do."""
    record = call.target
    _check_no_certificate(record)
    if request.state is Move.ACTIVE:
        check_move(record, Event.ACTIVATE, call.now_us)
        if request.message or request.occurrence_us is not None:
            raise Invalid("a message and the time of a compromise go with other states", "invalid.field")
        change = activate(call, Activate(record.id))
    else:
        code = KEY_COMPROMISE if request.state is Move.COMPROMISED else UNSPECIFIED
        change = revoke(call, Revoke(code, request.message, request.occurrence_us, record.id))
    (put,) = change.puts
    return _stored(call, put.record, f"state {request.state}")


@operation(
    EraseKey,
    "key.erase",
    "KeyErase",
    administrator=Access.KEYS,
    targets=(Target(Right.DELETE, by_name=True),),
    route="DELETE /keys/{target}",
    answer=Touched,
    approval=Approval.DELETE_KEYS,
)
def erase_key(call: Call, request: EraseKey) -> Change:
    """Erase whatever the deletable flag and the state say (KS-KEY-010)."""
    record = call.target
    if request.confirm not in (record.id, record.handle):
        raise Invalid(
            f"everything that {record.handle} protects would be lost; confirm by repeating its name or id",
            "invalid.field",
        )
    change = erasure(call, record)
    return change._replace(result=Touched(record.id), detail=f"{record.handle} of {record.owner or 'nobody'} erased")


def erasure(call: Call, record: ManagedObject) -> Change:
    """Return the change that erases a key with the other half of its pair; raises as `deletion` does."""
    other = other_half(call, record)
    return deletion(call, [record] if other is None else [record, other])


def other_half(call: Call, record: ManagedObject) -> ManagedObject | None:
    """Return the other key of a pair, unless it went before.

    Clients write links: what does not link back, or is somebody else's, is no half of this pair.
    """
    named = other_half_of(record)
    if named is None:
        return None
    try:
        other = as_object(call.another(named, Right.DELETE))
    except (NotFound, WrongState):
        return None
    is_half = other.owner == record.owner and other_half_of(other) == record.id
    return other if is_half else None


def attributes_from(call: Call, assignments: tuple[str, ...]) -> tuple[Attribute, ...]:
    """Return the attributes that NAME=VALUE texts mean, of the types that administrators gave to their names.

    Raises:
        Invalid: too many, not of this form, an attribute that is not people's to set, or no value of its type.
    """
    if len(assignments) > ATTRIBUTES_PER_REQUEST_COUNT_MAX:
        raise Invalid("name at most 100 attributes at once", "invalid.field")
    names = DefinedNames(call)
    found = []
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise Invalid("write attributes as NAME=VALUE", "invalid.field")
        name = names.stored(name)
        _check_peoples(name)
        found.append(Attribute(name, 0, names.value(name, value)))
    return tuple(found)


def _check_peoples(name: str) -> None:
    if not is_peoples(name):
        raise Invalid(f"{name} is not set here; custom attributes begin with x-", "invalid.attribute_read_only")


def _check_no_certificate(record: ManagedObject) -> None:
    if record.object_type == ObjectType.CERTIFICATE:
        raise Invalid("the life cycle of a certificate is changed over KMIP only", "invalid.object_type")


def _assigned(record: ManagedObject, given: Attribute, now_us: int) -> ManagedObject:
    """Set an attribute; values that clients gave it of another type than it has here are left to them (KS-KEY-026)."""
    held = record.attributes.first(given.name)
    if held is not None and held.type != given.value.type:
        raise Invalid(f"{given.name} is of another type on this key; change it over KMIP", "invalid.attribute_value")
    return assigned(record, given.name, given.value, now_us).record


def _stored(call: Call, record: ManagedObject, detail: str) -> Change:
    return Change((Put(record),), details_of(record, call.now_us), detail=detail)
