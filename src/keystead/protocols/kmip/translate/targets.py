"""Unique Identifiers in requests: which object is meant.

Source: KMIP 1.4 section 4 (ID Placeholder); KMIP 2.1 sections 4.58 and 11.58.
"""

from keystead.core.errors import Invalid, Refused
from keystead.gate.operation import PLACEHOLDER
from keystead.protocols.kmip.translate.fields import Field, typed
from keystead.protocols.kmip.wire.nodes import ENUMERATION, INTEGER, TEXT_STRING, Node
from keystead.protocols.kmip.wire.tags_table import Tag

ID_PLACEHOLDER = 1  # member of 2.x's Unique Identifier enumeration


def read_target(node: Node) -> str:
    """Read an identifier; in 2.x the ID Placeholder may be named instead.

    Raises:
        Invalid: it is empty.
        Refused: it refers to another item of the batch than the placeholder does.
    """
    if node[1] == ENUMERATION and node[2] == ID_PLACEHOLDER:
        return PLACEHOLDER
    if node[1] in (ENUMERATION, INTEGER):
        raise Refused("of references to other items only the ID Placeholder is supported", "refused.feature")
    identifier: str = typed(node, TEXT_STRING)
    if not identifier:
        raise Invalid("UniqueIdentifier is empty; leave it out to mean the ID Placeholder", "invalid.field")
    return identifier


TARGET = Field(Tag.UNIQUE_IDENTIFIER, "target", read_target)
"""The object that an operation works on; absent = the ID Placeholder."""
