"""Good messages of every operation in every version, to be spoiled."""

from collections.abc import Iterator, Sequence

from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.names import VERSIONS, enum_value
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag, Version
from tests.support.kmip_requests import attribute, item, message, name_value, query, text_attribute, version_node


def attributes(version: Version, *, raw: bool = False) -> Node:
    """Of a new AES key; `raw`: of an object that brings its own material."""
    given = [] if raw else [("Cryptographic Algorithm", Tag.CRYPTOGRAPHIC_ALGORITHM, nodes.enumeration(0, 3))]
    given += [] if raw else [("Cryptographic Length", Tag.CRYPTOGRAPHIC_LENGTH, nodes.integer(0, 256))]
    given += [("Cryptographic Usage Mask", Tag.CRYPTOGRAPHIC_USAGE_MASK, nodes.integer(0, 12))]
    name = name_value("spoiled")
    if version < (2, 0):
        old = [attribute(title, value) for title, _, value in given]
        return nodes.structure(Tag.TEMPLATE_ATTRIBUTE, *old, attribute("Name", name), text_attribute("x-A", "b"))
    return nodes.structure(Tag.ATTRIBUTES, *((tag, kind, value) for _, tag, (_, kind, value) in given), name)


def one_attribute(version: Version, title: str) -> Node:
    """For Add and Modify Attribute."""
    if version < (2, 0):
        return text_attribute(f"x-{title}", "1")
    vendor = nodes.text(Tag.VENDOR_IDENTIFICATION, "x")
    named, value = nodes.text(Tag.ATTRIBUTE_NAME, title), nodes.text(Tag.ATTRIBUTE_VALUE, "1")
    return nodes.structure(Tag.NEW_ATTRIBUTE, nodes.structure(Tag.ATTRIBUTE, vendor, named, value))


def key_block(material: bytes, format_type: int) -> Node:
    value = nodes.structure(Tag.KEY_VALUE, nodes.byte_string(Tag.KEY_MATERIAL, material))
    algorithm = [nodes.enumeration(Tag.CRYPTOGRAPHIC_ALGORITHM, 3), nodes.integer(Tag.CRYPTOGRAPHIC_LENGTH, 256)]
    more = algorithm if format_type == 1 else []
    return nodes.structure(Tag.KEY_BLOCK, nodes.enumeration(Tag.KEY_FORMAT_TYPE, format_type), value, *more)


def register_key(version: Version, material: bytes) -> Node:
    return item(
        "Register",
        nodes.enumeration(Tag.OBJECT_TYPE, enum_value("ObjectType", "SymmetricKey")),
        attributes(version, raw=True),
        nodes.structure(Tag.SYMMETRIC_KEY, key_block(material, 1)),
    )


def register_secret(version: Version, material: bytes) -> Node:
    return item(
        "Register",
        nodes.enumeration(Tag.OBJECT_TYPE, enum_value("ObjectType", "SecretData")),
        attributes(version, raw=True),
        nodes.structure(Tag.SECRET_DATA, nodes.enumeration(Tag.SECRET_DATA_TYPE, 1), key_block(material, 2)),
    )


def register_opaque(version: Version, material: bytes) -> Node:
    kind, value = (
        nodes.enumeration(Tag.OPAQUE_DATA_TYPE, 0x80000001),
        nodes.byte_string(Tag.OPAQUE_DATA_VALUE, material),
    )
    return item(
        "Register",
        nodes.enumeration(Tag.OBJECT_TYPE, enum_value("ObjectType", "OpaqueObject")),
        attributes(version, raw=True),
        nodes.structure(Tag.OPAQUE_OBJECT, kind, value),
    )


def register_private(version: Version, scalar: bytes) -> Node:
    """A private key on P-256, as numbers."""
    numbers = nodes.structure(
        Tag.KEY_MATERIAL,
        nodes.enumeration(Tag.RECOMMENDED_CURVE, 7),
        nodes.big_integer(Tag.D, int.from_bytes(scalar, "big")),
    )
    name = "TransparentECDSAPrivateKey" if version < (2, 0) else "TransparentECPrivateKey"
    form = nodes.enumeration(Tag.KEY_FORMAT_TYPE, enum_value("KeyFormatType", name))
    block = nodes.structure(Tag.KEY_BLOCK, form, nodes.structure(Tag.KEY_VALUE, numbers))
    kind = nodes.enumeration(Tag.OBJECT_TYPE, enum_value("ObjectType", "PrivateKey"))
    return item("Register", kind, attributes(version, raw=True), nodes.structure(Tag.PRIVATE_KEY, block))


def create_pair(version: Version) -> Node:
    """A pair on P-256."""
    algorithm = nodes.enumeration(Tag.CRYPTOGRAPHIC_ALGORITHM, enum_value("CryptographicAlgorithm", "ECDSA"))
    if version < (2, 0):
        old = attribute("Cryptographic Algorithm", algorithm)
        return item("CreateKeyPair", nodes.structure(Tag.COMMON_TEMPLATE_ATTRIBUTE, old))
    return item("CreateKeyPair", nodes.structure(Tag.COMMON_ATTRIBUTES, algorithm))


