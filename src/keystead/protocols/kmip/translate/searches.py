"""Payloads of Locate, Get Attributes and Get Attribute List.

Source: KMIP 1.4 sections 4.9, 4.12, 4.13; KMIP 2.1 sections 6.1.20, 6.1.21, 6.1.28.
"""

from keystead.core.errors import Invalid
from keystead.operations.requests import (
    AttributesRead,
    Condition,
    GetAttributeList,
    GetAttributes,
    Locate,
    Located,
)
from keystead.protocols.kmip.translate.attributes import (
    TWO,
    attributes_node,
    instance_nodes,
    name_nodes,
    read_attributes,
    read_instance,
    read_name,
    read_reference,
)
from keystead.protocols.kmip.translate.fields import Dialect, Field, Layout, Values, count, enumeration, integer
from keystead.protocols.kmip.translate.targets import TARGET
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag

LOCATE = Layout(
    Field(Tag.MAXIMUM_ITEMS, "maximum_count", count),
    Field(Tag.OFFSET_ITEMS, "offset_count", count, since=(1, 0)),  # of 1.3; common clients send it in older messages
    Field(Tag.STORAGE_STATUS_MASK, "storage_mask", integer),
    Field(Tag.OBJECT_GROUP_MEMBER, "group_member", enumeration),
    Field(Tag.ATTRIBUTE, "instances", read_instance, many=True, until=(1, 4)),
    Field(Tag.ATTRIBUTES, "attributes", read_attributes),
)
GET_ATTRIBUTES = Layout(
    TARGET,
    Field(Tag.ATTRIBUTE_NAME, "names", read_name, many=True, until=(1, 4)),
    Field(Tag.ATTRIBUTE_REFERENCE, "names", read_reference, many=True),
)
GET_ATTRIBUTE_LIST = Layout(TARGET)
LOCATED_ITEMS_SINCE = (1, 3)


def make_locate(values: Values, _dialect: Dialect) -> Locate:
    """Locate; indexes in conditions mean nothing (KMIP 1.4 section 4.9)."""
    conditions = [Condition(name, value) for name, _, value in values.pop("instances", ())]
    conditions += [Condition(a.name, a.value) for a in values.pop("attributes", ())]
    return Locate(tuple(conditions), **values)


def make_get_attributes(values: Values, _dialect: Dialect) -> GetAttributes:
    """Get Attributes."""
    names = values.get("names", ())
    if len(set(names)) != len(names):
        raise Invalid("an attribute is named more than once; name it once", "invalid.message")
    return GetAttributes(**values)


def make_get_attribute_list(values: Values, _dialect: Dialect) -> GetAttributeList:
    """Get Attribute List."""
    return GetAttributeList(**values)


def answer_located(result: Located, dialect: Dialect) -> list[Node]:
    """How many there are where that is known, and the identifiers."""
    items = [nodes.text(Tag.UNIQUE_IDENTIFIER, identifier) for identifier in result.ids]
    if result.total_count is not None and dialect.version >= LOCATED_ITEMS_SINCE:
        items.insert(0, nodes.integer(Tag.LOCATED_ITEMS, result.total_count))
    return items


def answer_attributes(result: AttributesRead, dialect: Dialect) -> list[Node]:
    """Identifier and attributes."""
    items = [nodes.text(Tag.UNIQUE_IDENTIFIER, result.id)]
    if dialect.version < TWO:
        return items + instance_nodes(result.attributes, dialect.version, indexed=True)
    return [*items, attributes_node(result.attributes, dialect.version)]


def answer_names(result: AttributesRead, dialect: Dialect) -> list[Node]:
    """Identifier and names of attributes."""
    return [nodes.text(Tag.UNIQUE_IDENTIFIER, result.id), *name_nodes(result.attributes, dialect.version)]
