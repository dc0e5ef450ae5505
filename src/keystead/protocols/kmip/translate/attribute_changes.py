"""Payloads of Add, Modify, Delete and Set Attribute.

1.x names an instance by its index and answers with the attribute; 2.x names it by its present value and answers with
the identifier.

Source: KMIP 1.4 sections 4.14 to 4.16; KMIP 2.1 sections 6.1.2, 6.1.13, 6.1.34, 6.1.51.
"""

from keystead.core.errors import Invalid
from keystead.operations.requests import (
    AddAttribute,
    AttributeChanged,
    DeleteAttribute,
    ModifyAttribute,
    SetAttribute,
)
from keystead.protocols.kmip.translate.attributes import (
    TWO,
    instance_nodes,
    read_instance,
    read_name,
    read_reference,
    read_single,
)
from keystead.protocols.kmip.translate.fields import Dialect, Field, Layout, Values, count
from keystead.protocols.kmip.translate.targets import TARGET
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag

_NEW = (
    Field(Tag.ATTRIBUTE, "new", read_instance, required=True, until=(1, 4)),
    Field(Tag.NEW_ATTRIBUTE, "new", read_single, required=True),
)
_CURRENT = Field(Tag.CURRENT_ATTRIBUTE, "current", read_single)

ADD = SET = Layout(TARGET, *_NEW)
MODIFY = Layout(TARGET, *_NEW, _CURRENT)
DELETE = Layout(
    TARGET,
    Field(Tag.ATTRIBUTE_NAME, "name", read_name, required=True, until=(1, 4)),
    Field(Tag.ATTRIBUTE_INDEX, "index", count),
    _CURRENT,
    Field(Tag.ATTRIBUTE_REFERENCE, "reference", read_reference),
)


def make_add(values: Values, _dialect: Dialect) -> AddAttribute:
    """Add Attribute; the index is the server's to give (KMIP 1.4 section 11.15)."""
    name, index, value = values["new"]
    if index is not None:
        raise Invalid("leave Attribute Index out when adding; the server gives it", "invalid.attribute_index")
    return AddAttribute(name, value, values.get("target", ""))


def make_modify(values: Values, dialect: Dialect) -> ModifyAttribute:
    """Modify Attribute; 2.x without a present value means the only instance there is."""
    name, index, value = values["new"]
    current = None
    if "current" in values:
        current_name, _, current = values["current"]
        if current_name != name:
            raise Invalid("CurrentAttribute and NewAttribute are different attributes", "invalid.field")
    is_only = dialect.version >= TWO and current is None
    return ModifyAttribute(name, value, index, current, values.get("target", ""), is_only)


def make_delete(values: Values, dialect: Dialect) -> DeleteAttribute:
    """Delete Attribute: one instance, or in 2.x by reference all of them."""
    target = values.get("target", "")
    if dialect.version < TWO:
        return DeleteAttribute(values["name"], values.get("index"), target=target)
    if "current" in values:
        name, _, current = values["current"]
        if values.get("reference", name) != name:
            raise Invalid("CurrentAttribute and AttributeReference are different attributes", "invalid.field")
        return DeleteAttribute(name, current=current, target=target)
    if "reference" not in values:
        raise Invalid("name the attribute by CurrentAttribute or AttributeReference", "invalid.missing")
    return DeleteAttribute(values["reference"], every=True, target=target)


def make_set(values: Values, _dialect: Dialect) -> SetAttribute:
    """Set Attribute."""
    name, _, value = values["new"]
    return SetAttribute(name, value, values.get("target", ""))


def answer_changed(result: AttributeChanged, dialect: Dialect) -> list[Node]:
    """Identifier, and in 1.x the attribute as it is now, or was before it was deleted."""
    items = [nodes.text(Tag.UNIQUE_IDENTIFIER, result.id)]
    if dialect.version < TWO:
        items += instance_nodes([result.attribute], dialect.version, indexed=result.indexed)
    return items