def signing(target: tuple[Node, ...]) -> list[Node]:
    """Sign and Signature Verify."""
    hashing = nodes.enumeration(Tag.HASHING_ALGORITHM, enum_value("HashingAlgorithm", "SHA_256"))
    parameters = nodes.structure(Tag.CRYPTOGRAPHIC_PARAMETERS, hashing)
    data, signature = nodes.byte_string(Tag.DATA, b"data"), nodes.byte_string(Tag.SIGNATURE_DATA, bytes(72))
    return [
        item("Sign", *target, parameters, data),
        item("SignatureVerify", *target, parameters, data, signature),
    ]


def ciphering(target: tuple[Node, ...], version: Version) -> list[Node]:
    """Encrypt and Decrypt: GCM where the version has fields for its tag, else CBC."""
    has_tag = version >= (1, 4)
    mode = nodes.enumeration(Tag.BLOCK_CIPHER_MODE, enum_value("BlockCipherMode", "GCM" if has_tag else "CBC"))
    more = nodes.integer(Tag.TAG_LENGTH, 16) if has_tag else nodes.enumeration(Tag.PADDING_METHOD, 3)
    parameters = nodes.structure(Tag.CRYPTOGRAPHIC_PARAMETERS, mode, more)
    data = nodes.byte_string(Tag.DATA, b"sixteen bytes ..")
    iv = nodes.byte_string(Tag.IV_COUNTER_NONCE, bytes(12 if has_tag else 16))
    tag = nodes.byte_string(Tag.AUTHENTICATED_ENCRYPTION_TAG, bytes(16))
    encrypt = item("Encrypt", *target, parameters, data, iv)
    return [encrypt, item("Decrypt", *target, parameters, data, iv, *([tag] if has_tag else []))]


def on_object(version: Version, key: str | None, *, ending: bool = False) -> list[Node]:
    """Items of every operation that works on an object; `ending` adds those that end its life.

    Args:
        version: Of the message.
        key: None = the object of the item before.
        ending: With Revoke and Destroy.
    """
    target = () if key is None else (nodes.text(Tag.UNIQUE_IDENTIFIER, key),)
    named = nodes.text(Tag.ATTRIBUTE_NAME, "x-Row")
    reference = nodes.enumeration(Tag.ATTRIBUTE_REFERENCE, Tag.STATE)
    items = [
        item("Get", *target, nodes.enumeration(Tag.KEY_FORMAT_TYPE, 1)),
        item("GetAttributes", *target, named if version < (2, 0) else reference),
        item("GetAttributes", *target),
        item("GetAttributeList", *target),
        item("AddAttribute", *target, one_attribute(version, "Row")),
        item("ModifyAttribute", *target, one_attribute(version, "Row")),
        item("DeleteAttribute", *target, named if version < (2, 0) else reference),
        item("Activate", *target),
    ]
    if version >= (1, 2):
        items += [*ciphering(target, version), *signing(target)]
    if version >= (2, 0):
        comment = nodes.structure(Tag.NEW_ATTRIBUTE, nodes.text(Tag.COMMENT, "new"))
        items.append(item("SetAttribute", *target, comment))
    if ending:
        reason = nodes.structure(Tag.REVOCATION_REASON, nodes.enumeration(Tag.REVOCATION_REASON_CODE, 1))
        items += [item("Revoke", *target, reason), item("Destroy", *target)]
    return items


def on_nothing(version: Version) -> list[Node]:
    """Items of every operation that names no object."""
    name = name_value("spoiled")
    wanted = attribute("Name", name) if version < (2, 0) else nodes.structure(Tag.ATTRIBUTES, name)
    new = (nodes.enumeration(Tag.OBJECT_TYPE, enum_value("ObjectType", "SymmetricKey")), attributes(version))
    items = [
        item("Create", *new),
        register_key(version, bytes(32)),
        register_secret(version, b"secret"),
        register_opaque(version, b"opaque"),
        register_private(version, b"private"),
        create_pair(version),
        item("Locate", nodes.integer(Tag.MAXIMUM_ITEMS, 2), wanted),
        item("Query", *query("QueryOperations", "QueryObjects", "QueryServerInformation")),
    ]
    return [*items, item("DiscoverVersions", version_node((1, 4)))] if version >= (1, 1) else items


def samples(key: str, versions: Sequence[Version] = VERSIONS) -> Iterator[Node]:
    """Messages of one item each, then each version's whole batch."""
    go_on = nodes.enumeration(Tag.BATCH_ERROR_CONTINUATION_OPTION, 1)
    limit = nodes.integer(Tag.MAXIMUM_RESPONSE_SIZE, 1 << 16)
    for version in versions:
        items = [*on_nothing(version), *on_object(version, key)]
        yield from (message(version, one, header=[limit]) for one in items)
        life = [items[0], *on_object(version, None, ending=True)]  # of a key of the batch's own
        with_ids = [_numbered(one, number) for number, one in enumerate(life)]
        yield message(version, *with_ids, header=[limit, go_on])


def _numbered(one: Node, number: int) -> Node:
    tag, kind, (operation, *payload) = one
    return tag, kind, [operation, nodes.byte_string(Tag.UNIQUE_BATCH_ITEM_ID, bytes([number])), *payload]
