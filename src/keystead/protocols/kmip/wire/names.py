"""Names and numbers of tags, enumerations and masks, and the protocol versions that know them.

Names are those of the XML and JSON encodings ("UniqueIdentifier", "DES3"). A version is a pair such as (1, 4).
Numbers of the extension ranges (tags 54xxxx, enumeration values 8xxxxxxx) belong to no version: every one may use them.

Source: KMIP 1.4 section 9.1.3; KMIP 2.1 sections 11 and 12; KMIP Additional Message Encodings 1.0 section 4.1.3.
"""

from keystead.core.errors import Invalid
from keystead.protocols.kmip.wire.enumerations_table import ENUMERATIONS, MASKS, Members
from keystead.protocols.kmip.wire.nodes import STRUCTURE, Node
from keystead.protocols.kmip.wire.tags_table import TAGS, Version

VERSIONS: tuple[Version, ...] = ((1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (2, 0), (2, 1))

_TAG_NUMBERS = {name: number for number, (name, _, _) in TAGS.items()}
_MEMBER_NAMES = {
    enumeration: {value: name for name, (value, _, _) in members.items()}
    for enumeration, members in (ENUMERATIONS | MASKS).items()
}
_OTHER_ENUMERATIONS = {  # tags whose values come from an enumeration of another name
    "ExtensionType": "ItemType",
    "LinkedObjectIdentifier": "UniqueIdentifier",
    "MaskGeneratorHashingAlgorithm": "HashingAlgorithm",
    "PrivateKeyUniqueIdentifier": "UniqueIdentifier",
    "PublicKeyUniqueIdentifier": "UniqueIdentifier",
    "ReplacedUniqueIdentifier": "UniqueIdentifier",
}


def is_extension_tag(tag: int) -> bool:
    """Whether the tag is free for use between parties that agreed on it."""
    return tag >> 16 == 0x54


def tag_name(tag: int) -> str:
    """The tag's name, or its number as "0x540001" when no version defines it."""
    row = TAGS.get(tag)
    return row[0] if row else f"0x{tag:06X}"


def tag_number(name: str) -> int:
    """The number of a tag's name.

    Raises:
        Invalid: no version of KMIP from 1.0 to 2.1 has such a tag.
    """
    try:
        return _TAG_NUMBERS[name]
    except KeyError:
        raise Invalid(f"{name[:64]!r} is no KMIP tag; use a name of KMIP 1.0 to 2.1", "invalid.message") from None


def tag_since(tag: int) -> Version:
    """The first version that has the tag; (1, 0) for extensions.

    Raises:
        Invalid: no version of KMIP from 1.0 to 2.1 has it.
    """
    row = TAGS.get(tag)
    if row is not None:
        return row[1]
    if is_extension_tag(tag):
        return VERSIONS[0]
    raise Invalid(f"0x{tag:06X} is no KMIP tag; use a tag of KMIP 1.0 to 2.1", "invalid.message")


def tag_available(tag: int, version: Version) -> bool:
    """Whether messages of this version may contain the tag."""
    row = TAGS.get(tag)
    if row is None:
        return is_extension_tag(tag)
    return row[1] <= version and (row[2] is None or version <= row[2])


def enumeration_of(tag: int) -> str | None:
    """The enumeration or mask that a tag's values come from; None when it has none or they depend on the context."""
    name = tag_name(tag)
    name = _OTHER_ENUMERATIONS.get(name, name)
    return name if name in _MEMBER_NAMES else None


def members_of(enumeration: str) -> Members:
    """The members of an enumeration or mask: name to (value, first version, last version).

    Raises:
        Invalid: KMIP has no such enumeration.
    """
    members = ENUMERATIONS.get(enumeration) or MASKS.get(enumeration)
    if members is None:
        raise Invalid(f"{enumeration[:64]!r} is no KMIP enumeration; use a name of KMIP 1.0 to 2.1", "invalid.message")
    return members


def enum_value(enumeration: str, name: str) -> int:
    """The number of a member of an enumeration or mask.

    Raises:
        Invalid: there is no such enumeration or member.
    """
    member = members_of(enumeration).get(name)
    if member is None:
        raise Invalid(f"{enumeration} has no {name[:64]!r}; use one of its names in KMIP 1.0 to 2.1", "invalid.message")
    return member[0]


def enum_name(enumeration: str, value: int) -> str:
    """The member's name, or the number as "0x80000001" when no version defines it.

    Raises:
        Invalid: there is no such enumeration.
    """
    members_of(enumeration)
    return _MEMBER_NAMES[enumeration].get(value) or f"0x{value:08X}"


def enum_available(enumeration: str, value: int, version: Version) -> bool:
    """Whether messages of this version may contain the value.

    Raises:
        Invalid: there is no such enumeration.
    """
    members = members_of(enumeration)
    name = _MEMBER_NAMES[enumeration].get(value)
    if name is None:
        return value >> 28 == 8
    _, since, until = members[name]
    return since <= version and (until is None or version <= until)


def unavailable_tags(node: Node, version: Version) -> set[int]:
    """The tags anywhere in a tree that messages of this version must not contain."""
    tag, kind, value = node
    found = set() if tag_available(tag, version) else {tag}
    if kind == STRUCTURE:
        for child in value:
            found |= unavailable_tags(child, version)
    return found
