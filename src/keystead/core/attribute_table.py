"""Every attribute of KMIP 1.0 to 2.1 in one table: its type, versions, who may do what with it, where it is kept.

Read from the "Rules" table of each attribute. Where 1.x and 2.x differ in what they apply to, both stand here.
A server keeps one object for all versions; a protocol leaves out what the version it speaks does not know.

Source: KMIP 1.4 sections 3.1 to 3.51; KMIP 2.1 sections 4.1 to 4.63; requirements KS-KMIP-025 to 035.
"""

from enum import Enum, IntEnum, IntFlag
from typing import NamedTuple

from keystead.core.attributes import CUSTOM_PREFIXES, ItemType, is_custom

Version = tuple[int, int]


class ObjectType(IntEnum):
    """KMIP's Object Type enumeration."""

    CERTIFICATE = 1
    SYMMETRIC_KEY = 2
    PUBLIC_KEY = 3
    PRIVATE_KEY = 4
    SPLIT_KEY = 5
    TEMPLATE = 6
    SECRET_DATA = 7
    OPAQUE = 8
    PGP_KEY = 9
    CERTIFICATE_REQUEST = 10


class Client(IntFlag):
    """What a client may do with an attribute. NONE = read-only."""

    NONE = 0
    CREATE = 1  # give it in Create, Register and their like
    ADD = 2  # Add Attribute (and Set Attribute where there is none yet)
    MODIFY = 4  # Modify and Set Attribute
    DELETE = 8  # Delete Attribute


class Home(Enum):
    """Where the value is kept."""

    HEAD = "head"  # a field of the record's head
    MULTIMAP = "multimap"
    COMPUTED = "computed"  # made from other fields whenever somebody reads it


ALL = frozenset(int(kind) for kind in ObjectType)
TEMPLATE = frozenset({int(ObjectType.TEMPLATE)})
OPAQUE = frozenset({int(ObjectType.OPAQUE)})
SECRET = frozenset({int(ObjectType.SECRET_DATA)})  # has an algorithm when its client says so
CERTIFICATE = frozenset({int(ObjectType.CERTIFICATE)})
PGP = frozenset({int(ObjectType.PGP_KEY)})
CRYPTOGRAPHIC = ALL - TEMPLATE - OPAQUE
PAIR = frozenset({int(ObjectType.PUBLIC_KEY), int(ObjectType.PRIVATE_KEY)})
SYMMETRIC = frozenset({int(ObjectType.SYMMETRIC_KEY), int(ObjectType.SPLIT_KEY)})
KEYS = SYMMETRIC | PAIR | PGP
HOLDERS = frozenset(
    int(kind)
    for kind in (ObjectType.SYMMETRIC_KEY, ObjectType.PRIVATE_KEY, ObjectType.SPLIT_KEY, ObjectType.SECRET_DATA)
)


class AttributeRule(NamedTuple):
    """One attribute.

    Attributes:
        name: As in KMIP 1.x, or the specification's words for those of 2.x only.
        type: Type of the value.
        client: What clients may do.
        home: Where the value is kept.
        since: First version with the attribute.
        until: Last version with the attribute, None = still there in 2.1.
        multiple: An object may have several instances.
        kinds: Object types that have it in 1.x.
        kinds_2: Object types that have it in 2.x.
        always: Every object of these kinds has a value from creation on (set by the server if need be).
    """

    name: str
    type: ItemType
    client: Client
    home: Home
    since: Version = (1, 0)
    until: Version | None = None
    multiple: bool = False
    kinds: frozenset[int] = ALL
    kinds_2: frozenset[int] = ALL - TEMPLATE
    always: bool = False

    @property
    def tag_name(self) -> str:
        """The tag as profiles and the XML encoding write it: "CryptographicAlgorithm", "X_509CertificateIssuer"."""
        return self.name.replace(" ", "").replace(".", "_").replace("#", "_")

    @property
    def enumeration(self) -> str:
        """Name of the enumeration or mask that gives the numbers their meaning, "" when none."""
        return self.name if self.type is ItemType.ENUMERATION or self.name.endswith("Mask") else ""

    def known_in(self, version: Version) -> bool:
        """Tell whether a protocol version has this attribute."""
        return self.since <= version and (self.until is None or version <= self.until)

    def applies_to(self, object_type: int, version: Version = (2, 1)) -> bool:
        """Tell whether objects of a type have this attribute in a version."""
        return object_type in (self.kinds if version < (2, 0) else self.kinds_2)

    @property
    def read_only(self) -> bool:
        """Only the server sets it."""
        return self.client is Client.NONE


