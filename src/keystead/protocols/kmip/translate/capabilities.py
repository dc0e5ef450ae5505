"""Payloads of Query, Discover Versions and Interop: what this server can do, told in the client's version.

Source: KMIP 1.4 sections 4.25, 4.26, 2.1.18 to 2.1.21; KMIP 2.1 sections 6.1.16, 6.1.26, 6.1.40;
requirements KS-KMIP-017, 046.
"""

from collections.abc import Callable, Sequence

from keystead import __version__
from keystead.core.attribute_table import ObjectType
from keystead.operations.information import DiscoverVersions, Interop, Query
from keystead.protocols.kmip.translate.fields import Dialect, Field, Layout, Values, enumeration, integer, text
from keystead.protocols.kmip.translate.objects import SOFTWARE_STORAGE
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.names import VERSIONS, enum_available, enum_value
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag, Version

VENDOR = "keystead"

OBJECT_TYPES = tuple(kind for kind in ObjectType if kind is not ObjectType.CERTIFICATE_REQUEST)
"""What this server makes or takes, by its number."""

Offered = Callable[[Dialect], Sequence[int]]
"""The operations that exist for a client; handed in, as their table stands above this one."""

PROTOCOL_VERSION = Layout(
    Field(Tag.PROTOCOL_VERSION_MAJOR, "major", integer, required=True),
    Field(Tag.PROTOCOL_VERSION_MINOR, "minor", integer, required=True),
)
QUERY = Layout(Field(Tag.QUERY_FUNCTION, "functions", enumeration, many=True, required=True))


def read_version(node: Node) -> Version:
    """Read a Protocol Version."""
    values = PROTOCOL_VERSION.read(node, VERSIONS[0])
    return values["major"], values["minor"]


def version_node(version: Version) -> Node:
    """Write a Protocol Version."""
    return nodes.structure(
        Tag.PROTOCOL_VERSION,
        nodes.integer(Tag.PROTOCOL_VERSION_MAJOR, version[0]),
        nodes.integer(Tag.PROTOCOL_VERSION_MINOR, version[1]),
    )


DISCOVER_VERSIONS = Layout(Field(Tag.PROTOCOL_VERSION, "versions", read_version, many=True))
INTEROP = Layout(
    Field(Tag.INTEROP_FUNCTION, "function", enumeration, required=True),
    Field(Tag.INTEROP_IDENTIFIER, "identifier", text, required=True),
)


def make_query(values: Values, _dialect: Dialect) -> Query:
    """Query; functions of later versions are answered with nothing."""
    return Query(values["functions"])


def make_discover_versions(values: Values, _dialect: Dialect) -> DiscoverVersions:
    """Discover Versions."""
    return DiscoverVersions(**values)


def make_interop(values: Values, _dialect: Dialect) -> Interop:
    """Interop."""
    return Interop(**values)


def answer_interop(_result: object, _dialect: Dialect) -> list[Node]:
    """Nothing."""
    return []


def answer_versions(asked: tuple[Version, ...], _dialect: Dialect) -> list[Node]:
    """The asker's versions that we speak, in its order; all of ours, newest first, when it named none."""
    spoken = [version for version in asked if version in VERSIONS] if asked else VERSIONS[::-1]
    return [version_node(version) for version in spoken]


def answer_query(functions: tuple[int, ...], dialect: Dialect, offered: Offered) -> list[Node]:
    """What the functions ask for, in the order of the response payload's table."""
    asked = set(functions)
    if _MAP in asked:
        asked.discard(_LIST)
    items: list[Node] = []
    for name, answer in _ANSWERS.items():
        function = enum_value("QueryFunction", name)
        if function in asked and enum_available("QueryFunction", function, dialect.version):
            items += answer(dialect, offered)
    return items


def _operations(dialect: Dialect, offered: Offered) -> list[Node]:
    return [nodes.enumeration(Tag.OPERATION, code) for code in offered(dialect)]


def _objects(dialect: Dialect, _offered: Offered) -> list[Node]:
    return [
        nodes.enumeration(Tag.OBJECT_TYPE, int(object_type))
        for object_type in OBJECT_TYPES
        if enum_available("ObjectType", object_type, dialect.version)
    ]


def _server_information(dialect: Dialect, _offered: Offered) -> list[Node]:
    known = (
        ()
        if dialect.version < (2, 0)
        else (
            nodes.text(Tag.SERVER_VERSION, __version__),
            nodes.text(Tag.PRODUCT_NAME, VENDOR),
        )
    )
    return [nodes.text(Tag.VENDOR_IDENTIFICATION, VENDOR), nodes.structure(Tag.SERVER_INFORMATION, *known)]


def _nothing(_dialect: Dialect, _offered: Offered) -> list[Node]:
    return []


def _generators(_dialect: Dialect, _offered: Offered) -> list[Node]:
    unspecified = enum_value("RNGAlgorithm", "Unspecified")  # the operating system's; its kind is not ours to promise
    return [nodes.structure(Tag.RNG_PARAMETERS, nodes.enumeration(Tag.RNG_ALGORITHM, unspecified))]


def _capabilities(dialect: Dialect, _offered: Offered) -> list[Node]:
    flags = [
        nodes.boolean(Tag.STREAMING_CAPABILITY, value=True),
        nodes.boolean(Tag.ASYNCHRONOUS_CAPABILITY, value=False),
        nodes.boolean(Tag.ATTESTATION_CAPABILITY, value=False),
    ]
    if dialect.version >= (1, 4):
        flags += [
            nodes.boolean(Tag.BATCH_UNDO_CAPABILITY, value=True),
            nodes.boolean(Tag.BATCH_CONTINUE_CAPABILITY, value=True),
        ]
    flags.append(nodes.enumeration(Tag.DESTROY_ACTION, enum_value("DestroyAction", "KeyMaterialDeleted")))
    return [nodes.structure(Tag.CAPABILITY_INFORMATION, *flags)]


def _storage_masks(_dialect: Dialect, _offered: Offered) -> list[Node]:
    return [nodes.structure(Tag.PROTECTION_STORAGE_MASKS, nodes.integer(Tag.PROTECTION_STORAGE_MASK, SOFTWARE_STORAGE))]


_ANSWERS: dict[str, Callable[[Dialect, Offered], list[Node]]] = {
    "QueryOperations": _operations,
    "QueryObjects": _objects,
    "QueryServerInformation": _server_information,
    "QueryApplicationNamespaces": _nothing,  # none for which the server makes data (KS-KMIP-046)
    "QueryExtensionList": _nothing,
    "QueryExtensionMap": _nothing,
    "QueryAttestationTypes": _nothing,
    "QueryRNGs": _generators,
    "QueryProfiles": _nothing,  # none is claimed
    "QueryValidations": _nothing,
    "QueryCapabilities": _capabilities,
    "QueryClientRegistrationMethods": _nothing,
    "QueryDefaultsInformation": _nothing,
    "QueryStorageProtectionMasks": _storage_masks,
}
"""Query Function -> its part of the answer, in the order of the response payload (KMIP 2.1 table 283)."""

_LIST, _MAP = enum_value("QueryFunction", "QueryExtensionList"), enum_value("QueryFunction", "QueryExtensionMap")
