"""Create Key Pair, Sign, Signature Verify and keys of pairs, as clients of each version send and get them."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keystead.protocols.kmip.wire import nodes, ttlv
from keystead.protocols.kmip.wire.names import (
    VERSIONS,
    enum_available,
    enum_name,
    enum_value,
    enumeration_of,
    tag_available,
    tag_name,
)
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag, Version
from tests.support.key_pairs import HeldWorkshop, private_bytes, public_bytes, rsa_pair
from tests.support.kmip_loopback import Connection, Loopback
from tests.support.kmip_requests import Answer, answers, attribute, item, message, target

SIGN, VERIFY = 1, 2
DATA = nodes.byte_string(Tag.DATA, b"data")
SIGNING = [version for version in VERSIONS if version >= (1, 2)]
P_256, SECP256K1, CURVE25519 = 7, 25, 69
CURVES = "RecommendedCurve"


def shown(value: object) -> str:
    """A name for a test: the same in every run, hence without keys."""
    return str(value) if isinstance(value, str | int) else ""


def algorithm(name: str) -> int:
    return enum_value("CryptographicAlgorithm", name)


def asked(client: Connection, version: Version, operation: str, *payload: Node) -> Answer:
    (answer,) = answers(client.ask(message(version, item(operation, *payload))))
    return answer


def wishes(part: str, version: Version, **values: int) -> Node:
    """What is said of common, private or public keys: attributes by the names of 2.x."""
    tags = {name: getattr(Tag, name.upper()) for name in values}
    made = [
        nodes.integer(tags[name], value)
        if name in ("cryptographic_length", "cryptographic_usage_mask")
        else nodes.enumeration(tags[name], value)
        for name, value in values.items()
    ]
    if version >= (2, 0):
        return nodes.structure({"common": Tag.COMMON_ATTRIBUTES, "private": Tag.PRIVATE_KEY_ATTRIBUTES,
                                "public": Tag.PUBLIC_KEY_ATTRIBUTES}[part], *made)  # fmt: skip
    named = [attribute(name.replace("_", " ").title(), node) for name, node in zip(values, made, strict=True)]
    return nodes.structure({"common": Tag.COMMON_TEMPLATE_ATTRIBUTE, "private": Tag.PRIVATE_KEY_TEMPLATE_ATTRIBUTE,
                            "public": Tag.PUBLIC_KEY_TEMPLATE_ATTRIBUTE}[part], *named)  # fmt: skip


def pair_payload(version: Version, name: str = "ECDSA", **common: int) -> tuple[Node, Node, Node]:
    return (
        wishes("common", version, cryptographic_algorithm=algorithm(name), **common),
        wishes("private", version, cryptographic_usage_mask=SIGN),
        wishes("public", version, cryptographic_usage_mask=VERIFY),
    )


def new_pair(client: Connection, version: Version, name: str = "ECDSA", **common: int) -> tuple[str, str]:
    """The ids of an active pair."""
    answer = asked(client, version, "CreateKeyPair", *pair_payload(version, name, **common))
    assert not answer.reason, answer.text
    private, public = answer.value(Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER), answer.value(Tag.PUBLIC_KEY_UNIQUE_IDENTIFIER)
    for key in (private, public):
        assert not asked(client, version, "Activate", target(key)).reason
    return private, public


# -- Create Key Pair -------------------------------------------------------------------------------------------------


@pytest.mark.row("KS-KMIP-019", "KS-KMIP-020", "KS-KMIP-031")
@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_pair_is_made_in_every_version(alice: Connection, version: Version) -> None:
    private, public = new_pair(alice, version, "RSA", cryptographic_length=2048)
    for key, kind, holder in ((private, "PrivateKey", Tag.PRIVATE_KEY), (public, "PublicKey", Tag.PUBLIC_KEY)):
        got = asked(alice, version, "Get", target(key))
        assert got.value(Tag.OBJECT_TYPE) == enum_value("ObjectType", kind)
        assert got.value(holder) is not None
    answer = asked(alice, version, "GetAttributes", target(private))
    assert public in str(answer.payload)


@pytest.mark.parametrize("version", [(1, 0), (2, 1)], ids=str)
def test_the_parts_of_a_request_come_in_any_order_and_each_may_be_left_out(alice: Connection, version: Version) -> None:
    for parts in permutations(pair_payload(version)):
        assert not asked(alice, version, "CreateKeyPair", *parts).reason
    assert not asked(alice, version, "CreateKeyPair", pair_payload(version)[0]).reason
    assert asked(alice, version, "CreateKeyPair", *pair_payload(version)[1:]).reason
    assert asked(alice, version, "CreateKeyPair").reason


def test_parts_of_other_versions_and_doubled_ones_are_refused(alice: Connection) -> None:
    one, two = pair_payload((1, 4)), pair_payload((2, 0))
    assert asked(alice, (2, 0), "CreateKeyPair", *one).reason == "InvalidField"
    assert asked(alice, (1, 4), "CreateKeyPair", *two).reason == "InvalidField"
    assert asked(alice, (1, 4), "CreateKeyPair", *one, one[0]).reason == "InvalidMessage"
    assert asked(alice, (2, 1), "CreateKeyPair", *two, two[2]).reason == "InvalidMessage"
    assert asked(alice, (2, 1), "CreateKeyPair", *two, DATA).reason == "InvalidField"


def storage(tag: int, *masks: int) -> Node:
    return nodes.structure(tag, *(nodes.integer(Tag.PROTECTION_STORAGE_MASK, mask) for mask in masks))


@pytest.mark.parametrize(
    "tag",
    [Tag.COMMON_PROTECTION_STORAGE_MASKS, Tag.PRIVATE_PROTECTION_STORAGE_MASKS, Tag.PUBLIC_PROTECTION_STORAGE_MASKS],
)
def test_a_way_of_keeping_that_is_not_ours_is_refused(alice: Connection, tag: int) -> None:
    payload = pair_payload((2, 1))
    assert not asked(alice, (2, 1), "CreateKeyPair", *payload, storage(tag, 2, 1)).reason
    assert asked(alice, (2, 1), "CreateKeyPair", *payload, storage(tag, 2)).reason
    assert asked(alice, (1, 4), "CreateKeyPair", *pair_payload((1, 4)), storage(tag, 1)).reason == "InvalidField"


def test_templates_are_named_in_their_part(alice: Connection) -> None:
    name = nodes.structure(Tag.NAME, nodes.text(Tag.NAME_VALUE, "unknown"), nodes.enumeration(Tag.NAME_TYPE, 1))
    tag, kind, inside = pair_payload((1, 2))[0]
    answer = asked(alice, (1, 2), "CreateKeyPair", (tag, kind, [name, *inside]))
    assert answer.reason == "ItemNotFound"


def test_the_private_key_is_what_the_rest_of_a_message_means(alice: Connection) -> None:
    items = [item("CreateKeyPair", *pair_payload((1, 4)), batch_id=b"1"), item("Get", batch_id=b"2")]
    made, got = answers(alice.ask(message((1, 4), *items)))
    assert got.value(Tag.UNIQUE_IDENTIFIER) == made.value(Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER)
    assert got.value(Tag.PRIVATE_KEY) is not None


# -- nothing newer than the client -----------------------------------------------------------------------------------


def newer(node: Node, version: Version) -> Iterator[str]:
    """Tags and members of enumerations in an answer that its version does not have."""
    tag, kind, value = node
    if not tag_available(tag, version):
        yield tag_name(tag)
    if kind == nodes.STRUCTURE:
        for child in value:
            yield from newer(child, version)
    elif kind == nodes.ENUMERATION:
        names = enumeration_of(tag)
        if names is not None and not enum_available(names, value, version):
            yield f"{tag_name(tag)} {enum_name(names, value)}"


@pytest.mark.parametrize("maker", [(1, 0), (1, 4), (2, 1)], ids=str)
def test_old_clients_are_told_nothing_that_they_do_not_know_and_new_ones_nothing_that_is_gone(
    alice: Connection, maker: Version
) -> None:
    kinds: list[tuple[str, dict[str, int]]] = [("RSA", {"cryptographic_length": 2048}), ("ECDSA", {}), ("ECDH", {})]
    if maker >= (2, 0):
        kinds += [("Ed25519", {}), ("EC", {}), ("Ed448", {})]
    keys = [(name, key) for name, common in kinds for key in new_pair(alice, maker, name, **common)]
    for version in VERSIONS:
        for name, key in keys:
            for operation in ("Get", "GetAttributes", "GetAttributeList"):
                response = alice.ask(message(version, item(operation, target(key))))
                assert not list(newer(response, version)), (version, name, operation)
                (answer,) = answers(response)
                assert not answer.reason, (version, name, operation, answer.text)


EC_FORMATS = {
    (1, 0): ("TransparentECDSAPrivateKey", "TransparentECDSAPublicKey"),
    (1, 2): ("TransparentECDSAPrivateKey", "TransparentECDSAPublicKey"),
    (1, 3): ("TransparentECPrivateKey", "TransparentECPublicKey"),
    (2, 1): ("TransparentECPrivateKey", "TransparentECPublicKey"),
}


@pytest.mark.parametrize(("version", "formats"), EC_FORMATS.items(), ids=str)
def test_formats_of_curves_are_called_as_the_version_calls_them(
    alice: Connection, version: Version, formats: tuple[str, str]
) -> None:
    keys = new_pair(alice, (2, 1), "EC")
    for key, expected, holder in zip(keys, formats, (Tag.PRIVATE_KEY, Tag.PUBLIC_KEY), strict=True):
        block = key_block(asked(alice, version, "Get", target(key)), holder)
        assert enum_name("KeyFormatType", block[Tag.KEY_FORMAT_TYPE]) == expected


def test_what_was_registered_under_a_name_of_1_0_is_called_otherwise_in_2_0(alice: Connection) -> None:
    for old, new in ((14, 20), (16, 20)):
        key = registered(alice, (1, 0), "PrivateKey", old, EC_PRIVATE)
        assert key_block(asked(alice, (2, 0), "Get", target(key)), Tag.PRIVATE_KEY)[Tag.KEY_FORMAT_TYPE] == new
        assert key_block(asked(alice, (1, 4), "Get", target(key)), Tag.PRIVATE_KEY)[Tag.KEY_FORMAT_TYPE] == old


def test_a_curve_without_a_name_is_given_as_der_only(alice: Connection) -> None:
    common = wishes("common", (2, 1), cryptographic_algorithm=algorithm("EC"))
    domain = nodes.structure(Tag.CRYPTOGRAPHIC_DOMAIN_PARAMETERS, nodes.enumeration(Tag.RECOMMENDED_CURVE, SECP256K1))
    made = asked(alice, (2, 1), "CreateKeyPair", (common[0], common[1], [*common[2], domain]))
    key = made.value(Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER)
    assert asked(alice, (1, 1), "Get", target(key)).reason
    wanted = nodes.enumeration(Tag.KEY_FORMAT_TYPE, 4)
    assert not asked(alice, (1, 1), "Get", target(key), wanted).reason
    assert not asked(alice, (1, 2), "Get", target(key)).reason


# -- keys as numbers -------------------------------------------------------------------------------------------------


def key_block(answer: Answer, holder: int) -> dict[int, Any]:
    """Fields of the key block of an answer to Get."""
    assert not answer.reason, answer.text
    (block,) = answer.value(holder)
    return {child[0]: child[2] for child in block[2]}


def material_of(answer: Answer, holder: int) -> Node:
    material: Node = key_block(answer, holder)[Tag.KEY_VALUE][0]
    return material


def registered(client: Connection, version: Version, kind: str, key_format: int, material: Node) -> str:
    """The id of a registered key."""
    answer = asked(client, version, "Register", *registration(version, kind, key_format, material))
    assert not answer.reason, answer.text
    identifier: str = answer.value(Tag.UNIQUE_IDENTIFIER)
    return identifier


def registration(version: Version, kind: str, key_format: int, material: Node) -> tuple[Node, ...]:
    holder = Tag.PRIVATE_KEY if kind == "PrivateKey" else Tag.PUBLIC_KEY
    empty = Tag.ATTRIBUTES if version >= (2, 0) else Tag.TEMPLATE_ATTRIBUTE
    return (
        nodes.enumeration(Tag.OBJECT_TYPE, enum_value("ObjectType", kind)),
        nodes.structure(empty),
        nodes.structure(
            holder,
            nodes.structure(
                Tag.KEY_BLOCK,
                nodes.enumeration(Tag.KEY_FORMAT_TYPE, key_format),
                nodes.structure(Tag.KEY_VALUE, material),
            ),
        ),
    )


def numbers(*fields: tuple[int, int]) -> Node:
    return nodes.structure(Tag.KEY_MATERIAL, *(nodes.big_integer(tag, value) for tag, value in fields))


def on_curve(*fields: Node, curve: int = P_256) -> Node:
    return nodes.structure(Tag.KEY_MATERIAL, nodes.enumeration(Tag.RECOMMENDED_CURVE, curve), *fields)


RSA = rsa_pair().private_numbers()
N, E = (Tag.MODULUS, RSA.public_numbers.n), (Tag.PUBLIC_EXPONENT, RSA.public_numbers.e)
RSA_PUBLIC = numbers(N, E)
RSA_PRIVATE = numbers(
    N,
    (Tag.PRIVATE_EXPONENT, RSA.d),
    E,
    (Tag.P, RSA.p),
    (Tag.Q, RSA.q),
    (Tag.PRIME_EXPONENT_P, RSA.dmp1),
    (Tag.PRIME_EXPONENT_Q, RSA.dmq1),
    (Tag.CRT_COEFFICIENT, RSA.iqmp),
)
EC_PRIVATE = on_curve(nodes.big_integer(Tag.D, 0x1234567890ABCDEF))
POINT = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1()).public_key().public_numbers()
EC_PUBLIC = on_curve(nodes.byte_string(Tag.Q_STRING, b"\4" + POINT.x.to_bytes(32, "big") + POINT.y.to_bytes(32, "big")))
AS_NUMBERS = [
    ("PrivateKey", 10, RSA_PRIVATE),
    ("PublicKey", 11, RSA_PUBLIC),
    ("PrivateKey", 14, EC_PRIVATE),
    ("PublicKey", 15, EC_PUBLIC),
    ("PrivateKey", 20, EC_PRIVATE),
    ("PublicKey", 21, EC_PUBLIC),
]


@pytest.mark.parametrize(("kind", "key_format", "material"), AS_NUMBERS, ids=shown)
@pytest.mark.parametrize("version", [(1, 3), (1, 4), (2, 1)], ids=str)
def test_numbers_come_back_as_they_were_sent(
    alice: Connection, version: Version, kind: str, key_format: int, material: Node
) -> None:
    key = registered(alice, version, kind, key_format, material)
    holder = Tag.PRIVATE_KEY if kind == "PrivateKey" else Tag.PUBLIC_KEY
    answer = asked(alice, version, "Get", target(key))
    assert material_of(answer, holder) == material
    fields = key_block(answer, holder)
    assert fields[Tag.CRYPTOGRAPHIC_LENGTH] == (2048 if key_format < 14 else 256)
    for wanted, expected in ((4, None), (5, None), (key_format, material)):
        again = asked(alice, version, "Get", target(key), nodes.enumeration(Tag.KEY_FORMAT_TYPE, wanted))
        if expected is not None:
            assert material_of(again, holder) == expected
        elif not again.reason:
            assert material_of(again, holder)[1] == nodes.BYTE_STRING


@pytest.mark.parametrize(
    ("kind", "key_format", "material"),
    [
        ("PrivateKey", 10, RSA_PUBLIC),
        ("PrivateKey", 10, EC_PRIVATE),
        ("PrivateKey", 20, RSA_PRIVATE),
        ("PrivateKey", 20, EC_PUBLIC),
        ("PublicKey", 21, EC_PRIVATE),
        ("PublicKey", 11, numbers(N)),
        ("PublicKey", 11, numbers(E)),
        ("PublicKey", 11, numbers(N, E, N)),
        ("PublicKey", 11, numbers((Tag.MODULUS, -RSA.public_numbers.n), E)),
        ("PublicKey", 11, numbers((Tag.MODULUS, 1 << 9000), E)),
        ("PublicKey", 11, nodes.structure(Tag.KEY_MATERIAL)),
        ("PublicKey", 11, nodes.byte_string(Tag.KEY_MATERIAL, b"bytes")),
        ("PublicKey", 21, nodes.byte_string(Tag.KEY_MATERIAL, b"bytes")),
        ("PublicKey", 5, RSA_PUBLIC),
        ("PrivateKey", 20, on_curve(nodes.big_integer(Tag.D, 1), curve=2)),
        ("PrivateKey", 20, on_curve(nodes.big_integer(Tag.D, 1), curve=CURVE25519)),
        ("PrivateKey", 20, on_curve(nodes.big_integer(Tag.D, 0))),
        ("PrivateKey", 20, on_curve(nodes.integer(Tag.D, 1))),
        ("PublicKey", 21, on_curve(nodes.byte_string(Tag.Q_STRING, b"\4" + bytes(64)))),
        ("PrivateKey", 8, RSA_PRIVATE),
        ("PrivateKey", 12, RSA_PRIVATE),
        ("PrivateKey", 18, EC_PRIVATE),
    ],
    ids=shown,
)
def test_what_is_no_key_is_an_answer_with_a_reason(
    alice: Connection, kind: str, key_format: int, material: Node
) -> None:
    answer = asked(alice, (1, 4), "Register", *registration((1, 4), kind, key_format, material))
    assert answer.reason in {
        *("InvalidField", "InvalidMessage", "KeyFormatTypeNotSupported", "FeatureNotSupported", "GeneralFailure"),
        *("CryptographicFailure", "IllegalOperation"),
    }
    assert answer.text


# -- Sign and Signature Verify ---------------------------------------------------------------------------------------


def parameters(*fields: Node) -> Node:
    return nodes.structure(Tag.CRYPTOGRAPHIC_PARAMETERS, *fields)


def signature(value: bytes) -> Node:
    return nodes.byte_string(Tag.SIGNATURE_DATA, value)


PSS = parameters(
    nodes.enumeration(Tag.PADDING_METHOD, enum_value("PaddingMethod", "PSS")),
    nodes.enumeration(Tag.HASHING_ALGORITHM, enum_value("HashingAlgorithm", "SHA_256")),
)


@pytest.mark.parametrize("version", SIGNING, ids=str)
@pytest.mark.parametrize("name", ["RSA", "ECDSA"])
def test_data_is_signed_and_judged(alice: Connection, version: Version, name: str) -> None:
    private, public = new_pair(alice, version, name, **({"cryptographic_length": 2048} if name == "RSA" else {}))
    further = (PSS,) if name == "RSA" else ()
    signed = asked(alice, version, "Sign", target(private), *further, DATA)
    assert signed.value(Tag.UNIQUE_IDENTIFIER) == private
    made = signed.value(Tag.SIGNATURE_DATA)
    for value, verdict in ((made, "Valid"), (made[:-1], "Invalid"), (b"", "Invalid")):
        judged = asked(alice, version, "SignatureVerify", target(public), *further, DATA, signature(value))
        assert judged.value(Tag.UNIQUE_IDENTIFIER) == public
        assert judged.value(Tag.VALIDITY_INDICATOR) == enum_value("ValidityIndicator", verdict)
        assert judged.payload is not None
        assert len(judged.payload[2]) == 2


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_digest_in_place_of_data_came_with_1_4(alice: Connection, version: Version) -> None:
    if version < (1, 2):
        assert asked(alice, version, "Sign", DATA).reason == "OperationNotSupported"
        return
    private, public = new_pair(alice, version)
    hashed = nodes.byte_string(Tag.DIGESTED_DATA, bytes(32))
    answer = asked(alice, version, "Sign", target(private), hashed)
    if version < (1, 4):
        assert answer.reason == "InvalidField"
        return
    made = signature(answer.value(Tag.SIGNATURE_DATA))
    judged = asked(alice, version, "SignatureVerify", target(public), hashed, made)
    assert judged.value(Tag.VALIDITY_INDICATOR) == 1
    assert asked(alice, version, "Sign", target(private), hashed, DATA).reason == "InvalidField"


@pytest.mark.parametrize(
    ("operation", "payload"),
    [
        ("Sign", ()),
        ("Sign", (DATA, DATA)),
        ("Sign", (nodes.text(Tag.DATA, "data"),)),
        ("Sign", (DATA, signature(b"s"))),
        ("Sign", (DATA, PSS)),
        ("Sign", (DATA, nodes.boolean(Tag.FINAL_INDICATOR, True))),
        ("Sign", (DATA, nodes.byte_string(Tag.CORRELATION_VALUE, b"c"))),
        ("SignatureVerify", (DATA,)),
        ("SignatureVerify", (signature(b"s"),)),
        ("SignatureVerify", (DATA, signature(b"s"), nodes.byte_string(Tag.MAC_DATA, b"m"))),
    ],
)
def test_what_is_missing_too_much_or_not_offered_is_told(
    alice: Connection, operation: str, payload: tuple[Node, ...]
) -> None:
    private, public = new_pair(alice, (1, 4))
    answer = asked(alice, (1, 4), operation, target(private if operation == "Sign" else public), *payload)
    assert answer.reason
    assert answer.text


def test_fields_of_a_signature_come_in_any_order_and_one_piece_may_be_the_whole(alice: Connection) -> None:
    private, _ = new_pair(alice, (1, 4))
    whole = (nodes.boolean(Tag.INIT_INDICATOR, True), nodes.boolean(Tag.FINAL_INDICATOR, True))
    for fields in permutations((target(private), DATA, parameters())):
        assert not asked(alice, (1, 4), "Sign", *fields).reason
    assert not asked(alice, (1, 4), "Sign", target(private), DATA, *whole).reason


# -- made while others are served ------------------------------------------------------------------------------------


def test_a_client_that_is_gone_when_its_key_is_there_holds_nothing_up(loopback: Loopback) -> None:
    held = loopback.gate.workshop = HeldWorkshop()
    waiting = loopback.connect()
    sent: list[bytes] = []
    request = message((1, 4), item("CreateKeyPair", *pair_payload((1, 4), "RSA", cryptographic_length=2048)))
    waiting.session.handle(ttlv.encode(request), sent.append)
    assert not sent
    del waiting  # its connection is closed; what it is told goes nowhere
    other = loopback.connect()
    assert new_pair(other, (1, 4))
    held.work()
    (answer,) = answers(ttlv.decode(sent[0]))
    assert not answer.reason


def test_der_that_is_sent_is_what_is_answered(alice: Connection) -> None:
    for kind, key_format, secret, holder in (
        ("PrivateKey", 4, private_bytes("Ed25519"), Tag.PRIVATE_KEY),
        ("PublicKey", 5, public_bytes("Ed25519"), Tag.PUBLIC_KEY),
        ("PrivateKey", 3, private_bytes("RSA", 3), Tag.PRIVATE_KEY),
        ("PrivateKey", 6, private_bytes("P_256", 6), Tag.PRIVATE_KEY),
    ):
        material = nodes.byte_string(Tag.KEY_MATERIAL, secret.reveal())
        for version in ((1, 0), (2, 1)):
            key = registered(alice, version, kind, key_format, material)
            assert material_of(asked(alice, (1, 0), "Get", target(key)), holder) == material