_TEXT, _INT = ItemType.TEXT_STRING, ItemType.INTEGER
_ENUM, _BOOL, _DATE = ItemType.ENUMERATION, ItemType.BOOLEAN, ItemType.DATE_TIME
_BYTES, _SPAN, _STRUCT = ItemType.BYTE_STRING, ItemType.INTERVAL, ItemType.STRUCTURE

_NO = Client.NONE
_BIRTH = Client.CREATE  # given at creation, never touched again
_ONCE = Client.CREATE | Client.ADD  # given once, then fixed
_KEPT = _ONCE | Client.MODIFY  # changed but not deleted
_FREE = _KEPT | Client.DELETE

_HEAD, _MAP, _MADE = Home.HEAD, Home.MULTIMAP, Home.COMPUTED
_1_4, _2_0, _2_1 = (1, 4), (2, 0), (2, 1)
_Rule = AttributeRule


_NAME_PARTS = ("CN", "O", "OU", "Email", "C", "ST", "L", "UID", "Serial Number", "Title", "DC", "DN Qualifier")


def _of_certificates(
    name: str, kind: ItemType, *, since: Version = (1, 0), until: Version | None = None
) -> AttributeRule:
    return AttributeRule(name, kind, _NO, _MAP, since=since, until=until, kinds=CERTIFICATE, kinds_2=CERTIFICATE)


