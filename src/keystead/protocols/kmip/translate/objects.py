"""Payloads of Create, Register, Get, Activate, Revoke and Destroy.

Source: KMIP 1.4 sections 4.1, 4.3, 4.11, 4.19 to 4.21; KMIP 2.1 sections 6.1.1, 6.1.8, 6.1.15, 6.1.19, 6.1.43, 6.1.44.
"""

from functools import partial
from typing import Any

from keystead.core.errors import Invalid, Refused
from keystead.operations.requests import (
    Activate,
    Create,
    Created,
    Destroy,
    Get,
    Got,
    GotWrapped,
    Register,
    Revoke,
    Touched,
)
from keystead.operations.wrapping import GetWrapped, RegisterWrapped
from keystead.protocols.kmip.translate.attributes import TWO, instance_nodes, read_attributes, read_template
from keystead.protocols.kmip.translate.fields import (
    Dialect,
    Field,
    Layout,
    Values,
    enumeration,
    integer,
    members,
    moment_us,
    text,
)
from keystead.protocols.kmip.translate.key_blocks import (
    OBJECT_FIELDS,
    material_node,
    object_node,
    read_object,
    unwrapped,
    wrapped_node,
)
from keystead.protocols.kmip.translate.targets import TARGET
from keystead.protocols.kmip.translate.wrapping import encoder, read_specification
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag

SOFTWARE_STORAGE = 1  # bit of Protection Storage Mask: what this server is


def read_storage_masks(node: Node) -> None:
    """Check that one of the ways of keeping the object that the client accepts is ours."""
    masks = [integer(child) for child in members(node)]
    if SOFTWARE_STORAGE not in masks:
        raise Refused("this server keeps objects in software; allow the mask Software", "refused.feature")


NEW_OBJECT = (
    Field(Tag.OBJECT_TYPE, "object_type", enumeration, required=True),
    Field(Tag.TEMPLATE_ATTRIBUTE, "template", read_template, required=True, until=(1, 4)),
    Field(Tag.ATTRIBUTES, "attributes", read_attributes, required=True),
    Field(Tag.PROTECTION_STORAGE_MASKS, "storage", read_storage_masks),
)
CREATE = Layout(*NEW_OBJECT)
REGISTER = Layout(*NEW_OBJECT, *OBJECT_FIELDS)
GET = Layout(
    TARGET,
    Field(Tag.KEY_FORMAT_TYPE, "format", enumeration),
    Field(Tag.KEY_WRAP_TYPE, "wrap_type", enumeration),
    Field(Tag.KEY_COMPRESSION_TYPE, "compression", enumeration),
    Field(Tag.KEY_WRAPPING_SPECIFICATION, "wrapping", read_specification),
)
REVOCATION_REASON = Layout(
    Field(Tag.REVOCATION_REASON_CODE, "code", enumeration, required=True),
    Field(Tag.REVOCATION_MESSAGE, "message", text),
)
REVOKE = Layout(
    TARGET,
    Field(Tag.REVOCATION_REASON, "reason", lambda node: REVOCATION_REASON.read(node, (1, 0)), required=True),
    Field(Tag.COMPROMISE_OCCURRENCE_DATE, "occurrence_us", moment_us),
)
TARGET_ONLY = Layout(TARGET)


def given(values: Values) -> dict[str, Any]:
    """Attributes and templates of a new object."""
    if "template" in values:
        attributes, templates = values["template"]
        return {"attributes": attributes, "templates": templates}
    return {"attributes": values["attributes"]}


def make_create(values: Values, _dialect: Dialect) -> Create:
    """Create."""
    return Create(values["object_type"], **given(values))


def make_register(values: Values, dialect: Dialect) -> Register | RegisterWrapped:
    """Register; attributes beside the key material count unless the request names them itself."""
    if "object" not in values:
        raise Invalid("Register needs the object itself", "invalid.missing")
    object_type, node = values["object"]
    if object_type != values["object_type"]:
        raise Invalid("Object Type is not that of the object sent", "invalid.object_type")
    registered = read_object(object_type, node, dialect.version)
    told = given(values)
    named = {attribute.name for attribute in told["attributes"]}
    told["attributes"] += tuple(a for a in registered.attributes if a.name not in named)
    request = Register(object_type, registered.block, **told)
    wrapped, block = registered.wrapped, registered.block
    if wrapped is None or block is None:
        return request
    return RegisterWrapped(request, wrapped.wrapping, wrapped.iv, partial(unwrapped, block, wrapped.wrapping))


def make_get(values: Values, dialect: Dialect) -> Get | GetWrapped:
    """Get."""
    request = Get(values.get("target", ""), values.get("format"), values.get("compression"), values.get("wrap_type"))
    wrapping = values.get("wrapping")
    return (
        request
        if wrapping is None
        else GetWrapped(request, wrapping, encoder(wrapping, partial(material_node, version=dialect.version)))
    )


def make_revoke(values: Values, _dialect: Dialect) -> Revoke:
    """Revoke."""
    reason = values["reason"]
    return Revoke(reason["code"], reason.get("message", ""), values.get("occurrence_us"), values.get("target", ""))


def make_activate(values: Values, _dialect: Dialect) -> Activate:
    """Activate."""
    return Activate(**values)


def make_destroy(values: Values, _dialect: Dialect) -> Destroy:
    """Destroy."""
    return Destroy(**values)


def answer_created(result: Created, dialect: Dialect) -> list[Node]:
    """Object Type, identifier, and in 1.x what the server added."""
    return [nodes.enumeration(Tag.OBJECT_TYPE, result.object_type), *answer_registered(result, dialect)]


def answer_registered(result: Created, dialect: Dialect) -> list[Node]:
    """Identifier, and in 1.x what the server added."""
    items = [nodes.text(Tag.UNIQUE_IDENTIFIER, result.id)]
    if dialect.version < TWO and (added := instance_nodes(result.implicit, dialect.version)):
        items.append(nodes.structure(Tag.TEMPLATE_ATTRIBUTE, *added))
    return items


def answer_got(result: Got | GotWrapped, dialect: Dialect) -> list[Node]:
    """Object Type, identifier, object."""
    if isinstance(result, GotWrapped):
        return [
            nodes.enumeration(Tag.OBJECT_TYPE, result.object_type),
            nodes.text(Tag.UNIQUE_IDENTIFIER, result.id),
            wrapped_node(result, dialect.version),
        ]
    return [
        nodes.enumeration(Tag.OBJECT_TYPE, result.object_type),
        nodes.text(Tag.UNIQUE_IDENTIFIER, result.id),
        object_node(result.object_type, result.block, result.attributes, dialect.version),
    ]


def answer_touched(result: Touched, _dialect: Dialect) -> list[Node]:
    """Identifier."""
    return [nodes.text(Tag.UNIQUE_IDENTIFIER, result.id)]
