"""Payload of Create Key Pair.

Source: KMIP 1.4 section 4.2; KMIP 2.1 section 6.1.9.
"""

from keystead.operations.key_pairs import CreateKeyPair, PairCreated, Wishes
from keystead.protocols.kmip.translate.attributes import read_attributes, read_template
from keystead.protocols.kmip.translate.fields import Dialect, Field, Layout, Values
from keystead.protocols.kmip.translate.objects import read_storage_masks
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag


def wishes_of_template(node: Node) -> Wishes:
    """Read a Template-Attribute of 1.x."""
    return Wishes(*read_template(node))


def wishes_of_attributes(node: Node) -> Wishes:
    """Read an Attributes structure of 2.x."""
    return Wishes(read_attributes(node))


WISHES = (
    Field(Tag.COMMON_TEMPLATE_ATTRIBUTE, "common", wishes_of_template, until=(1, 4)),
    Field(Tag.PRIVATE_KEY_TEMPLATE_ATTRIBUTE, "private", wishes_of_template, until=(1, 4)),
    Field(Tag.PUBLIC_KEY_TEMPLATE_ATTRIBUTE, "public", wishes_of_template, until=(1, 4)),
    Field(Tag.COMMON_ATTRIBUTES, "common", wishes_of_attributes),
    Field(Tag.PRIVATE_KEY_ATTRIBUTES, "private", wishes_of_attributes),
    Field(Tag.PUBLIC_KEY_ATTRIBUTES, "public", wishes_of_attributes),
    Field(Tag.COMMON_PROTECTION_STORAGE_MASKS, "storage", read_storage_masks),
    Field(Tag.PRIVATE_PROTECTION_STORAGE_MASKS, "private_storage", read_storage_masks),
    Field(Tag.PUBLIC_PROTECTION_STORAGE_MASKS, "public_storage", read_storage_masks),
)
"""What is said of both keys and of each."""

CREATE_KEY_PAIR = Layout(*WISHES)


def make_create_key_pair(values: Values, _dialect: Dialect) -> CreateKeyPair:
    """Create Key Pair."""
    return CreateKeyPair(*(values.get(part, Wishes()) for part in ("common", "private", "public")))


def answer_pair_created(result: PairCreated, _dialect: Dialect) -> list[Node]:
    """Both identifiers; what the server added can be read with Get Attributes."""
    return [
        nodes.text(Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER, result.private_id),
        nodes.text(Tag.PUBLIC_KEY_UNIQUE_IDENTIFIER, result.public_id),
    ]
