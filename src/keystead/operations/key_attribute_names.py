"""Names of custom attributes that administrators define, each with a type that it keeps.

Laws: a name has one type for as long as it is defined; what administrators write under it is a value of that type.
Clients stay free in what they write over KMIP (docs/adr/0030). A name without the prefix of KMIP is kept with it, so
that clients find the attribute.

Source: requirements KS-KEY-025 to 027, 058; chapter Keys (Key Options, Custom Key Attribute Names); docs/adr/0077.
"""

import re
from dataclasses import dataclass
from typing import Annotated

from keystead.core.attribute_table import VENDOR_SEPARATOR
from keystead.core.attributes import CUSTOM_NAME_CHARACTERS_MAX, CUSTOM_PREFIXES, Value, is_custom, text
from keystead.core.changes import Change, Put
from keystead.core.errors import Exists, Invalid, NotFound, Refused
from keystead.core.fields import Text
from keystead.core.peoples_attributes import BUILT_IN, PEOPLES, AttributeType, typed_value
from keystead.core.permission import Access
from keystead.core.records import KIND_KEY_ATTRIBUTE, Record
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import operation
from keystead.operations.users import records_of

PATTERN = r"[A-Za-z][A-Za-z0-9_.-]{0,254}"
NAMES_COUNT_MAX = 1000
ABOUT_CHARACTERS_MAX = 4095
ABOUT = r"[\x20-\x7e\t\n\r]*"
AttributeName = Annotated[str, Text(PATTERN, CUSTOM_NAME_CHARACTERS_MAX, example="x-department")]
AnyAttributeName = Annotated[str, Text(characters_max=CUSTOM_NAME_CHARACTERS_MAX, example="x-department")]
_NAME = re.compile(PATTERN)
_ABOUT = re.compile(ABOUT)


@dataclass(frozen=True, slots=True)
class DefineAttribute:
    """Define a custom attribute with its type, or describe one that is there anew.

    Attributes:
        name: A letter and up to 254 letters, digits, "_", "." and "-"; kept with x- before it where that is missing.
        type: What its values are; it stays so for as long as the name is defined.
        description: What it is for, in ASCII.
    """

    name: AttributeName
    type: AttributeType = AttributeType.STRING
    description: Annotated[str, Text(ABOUT, ABOUT_CHARACTERS_MAX)] = ""


@dataclass(frozen=True, slots=True)
class ListAttributes:
    """List the names of attributes that were defined, after those that are always there."""


@dataclass(frozen=True, slots=True)
class ShowAttribute:
    """Show one of the names that were defined."""

    name: AnyAttributeName


@dataclass(frozen=True, slots=True)
class DeleteAttribute:
    """Delete the definition of a name; values that keys have stay as they are."""

    name: AnyAttributeName


@dataclass(frozen=True, slots=True)
class DefinedAttribute:
    """A name of an attribute.

    Attributes:
        name: As keys have it, and clients see it.
        type: What its values are.
        description: What it is for.
        built_in: It is always there, and nobody changes it.
    """

    name: str
    type: str
    description: str
    built_in: bool


class DefinedNames:
    """The names that are defined now, looked at one by one.

    Args:
        call: Of whoever asks.
    """

    def __init__(self, call: Call) -> None:
        self._call = call

    def stored(self, name: str) -> str:
        """Return a name as keys have it: what was defined without the prefix of KMIP may be called so."""
        is_short = _NAME.fullmatch(name) is not None and not is_custom(name) and name not in PEOPLES
        return f"x-{name}" if is_short and self._type(f"x-{name}") is not None else name

    def value(self, name: str, written: str) -> Value:
        """Return what a text means as a value of a name: text, unless the name was given another type.

        Raises:
            Invalid: it is no value of the type.
        """
        kind = self._type(name) if is_custom(name) else None
        return text(written) if kind in (None, AttributeType.STRING) else typed_value(kind, written)

    def _type(self, name: str) -> AttributeType | None:
        record = self._call.desk.objects.record(KIND_KEY_ATTRIBUTE, name, self._call.principal.realm)
        return None if record is None else AttributeType(record.fields["type"])


