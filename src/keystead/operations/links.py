"""Links that the server makes between objects.

Source: KMIP 1.4 sections 3.35, 9.1.3.2.20; KMIP 2.1 sections 4.31, 11.31; requirement KS-KMIP-031.
"""

from enum import IntEnum

from keystead.core.attributes import Attributes
from keystead.core.structures import TAG_LINK_TYPE, TAG_LINKED_OBJECT, made

LINK = "Link"
LINKS_MADE_COUNT_MAX = 100
"""Links of one type that the server adds to an object; further derived keys still name what they came from."""


class LinkType(IntEnum):
    """Link Type, as far as the server makes links itself."""

    PUBLIC_KEY = 0x102
    PRIVATE_KEY = 0x103
    DERIVATION_BASE_OBJECT = 0x104
    DERIVED_KEY = 0x105
    REPLACEMENT_OBJECT = 0x106
    REPLACED_OBJECT = 0x107


def linked(attributes: Attributes, kind: LinkType, object_id: str) -> Attributes:
    """Return attributes with a link more, unless there are too many of its type."""
    present = [a for a in attributes.instances(LINK) if a.value.field(TAG_LINK_TYPE) == kind]
    if len(present) >= LINKS_MADE_COUNT_MAX:
        return attributes
    return attributes.added(LINK, made(LINK, int(kind), object_id))


def link_of(attributes: Attributes, kind: LinkType) -> str | None:
    """Return the id of the first object linked in a way, None when there is none."""
    for instance in attributes.instances(LINK):
        if instance.value.field(TAG_LINK_TYPE) == kind:
            found: str = instance.value.field(TAG_LINKED_OBJECT)
            return found
    return None
