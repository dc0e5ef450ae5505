"""Attributes as 1.x and 2.x write them.

1.x: an Attribute structure with name, index and value; references are names.
2.x: the attribute's own tag inside an Attributes structure, no index; references are tags. Attributes that are not in
the specification are structures with a vendor's identification: "x" and "y" are 1.x's custom attributes, another
vendor's are kept under "vendor/name" and not shown to 1.x.

Source: KMIP 1.4 sections 2.1.1, 2.1.8 and 3.39; KMIP 2.1 sections 4.60 and 5.
"""

import re
from collections.abc import Iterable, Iterator

from keystead.core.attribute_table import ATTRIBUTES, rule_of, vendor_name, vendor_parts
from keystead.core.attributes import Attribute, Value, is_custom
from keystead.core.errors import Invalid
from keystead.protocols.kmip.translate.fields import Field, Layout, count, members, text, typed
from keystead.protocols.kmip.translate.values import ATTRIBUTE_TAGS, node_of, sayable, value_of
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.names import tag_name
from keystead.protocols.kmip.wire.nodes import STRUCTURE, TEXT_STRING, Node, first
from keystead.protocols.kmip.wire.tags_table import Tag, Version

TWO: Version = (2, 0)

_NAMES = {tag: name for name, tag in ATTRIBUTE_TAGS.items()}
_VENDOR = re.compile(r"[A-Za-z0-9_.]+")

_ATTRIBUTE_1 = Layout(
    Field(Tag.ATTRIBUTE_NAME, "name", text, required=True),
    Field(Tag.ATTRIBUTE_INDEX, "index", count),
    Field(Tag.ATTRIBUTE_VALUE, "value", value_of, required=True),
)
_ATTRIBUTE_2 = Layout(
    Field(Tag.VENDOR_IDENTIFICATION, "vendor", text, required=True),
    Field(Tag.ATTRIBUTE_NAME, "name", text, required=True),
    Field(Tag.ATTRIBUTE_VALUE, "value", value_of, required=True),
)

Instance = tuple[str, int | None, Value]
"""An attribute as a client wrote it: name, index if it gave one, value."""


def is_known(name: str, version: Version) -> bool:
    """Tell whether a version can speak of an attribute."""
    rule = ATTRIBUTES.get(name)
    if rule is not None:
        return rule.known_in(version)
    return is_custom(name) or (version >= TWO and vendor_parts(name) is not None)


# -- reading ---------------------------------------------------------------------------------------------------------


def read_name(node: Node) -> str:
    """Read an Attribute Name of 1.x.

    Raises:
        Invalid: it holds another vendor's attribute of 2.x.
    """
    name = text(node)
    if not is_custom(name) and vendor_parts(name) is not None:
        raise Invalid(f"KMIP has no attribute {name[:64]!r}; names of your own start with x-", "invalid.attribute")
    return name


def read_instance(node: Node) -> Instance:
    """Read an Attribute structure of 1.x."""
    values = _ATTRIBUTE_1.read(node, (1, 4))
    return read_name(nodes.text(Tag.ATTRIBUTE_NAME, values["name"])), values.get("index"), values["value"]


def read_tagged(node: Node) -> Instance:
    """Read one attribute of 2.x: under its own tag, or a vendor's."""
    if node[0] == Tag.ATTRIBUTE:
        values = _ATTRIBUTE_2.read(node, TWO)
        return _vendor_name(values["vendor"], values["name"]), None, values["value"]
    name = _NAMES.get(node[0])
    if name is None:
        raise Invalid(f"{tag_name(node[0])} is no attribute", "invalid.attribute")
    return name, None, value_of(node)


def read_single(node: Node) -> Instance:
    """Read a New or Current Attribute structure of 2.x: exactly one attribute."""
    inside = members(node)
    if len(inside) != 1:
        raise Invalid(f"{tag_name(node[0])} must hold exactly one attribute", "invalid.message")
    return read_tagged(inside[0])


def read_reference(node: Node) -> str:
    """Read an Attribute Reference of 2.x: a tag, or a vendor's name."""
    if node[1] == STRUCTURE:
        vendor, name = first(node, Tag.VENDOR_IDENTIFICATION), first(node, Tag.ATTRIBUTE_NAME)
        if vendor is None or name is None or len(node[2]) != 2:
            raise Invalid("AttributeReference needs VendorIdentification and AttributeName", "invalid.message")
        return _vendor_name(text(vendor), text(name))
    name_of_tag = _NAMES.get(node[2] if type(node[2]) is int else 0)
    if name_of_tag is None:
        raise Invalid("AttributeReference names no attribute of this server", "invalid.attribute")
    return name_of_tag