_ROWS = (
    _Rule("Unique Identifier", _TEXT, _NO, _HEAD, always=True),
    _Rule("Name", _STRUCT, _FREE, _MAP, multiple=True),
    _Rule("Object Type", _ENUM, _NO, _HEAD, always=True),
    _Rule("Cryptographic Algorithm", _ENUM, _BIRTH, _HEAD, kinds=KEYS | SECRET | CERTIFICATE | TEMPLATE, always=True),
    _Rule("Cryptographic Length", _INT, _BIRTH, _HEAD, kinds=KEYS | SECRET | CERTIFICATE | TEMPLATE, always=True),
    _Rule("Cryptographic Parameters", _STRUCT, _FREE, _MAP, multiple=True, kinds=KEYS | CERTIFICATE | TEMPLATE),
    _Rule("Cryptographic Domain Parameters", _STRUCT, _ONCE, _MAP, kinds=PAIR | TEMPLATE, kinds_2=PAIR),
    _of_certificates("Certificate Type", _ENUM)._replace(client=_BIRTH),  # clients repeat what the object says
    _of_certificates("Certificate Length", _INT, since=(1, 1)),
    _of_certificates("X.509 Certificate Identifier", _STRUCT, since=(1, 1)),
    _of_certificates("X.509 Certificate Subject", _STRUCT, since=(1, 1)),
    _of_certificates("X.509 Certificate Issuer", _STRUCT, since=(1, 1)),
    _of_certificates("Certificate Identifier", _STRUCT, until=_1_4),
    _of_certificates("Certificate Subject", _STRUCT, until=_1_4),
    _of_certificates("Certificate Issuer", _STRUCT, until=_1_4),
    _of_certificates("Digital Signature Algorithm", _ENUM, since=(1, 1))._replace(
        multiple=True, kinds=CERTIFICATE | PGP, kinds_2=CERTIFICATE | PGP
    ),
    _Rule("Digest", _STRUCT, _NO, _MADE, multiple=True, kinds=CRYPTOGRAPHIC | OPAQUE, always=True),
    _Rule("Operation Policy Name", _TEXT, _ONCE, _MAP, until=_1_4),
    _Rule("Cryptographic Usage Mask", _INT, _ONCE, _HEAD, kinds=CRYPTOGRAPHIC | TEMPLATE, always=True),
    _Rule("Lease Time", _SPAN, _NO, _MADE, kinds=CRYPTOGRAPHIC),
    _Rule("Usage Limits", _STRUCT, _FREE, _MAP, kinds=KEYS | TEMPLATE),
    _Rule("State", _ENUM, _NO, _HEAD, kinds=CRYPTOGRAPHIC, always=True),
    _Rule("Initial Date", _DATE, _NO, _HEAD, always=True),
    _Rule("Activation Date", _DATE, _KEPT, _HEAD, kinds=CRYPTOGRAPHIC | TEMPLATE),
    _Rule("Process Start Date", _DATE, _KEPT, _HEAD, kinds=SYMMETRIC | TEMPLATE),
    _Rule("Protect Stop Date", _DATE, _KEPT, _HEAD, kinds=SYMMETRIC | TEMPLATE),
    _Rule("Deactivation Date", _DATE, _KEPT, _HEAD, kinds=CRYPTOGRAPHIC | TEMPLATE),
    _Rule("Destroy Date", _DATE, _NO, _HEAD, kinds=CRYPTOGRAPHIC | OPAQUE),
    _Rule("Compromise Occurrence Date", _DATE, _NO, _HEAD, kinds=CRYPTOGRAPHIC | OPAQUE),
    _Rule("Compromise Date", _DATE, _NO, _HEAD, kinds=CRYPTOGRAPHIC | OPAQUE),
    _Rule("Revocation Reason", _STRUCT, _NO, _HEAD, kinds=CRYPTOGRAPHIC | OPAQUE),
    _Rule("Archive Date", _DATE, _NO, _MAP),
    _Rule("Object Group", _TEXT, _FREE, _MAP, multiple=True),
    _Rule("Fresh", _BOOL, _ONCE, _HEAD, since=(1, 1), kinds=CRYPTOGRAPHIC, always=True),
    _Rule("Link", _STRUCT, _FREE, _MAP, multiple=True, kinds=CRYPTOGRAPHIC),
    _Rule("Application Specific Information", _STRUCT, _FREE, _MAP, multiple=True),
    _Rule("Contact Information", _TEXT, _FREE, _MAP),
    _Rule("Last Change Date", _DATE, _NO, _HEAD, always=True),
    _Rule("Alternative Name", _STRUCT, _FREE, _MAP, since=(1, 2), multiple=True),
    _Rule("Key Value Present", _BOOL, _NO, _MADE, since=(1, 2), kinds=HOLDERS),
    _Rule("Key Value Location", _STRUCT, _FREE, _MAP, since=(1, 2), multiple=True, kinds=HOLDERS),
    _Rule("Original Creation Date", _DATE, _ONCE, _HEAD, since=(1, 2)),
    _Rule("Random Number Generator", _STRUCT, _ONCE, _MAP, since=(1, 3), kinds=CRYPTOGRAPHIC),
    _Rule("PKCS#12 Friendly Name", _TEXT, _FREE, _MAP, since=_1_4, kinds=CRYPTOGRAPHIC),
    _Rule("Description", _TEXT, _FREE, _MAP, since=_1_4),
    _Rule("Comment", _TEXT, _FREE, _MAP, since=_1_4),
    _Rule("Sensitive", _BOOL, _KEPT, _HEAD, since=_1_4, always=True),
    _Rule("Always Sensitive", _BOOL, _NO, _HEAD, since=_1_4, always=True),
    _Rule("Extractable", _BOOL, _KEPT, _HEAD, since=_1_4, always=True),
    _Rule("Never Extractable", _BOOL, _NO, _HEAD, since=_1_4, always=True),
    _Rule("Key Format Type", _ENUM, _BIRTH, _HEAD, since=_2_0, kinds_2=ALL - TEMPLATE - OPAQUE, always=True),
    _Rule("NIST Key Type", _ENUM, _ONCE, _MAP, since=_2_0, multiple=True),
    _Rule("Opaque Data Type", _ENUM, _NO, _HEAD, since=_2_0, kinds_2=OPAQUE, always=True),
    _Rule("Protection Level", _ENUM, _FREE, _MAP, since=_2_0),
    _Rule("Protection Period", _SPAN, _FREE, _MAP, since=_2_0),
    _Rule("Protection Storage Mask", _INT, _NO, _MADE, since=_2_0, always=True),
    _Rule("Quantum Safe", _BOOL, _FREE, _MAP, since=_2_0),
    _Rule("Short Unique Identifier", _BYTES, _NO, _MADE, since=_2_0, always=True),
    *(
        _of_certificates(f"Certificate {party} {part}", _TEXT, since=_1_4)._replace(multiple=True)  # 1.4 has their tags
        for party in ("Subject", "Issuer")
        for part in _NAME_PARTS
    ),
    _Rule("Rotate Automatic", _BOOL, _ONCE, _MAP, since=_2_1),
    _Rule("Rotate Date", _DATE, _NO, _MAP, since=_2_1),
    _Rule("Rotate Generation", _INT, _NO, _MAP, since=_2_1),
    _Rule("Rotate Interval", _SPAN, _ONCE, _MAP, since=_2_1),
    _Rule("Rotate Latest", _BOOL, _NO, _MAP, since=_2_1),
    _Rule("Rotate Name", _STRUCT, _FREE, _MAP, since=_2_1),
    _Rule("Rotate Offset", _SPAN, _ONCE, _MAP, since=_2_1),
)

