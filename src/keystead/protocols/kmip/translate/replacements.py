"""Payloads of Re-key, Re-key Key Pair and Check.

Source: KMIP 1.4 sections 4.4, 4.5, 4.10; KMIP 2.1 sections 6.1.6, 6.1.41, 6.1.42.
"""

from keystead.operations.checks import Check, Checked
from keystead.operations.key_pairs import Wishes
from keystead.operations.replacements import Rekey, RekeyKeyPair
from keystead.protocols.kmip.translate.fields import Dialect, Field, Layout, Values, integer, interval, long_integer
from keystead.protocols.kmip.translate.key_pairs import WISHES, wishes_of_attributes, wishes_of_template
from keystead.protocols.kmip.translate.objects import read_storage_masks
from keystead.protocols.kmip.translate.targets import TARGET, read_target
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag

_OFFSET = Field(Tag.OFFSET, "offset_s", interval)
REKEY = Layout(
    TARGET,
    _OFFSET,
    Field(Tag.TEMPLATE_ATTRIBUTE, "wishes", wishes_of_template, until=(1, 4)),
    Field(Tag.ATTRIBUTES, "wishes", wishes_of_attributes),
    Field(Tag.PROTECTION_STORAGE_MASKS, "storage", read_storage_masks),
)
REKEY_KEY_PAIR = Layout(Field(Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER, "target", read_target), _OFFSET, *WISHES)
CHECK = Layout(
    TARGET,
    Field(Tag.USAGE_LIMITS_COUNT, "limits_count", long_integer),
    Field(Tag.CRYPTOGRAPHIC_USAGE_MASK, "usage_mask", integer),
    Field(Tag.LEASE_TIME, "lease_s", interval),
)


def make_rekey(values: Values, _dialect: Dialect) -> Rekey:
    """Re-key."""
    return Rekey(values.get("target", ""), values.get("offset_s"), values.get("wishes", Wishes()))


def make_rekey_key_pair(values: Values, _dialect: Dialect) -> RekeyKeyPair:
    """Re-key Key Pair."""
    wishes = (values.get(part, Wishes()) for part in ("common", "private", "public"))
    return RekeyKeyPair(values.get("target", ""), values.get("offset_s"), *wishes)


def make_check(values: Values, _dialect: Dialect) -> Check:
    """Check."""
    return Check(**values)


def answer_checked(result: Checked, _dialect: Dialect) -> list[Node]:
    """Identifier."""
    return [nodes.text(Tag.UNIQUE_IDENTIFIER, result.id)]