@operation(
    DefineAttribute,
    "key_attribute.define",
    "KeyAttributeDefine",
    administrator=Access.KEYS,
    route="PUT /key-attributes/{name}",
    answer=DefinedAttribute,
)
def define_attribute(call: Call, request: DefineAttribute) -> Change:
    """Keep the definition; of one that is there only the description changes."""
    name = _checked(request.name)
    if len(request.description) > ABOUT_CHARACTERS_MAX or _ABOUT.fullmatch(request.description) is None:
        raise Invalid(f"a description is ASCII text of at most {ABOUT_CHARACTERS_MAX} characters", "invalid.field")
    record = call.desk.objects.record(KIND_KEY_ATTRIBUTE, name, call.principal.realm)
    fields = {"type": str(request.type), "description": request.description}
    if record is None:
        if sum(1 for _ in records_of(call, KIND_KEY_ATTRIBUTE)) >= NAMES_COUNT_MAX:
            raise Refused(f"at most {NAMES_COUNT_MAX} names are defined; delete one first")
        record = Record(KIND_KEY_ATTRIBUTE, new_id(call.now_us), name, {}, call.principal.realm)
        word = "defined"
    else:
        if record.fields["type"] != request.type:
            raise Exists(f"{name} is of the type {record.fields['type']}, and stays so; choose another name")
        word = "described anew"
    record = record._replace(fields=fields)
    return Change((Put(record),), _shown(record), detail=f"attribute {name} of type {request.type} {word}")


@operation(ListAttributes, "key_attribute.list", "KeyAttributeList", administrator=Access.KEYS)
def list_attributes(call: Call, _request: ListAttributes) -> tuple[DefinedAttribute, ...]:
    """Return names, the built-in ones first."""
    return (*map(_built_in, BUILT_IN), *map(_shown, records_of(call, KIND_KEY_ATTRIBUTE)))


@operation(ShowAttribute, "key_attribute.show", "KeyAttributeShow", administrator=Access.KEYS)
def show_attribute(call: Call, request: ShowAttribute) -> DefinedAttribute:
    """Return one of them."""
    return _built_in(request.name) if request.name in BUILT_IN else _shown(_found(call, request.name))


@operation(
    DeleteAttribute,
    "key_attribute.delete",
    "KeyAttributeDelete",
    administrator=Access.KEYS,
    answer=DefinedAttribute,
)
def delete_attribute(call: Call, request: DeleteAttribute) -> Change:
    """Forget the definition; returns what it was."""
    if request.name in BUILT_IN:
        raise Refused(f"{request.name} is always there", "refused.permission")
    record = _found(call, request.name)
    gone = (KIND_KEY_ATTRIBUTE, record.id, record.revision)
    return Change((), _shown(record), (gone,), f"attribute {record.handle} is defined no more")


def _checked(name: str) -> str:
    """Return a new name as it is kept.

    Raises:
        Refused: it is built in. Invalid: not of the pattern, too long with its prefix, or of the server's own kind.
    """
    if name in PEOPLES:
        raise Refused(f"{name} is always there", "refused.permission")
    if _NAME.fullmatch(name) is None or VENDOR_SEPARATOR in name or name in CUSTOM_PREFIXES:
        raise Invalid(
            "an attribute's name begins with a letter and has letters, digits, underscores, periods and hyphens",
            "invalid.field",
        )
    if name.startswith("y-"):
        raise Invalid("names that begin with y- are the server's own; choose another", "invalid.field")
    kept = name if is_custom(name) else f"x-{name}"
    if len(kept) > CUSTOM_NAME_CHARACTERS_MAX:
        raise Invalid(f"with x- before it a name has at most {CUSTOM_NAME_CHARACTERS_MAX} characters", "invalid.field")
    return kept


def _found(call: Call, name: str) -> Record:
    kept = name if is_custom(name) else f"x-{name}"
    record = call.desk.objects.record(KIND_KEY_ATTRIBUTE, kept, call.principal.realm)
    if record is None:
        raise NotFound("no attribute of this name is defined; the list shows them")
    return record


def _shown(record: Record) -> DefinedAttribute:
    return DefinedAttribute(record.handle, record.fields["type"], record.fields["description"], built_in=False)


def _built_in(name: str) -> DefinedAttribute:
    return DefinedAttribute(name, AttributeType.STRING, "of KMIP", built_in=True)