ATTRIBUTES: dict[str, AttributeRule] = {rule.name: rule for rule in _ROWS}
"""Attribute name -> its rule. Custom attributes (`x-`, `y-`) and vendor attributes are not listed: see `rule_of`."""

BY_TAG_NAME: dict[str, AttributeRule] = {rule.tag_name: rule for rule in _ROWS}
"""Tag name ("CryptographicAlgorithm") -> rule."""

VENDOR_SEPARATOR = "/"
CUSTOM = AttributeRule("Custom Attribute", ItemType.STRUCTURE, _FREE, _MAP, multiple=True)
"""Rule of a client's own attribute ("x-…", or another vendor's); any type of value."""

SERVER_CUSTOM = CUSTOM._replace(client=_NO)
"""Rule of an attribute that the server made ("y-…", KMIP 1.4 section 3.39)."""


def rule_of(name: str) -> AttributeRule | None:
    """Return the rule of an attribute by its name, also for custom and vendor attributes; None = unknown."""
    rule = ATTRIBUTES.get(name)
    if rule is None and (is_custom(name) or VENDOR_SEPARATOR in name):
        return SERVER_CUSTOM if name.startswith("y-") else CUSTOM
    return rule


def vendor_name(vendor: str, name: str) -> str:
    """Return the stored name of a vendor attribute of KMIP 2.x: "x" and "y" are 1.x's custom attributes.

    Source: KMIP 2.1 section 4.60.
    """
    prefix = f"{vendor}-"
    return prefix + name if prefix in CUSTOM_PREFIXES else f"{vendor}{VENDOR_SEPARATOR}{name}"


def vendor_parts(stored: str) -> tuple[str, str] | None:
    """Return (vendor identification, attribute name) of a stored custom or vendor attribute, None for others."""
    if is_custom(stored):
        return stored[0], stored[2:]
    vendor, separator, name = stored.partition(VENDOR_SEPARATOR)
    return (vendor, name) if separator else None