def _vendor_name(vendor: str, name: str) -> str:
    if not _VENDOR.fullmatch(vendor):
        raise Invalid("VendorIdentification takes letters, digits, underscore and period", "invalid.attribute")
    return vendor_name(vendor, name)


def read_template(node: Node) -> tuple[tuple[Attribute, ...], tuple[str, ...]]:
    """Read a Template-Attribute of 1.x: attributes, and names of templates."""
    instances: list[Instance] = []
    templates: list[str] = []
    for child in members(node):
        if child[0] == Tag.ATTRIBUTE:
            instances.append(read_instance(child))
        elif child[0] == Tag.NAME:
            value = first(child, Tag.NAME_VALUE) if child[1] == STRUCTURE else None
            if value is None:
                raise Invalid("the name of a template needs NameValue", "invalid.message")
            templates.append(typed(value, TEXT_STRING))
        else:
            raise Invalid(f"{tag_name(node[0])} has no field {tag_name(child[0])}", "invalid.field")
    return numbered(instances), tuple(templates)


def read_attributes(node: Node) -> tuple[Attribute, ...]:
    """Read an Attributes structure of 2.x."""
    return numbered(read_tagged(child) for child in members(node))


def numbered(instances: Iterable[Instance]) -> tuple[Attribute, ...]:
    """Give each instance the index that a new object would: from 0 on for each name, whatever the client wrote."""
    counts: dict[str, int] = {}
    found = []
    for name, _, value in instances:
        counts[name] = counts.get(name, -1) + 1
        found.append(Attribute(name, counts[name], value))
    return tuple(found)


# -- writing ---------------------------------------------------------------------------------------------------------


def _expressible(attributes: Iterable[Attribute], version: Version) -> Iterator[Attribute]:
    for attribute in attributes:
        if is_known(attribute.name, version):
            value = sayable(attribute.name, attribute.value, version)
            if value is not None:
                yield attribute._replace(value=value)


def instance_nodes(attributes: Iterable[Attribute], version: Version, *, indexed: bool = False) -> list[Node]:
    """Write Attribute structures of 1.x; the index 0 may be left out (KMIP 1.4 section 2.1.1).

    `indexed`: it is written where there can be several instances, as some clients look for it.
    """
    return [
        nodes.structure(
            Tag.ATTRIBUTE,
            nodes.text(Tag.ATTRIBUTE_NAME, attribute.name),
            nodes.integer(Tag.ATTRIBUTE_INDEX, attribute.index)
            if attribute.index or (indexed and version > (1, 0) and _is_multiple(attribute.name))
            else None,
            node_of(Tag.ATTRIBUTE_VALUE, attribute.value),
        )
        for attribute in _expressible(attributes, version)
    ]


def _is_multiple(name: str) -> bool:
    rule = rule_of(name)
    return rule is not None and rule.multiple


def attributes_node(attributes: Iterable[Attribute], version: Version) -> Node:
    """Write an Attributes structure of 2.x."""
    return nodes.structure(Tag.ATTRIBUTES, *(_tagged_node(a) for a in _expressible(attributes, version)))


def _tagged_node(attribute: Attribute) -> Node:
    tag = ATTRIBUTE_TAGS.get(attribute.name)
    if tag is not None:
        return node_of(tag, attribute.value)
    vendor, name = vendor_parts(attribute.name) or ("", attribute.name)
    return nodes.structure(
        Tag.ATTRIBUTE,
        nodes.text(Tag.VENDOR_IDENTIFICATION, vendor),
        nodes.text(Tag.ATTRIBUTE_NAME, name),
        node_of(Tag.ATTRIBUTE_VALUE, attribute.value),
    )


def name_nodes(attributes: Iterable[Attribute], version: Version) -> list[Node]:
    """Write the names of attributes, each once: Attribute Names of 1.x, Attribute References of 2.x."""
    names = dict.fromkeys(a.name for a in attributes if is_known(a.name, version))
    return [nodes.text(Tag.ATTRIBUTE_NAME, name) if version < TWO else _reference_node(name) for name in names]


def _reference_node(name: str) -> Node:
    tag = ATTRIBUTE_TAGS.get(name)
    if tag is not None:
        return nodes.enumeration(Tag.ATTRIBUTE_REFERENCE, tag)
    vendor, own_name = vendor_parts(name) or ("", name)
    return nodes.structure(
        Tag.ATTRIBUTE_REFERENCE,
        nodes.text(Tag.VENDOR_IDENTIFICATION, vendor),
        nodes.text(Tag.ATTRIBUTE_NAME, own_name),
    )
