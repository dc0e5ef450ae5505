"""Attribute values between nodes and core: lossless on the way in, nothing newer than the version on the way out.

Source: KMIP 1.4 section 3; KMIP 2.1 section 4.
"""

from typing import Any

from keystead.core.attribute_table import ATTRIBUTES
from keystead.core.attributes import ItemType, Value, is_custom
from keystead.protocols.kmip.wire.enumerations_table import ENUMERATIONS, MASKS
from keystead.protocols.kmip.wire.names import VERSIONS, enum_available, enumeration_of, tag_available, tag_number
from keystead.protocols.kmip.wire.nodes import ENUMERATION, INTEGER, STRUCTURE, Node
from keystead.protocols.kmip.wire.tags_table import Tag, Version

ATTRIBUTE_TAGS = {name: tag_number(rule.tag_name) for name, rule in ATTRIBUTES.items()}
"""Attribute name -> its tag in 2.x."""

_FIELDS_SINCE: dict[tuple[int, int], Version] = {  # fields whose tag is older than their place in a structure
    (Tag.DIGEST, Tag.KEY_FORMAT_TYPE): (1, 1),
    (Tag.CRYPTOGRAPHIC_PARAMETERS, Tag.DIGITAL_SIGNATURE_ALGORITHM): (1, 2),
    (Tag.CRYPTOGRAPHIC_PARAMETERS, Tag.CRYPTOGRAPHIC_ALGORITHM): (1, 2),
}


def value_of(node: Node) -> Value:
    """Return a node's value for the store."""
    return Value(node[1], _frozen(node[1], node[2]))


def _frozen(kind: int, content: Any) -> Any:
    if kind != STRUCTURE:
        return content
    return tuple((tag, item_kind, _frozen(item_kind, item)) for tag, item_kind, item in content)


def node_of(tag: int, value: Value) -> Node:
    """Return a value under a tag."""
    return (tag, int(value.type), _thawed(value.type, value.content))


def _thawed(kind: int, content: Any) -> Any:
    if kind != STRUCTURE:
        return content
    return [(tag, int(item_kind), _thawed(item_kind, item)) for tag, item_kind, item in content]


def sayable(name: str, value: Value, version: Version) -> Value | None:
    """Return what of an attribute's value a version can express; None when nothing is left of it.

    Fields, members of enumerations and bits of masks that the version does not have are left out: old clients fail on
    what they do not know.
    """
    tag = ATTRIBUTE_TAGS.get(name, 0)
    if value.type == STRUCTURE and not is_custom(name):
        fields = _sayable_fields(tag, value.content, version)
        return Value(ItemType.STRUCTURE, fields) if fields else None
    if tag and not _is_sayable(tag, int(value.type), value.content, version):
        return None
    if tag and value.type == INTEGER:
        return Value(ItemType.INTEGER, masked(tag, value.content, version))
    return value


def masked(tag: int, content: int, version: Version) -> int:
    """Return a mask without the bits that other versions define; other integers as they are."""
    return content & ~_UNSAYABLE_BITS.get((enumeration_of(tag) or "", version), 0)


def _sayable_fields(owner: int, fields: Any, version: Version) -> tuple[Any, ...] | None:
    kept = []
    for tag, kind, content in fields:
        if not tag_available(tag, version) or version < _FIELDS_SINCE.get((owner, tag), version):
            continue
        if not _is_sayable(tag, kind, content, version):
            return None  # without its type or algorithm the rest would mean something else
        if kind == STRUCTURE:
            inner = _sayable_fields(tag, content, version)
            if inner is None:
                return None
            kept.append((tag, kind, inner))
        else:
            kept.append((tag, kind, content))
    return tuple(kept)


def _is_sayable(tag: int, kind: int, content: Any, version: Version) -> bool:
    names = enumeration_of(tag)
    if kind != ENUMERATION or names is None or names not in ENUMERATIONS:
        return True
    return enum_available(names, content, version)


_UNSAYABLE_BITS = {
    (mask, version): sum(bit for bit, since, until in bits.values() if not since <= version <= (until or VERSIONS[-1]))
    for mask, bits in MASKS.items()
    for version in VERSIONS
}
"""Mask and version -> bits that only other versions define."""
