"""What a Split Key says beside its Key Block.

Source: KMIP 1.4 section 2.2.5; KMIP 2.1 section 2.8.
"""

from keystead.core.errors import Invalid, NotSupported
from keystead.core.split_keys import SplitKey
from keystead.protocols.kmip.translate.fields import Field, Values, enumeration, integer, typed
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.names import enum_available
from keystead.protocols.kmip.wire.nodes import BIG_INTEGER, Node
from keystead.protocols.kmip.wire.tags_table import Tag, Version


def _big_integer(node: Node) -> int:
    value: int = typed(node, BIG_INTEGER)
    return value


SPLIT_KEY_FIELDS = (
    Field(Tag.SPLIT_KEY_PARTS, "parts_count", integer, required=True),
    Field(Tag.KEY_PART_IDENTIFIER, "part", integer, required=True),
    Field(Tag.SPLIT_KEY_THRESHOLD, "threshold_count", integer, required=True),
    Field(Tag.SPLIT_KEY_METHOD, "method", enumeration, required=True),
    Field(Tag.PRIME_FIELD_SIZE, "prime", _big_integer),
)


def read_split_key(values: Values, version: Version) -> SplitKey:
    """Return what the fields say.

    Raises:
        Invalid: the version has no such method.
    """
    split = SplitKey(**{name: values[name] for name in SplitKey._fields if name in values})
    if not enum_available("SplitKeyMethod", split.method, version):
        raise Invalid("this version of KMIP has no such Split Key Method", "invalid.field")
    return split


def split_key_nodes(split: SplitKey, version: Version) -> list[Node]:
    """Write the fields, in the specification's order.

    Raises:
        NotSupported: the version cannot name the method.
    """
    if not enum_available("SplitKeyMethod", split.method, version):
        raise NotSupported(
            "the Split Key Method is of a later version of KMIP; ask with one", "not_supported.key_format"
        )
    found = [
        nodes.integer(Tag.SPLIT_KEY_PARTS, split.parts_count),
        nodes.integer(Tag.KEY_PART_IDENTIFIER, split.part),
        nodes.integer(Tag.SPLIT_KEY_THRESHOLD, split.threshold_count),
        nodes.enumeration(Tag.SPLIT_KEY_METHOD, split.method),
    ]
    return found if split.prime is None else [*found, nodes.big_integer(Tag.PRIME_FIELD_SIZE, split.prime)]
