"""What real clients do, replayed from their messages and bug reports: one test for each kind of product."""

import pytest

from keystead.protocols.kmip.wire import nodes, ttlv
from keystead.protocols.kmip.wire.names import enum_name, enum_value, unavailable_tags
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag, Version
from tests.support.kmip_loopback import Connection
from tests.support.kmip_requests import (
    Answer,
    aes,
    answers,
    attribute,
    item,
    message,
    name_value,
    query,
    target,
    text_attribute,
)

VERIFY = nodes.integer(0, 2)


def one(client: Connection, version: Version, operation: str, *payload: Node, batch_id: bytes | None = None) -> Answer:
    """The answer to a message with one item, which must succeed."""
    (answer,) = answers(client.ask(message(version, item(operation, *payload, batch_id=batch_id))))
    assert answer.reason == "", answer.text
    assert answer.batch_id == batch_id
    return answer


def names(*wanted: str) -> list[Node]:
    return [nodes.text(Tag.ATTRIBUTE_NAME, name) for name in wanted]


def told(answer: Answer) -> dict[str, Node]:
    """Attribute name -> value node of an answer of 1.x."""
    assert answer.payload is not None
    found = nodes.every(answer.payload, Tag.ATTRIBUTE)
    return {child[2][0][2]: child[2][-1] for child in found}


def key_material(answer: Answer) -> tuple[int, Node]:
    """Key Format Type, and the Key Value, which holds nothing but the material."""
    assert answer.payload is not None
    block = answer.payload[2][-1][2][-1]
    key_format, value = block[2][:2]
    assert [child[0] for child in value[2]] == [Tag.KEY_MATERIAL]
    return key_format[2], value[2][0]


def secret(data: bytes, *attributes: Node) -> tuple[Node, ...]:
    block = nodes.structure(
        Tag.KEY_BLOCK,
        nodes.enumeration(Tag.KEY_FORMAT_TYPE, enum_value("KeyFormatType", "Opaque")),
        nodes.structure(Tag.KEY_VALUE, nodes.byte_string(Tag.KEY_MATERIAL, data)),
    )
    return (
        nodes.enumeration(Tag.OBJECT_TYPE, enum_value("ObjectType", "SecretData")),
        nodes.structure(
            Tag.TEMPLATE_ATTRIBUTE, attribute("Cryptographic Usage Mask", nodes.integer(0, 2)), *attributes
        ),
        nodes.structure(
            Tag.SECRET_DATA, nodes.enumeration(Tag.SECRET_DATA_TYPE, enum_value("SecretDataType", "Password")), block
        ),
    )


@pytest.mark.row("KS-KMIP-036", "KS-KMIP-041")
def test_hypervisor_manager(alice: Connection) -> None:
    """1.1; every lone item has a batch id; three attributes are added in one batch; asks for what is not there yet."""
    mark = b"QLKC\1\0\0\0"
    version = (1, 1)
    one(alice, version, "DiscoverVersions", batch_id=mark)
    one(alice, version, "Query", *query("QueryServerInformation"), batch_id=mark)
    made = one(alice, version, "Create", *aes(), batch_id=mark)
    key = target(made.value(Tag.UNIQUE_IDENTIFIER))
    wanted = ("x-Product_Version", "x-Vendor", "x-Product")
    assert told(one(alice, version, "GetAttributes", key, *names(*wanted), batch_id=mark)) == {}
    added = [
        item("AddAttribute", key, text_attribute(name, f"value of {name}"), batch_id=name.encode()) for name in wanted
    ]
    replies = answers(alice.ask(message(version, *added)))
    assert [(reply.batch_id, reply.reason) for reply in replies] == [(name.encode(), "") for name in wanted]
    found = told(one(alice, version, "GetAttributes", key, *names(*wanted, "State"), batch_id=mark))
    assert {name: found[name][2] for name in wanted} == {name: f"value of {name}" for name in wanted}
    assert len(key_material(one(alice, version, "Get", key, batch_id=mark))[1][2]) == 32
    one(alice, version, "Activate", key, batch_id=mark)
    state = told(one(alice, version, "GetAttributes", key, *names("State"), batch_id=mark))["State"]
    assert enum_name("State", state[2]) == "Active"


@pytest.mark.row("KS-KMIP-018", "KS-KMIP-042")
def test_document_database_of_1_0(alice: Connection) -> None:
    """Breaks on any tag or attribute that 1.0 does not have."""
    version = (1, 0)
    newer = {
        "Fresh",
        "Alternative Name",
        "Original Creation Date",
        "Sensitive",
        "Extractable",
        "Random Number Generator",
    }
    made = one(alice, version, "Register", *secret(bytes(96)))
    key = target(made.value(Tag.UNIQUE_IDENTIFIER))
    for operation in ("Activate", "GetAttributes", "GetAttributeList", "Get", "Destroy"):
        response = alice.ask(message(version, item(operation, key)))
        assert not unavailable_tags(response, version)
        (answer,) = answers(response)
        assert not newer & {*answer.values(Tag.ATTRIBUTE_NAME)}
        if operation == "GetAttributes":
            assert not newer & set(told(answer))
            assert [child[0] for child in told(answer)["Digest"][2]] == [Tag.HASHING_ALGORITHM, Tag.DIGEST_VALUE]


def test_sql_database_keyring(alice: Connection) -> None:
    """1.1; Maximum Response Size, a time stamp, and indexes before values in the header and template."""
    header = [nodes.integer(Tag.MAXIMUM_RESPONSE_SIZE, 280_000), nodes.date_time(Tag.TIME_STAMP, 1_700_000_000)]
    named = nodes.structure(
        Tag.ATTRIBUTE,
        nodes.text(Tag.ATTRIBUTE_NAME, "Name"),
        nodes.integer(Tag.ATTRIBUTE_INDEX, 0),
        (Tag.ATTRIBUTE_VALUE, nodes.STRUCTURE, name_value("keyring")[2]),
    )
    (made,) = answers(alice.ask(message((1, 1), item("Create", *aes(named)), header=header)))
    assert made.reason == ""
    small = [nodes.integer(Tag.MAXIMUM_RESPONSE_SIZE, 8192)]
    group = message(
        (1, 0),
        item("Locate", nodes.integer(Tag.MAXIMUM_ITEMS, 65_535), attribute("Name", name_value("keyring"))),
        header=small,
    )
    assert len(alice.send(ttlv.encode(group))) <= 8192
    (found,) = answers(alice.ask(group))
    assert found.values(Tag.UNIQUE_IDENTIFIER) == [made.value(Tag.UNIQUE_IDENTIFIER)]


@pytest.mark.row("KS-KMIP-028", "KS-KMIP-043")
def test_storage_system_with_many_attributes_of_its_own(alice: Connection) -> None:
    """1.2; sixteen x- attributes at once, and searches by two of them."""
    own = [text_attribute(f"x-NODE-{number}", f"value {number}") for number in range(16)]
    made = one(alice, (1, 2), "Create", *aes(*own)).value(Tag.UNIQUE_IDENTIFIER)
    one(alice, (1, 2), "Create", *aes(*own[:8]))
    found = one(alice, (1, 2), "Locate", own[3], own[12])
    assert found.values(Tag.UNIQUE_IDENTIFIER) == [made]
    listed = one(alice, (1, 2), "GetAttributeList", target(made)).values(Tag.ATTRIBUTE_NAME)
    assert {f"x-NODE-{number}" for number in range(16)} <= set(listed)


@pytest.mark.row("KS-KMIP-021", "KS-KMIP-045")
def test_storage_station(alice: Connection) -> None:
    """1.2; secret data with a policy of old, renamed: the answer must repeat the attribute."""
    password = b"pass phrase of a volume"
    old = attribute("Name", name_value("volume 1 (new)"))
    policy = text_attribute("Operation Policy Name", "default")
    made = one(alice, (1, 2), "Register", *secret(password, old, policy))
    key = target(made.value(Tag.UNIQUE_IDENTIFIER))
    renamed = attribute("Name", name_value("volume 1"))
    changed = one(alice, (1, 2), "ModifyAttribute", key, renamed)
    assert changed.payload == nodes.structure(Tag.RESPONSE_PAYLOAD, key, renamed)
    assert told(one(alice, (1, 2), "GetAttributes", key, *names("Operation Policy Name")))
    one(alice, (1, 2), "Activate", key)
    assert key_material(one(alice, (1, 2), "Get", key)) == (
        enum_value("KeyFormatType", "Opaque"),
        nodes.byte_string(Tag.KEY_MATERIAL, password),
    )
    reason = nodes.structure(
        Tag.REVOCATION_REASON,
        nodes.enumeration(Tag.REVOCATION_REASON_CODE, enum_value("RevocationReasonCode", "CessationOfOperation")),
        nodes.text(Tag.REVOCATION_MESSAGE, "volume deleted"),
    )
    one(alice, (1, 2), "Revoke", key, reason)
    one(alice, (1, 2), "Destroy", key)


def test_storage_array_of_1_0(alice: Connection) -> None:
    """One message asks everything: what the server is, which key has two names of its own, that key as opaque bytes."""
    own = [text_attribute("x-ResourceID", "42"), text_attribute("x-SystemID", "array 7")]
    made = one(alice, (1, 0), "Create", *aes(*own)).value(Tag.UNIQUE_IDENTIFIER)
    opaque = nodes.enumeration(Tag.KEY_FORMAT_TYPE, enum_value("KeyFormatType", "Opaque"))
    everything = [
        item("Query", *query("QueryOperations", "QueryObjects"), batch_id=b"\1"),
        item("Locate", nodes.integer(Tag.MAXIMUM_ITEMS, 1), *own, batch_id=b"\2"),
        item("Get", opaque, batch_id=b"\3"),
        item("GetAttributes", *names("State", "x-ResourceID"), batch_id=b"\4"),
    ]
    order = [nodes.boolean(Tag.BATCH_ORDER_OPTION, value=True)]
    _, located, got, attributes = replies = answers(alice.ask(message((1, 0), *everything, header=order)))
    assert [reply.reason for reply in replies] == [""] * 4
    assert [reply.value(Tag.UNIQUE_IDENTIFIER) for reply in (located, got, attributes)] == [made] * 3
    assert key_material(got)[0] == enum_value("KeyFormatType", "Opaque")
    assert told(attributes)["x-ResourceID"][2] == "42"


def test_tape_library_puts_the_templates_name_inside_the_template(alice: Connection) -> None:
    """1.0; a template is made, and a key from it."""
    template = (
        nodes.enumeration(Tag.OBJECT_TYPE, enum_value("ObjectType", "Template")),
        nodes.structure(Tag.TEMPLATE_ATTRIBUTE),
        nodes.structure(
            Tag.TEMPLATE, attribute("Name", name_value("tape mould")), text_attribute("Object Group", "tapes")
        ),
    )
    one(alice, (1, 0), "Register", *template)
    object_type, given = aes()
    from_template = nodes.structure(Tag.TEMPLATE_ATTRIBUTE, name_value("tape mould"), *given[2])
    made = one(alice, (1, 0), "Create", object_type, from_template)
    key = target(made.value(Tag.UNIQUE_IDENTIFIER))
    assert told(one(alice, (1, 0), "GetAttributes", key, *names("Object Group")))["Object Group"][2] == "tapes"


def raw_key(data: bytes, *attributes: Node) -> tuple[Node, ...]:
    """Payload of a Register of 1.x for an AES key."""
    block = nodes.structure(
        Tag.KEY_BLOCK,
        nodes.enumeration(Tag.KEY_FORMAT_TYPE, enum_value("KeyFormatType", "Raw")),
        nodes.structure(Tag.KEY_VALUE, nodes.byte_string(Tag.KEY_MATERIAL, data)),
        nodes.enumeration(Tag.CRYPTOGRAPHIC_ALGORITHM, enum_value("CryptographicAlgorithm", "AES")),
        nodes.integer(Tag.CRYPTOGRAPHIC_LENGTH, 8 * len(data)),
    )
    return (*aes(*attributes, bits=8 * len(data)), nodes.structure(Tag.SYMMETRIC_KEY, block))


@pytest.mark.parametrize("version", [(1, 0), (1, 4)], ids=str)
def test_firewall(alice: Connection, version: Version) -> None:
    """User and password beside the certificate; each name gives exactly its key; batches of Locate."""
    credential = nodes.structure(
        Tag.AUTHENTICATION,
        nodes.structure(
            Tag.CREDENTIAL,
            nodes.enumeration(Tag.CREDENTIAL_TYPE, 1),
            nodes.structure(
                Tag.CREDENTIAL_VALUE, nodes.text(Tag.USERNAME, "alice"), nodes.text(Tag.PASSWORD, "not looked at")
            ),
        ),
    )
    keys = {}
    for number in range(3):
        named = attribute("Name", name_value(f"tunnel-{number}"))
        made = answers(
            alice.ask(message(version, item("Register", *raw_key(bytes([number]) * 32, named)), header=[credential]))
        )
        keys[f"tunnel-{number}"] = made[0].value(Tag.UNIQUE_IDENTIFIER)
        one(alice, version, "Activate", target(keys[f"tunnel-{number}"]))
    asked = [
        item("Locate", attribute("Name", name_value(name)), batch_id=bytes([number]))
        for number, name in enumerate(keys)
    ]
    found = answers(alice.ask(message(version, *asked, header=[credential])))
    assert [answer.values(Tag.UNIQUE_IDENTIFIER) for answer in found] == [[key] for key in keys.values()]
    for number, key in enumerate(keys.values()):
        _, material = key_material(one(alice, version, "Get", target(key)))
        assert material[2] == bytes([number]) * 32
        one(alice, version, "Revoke", target(key), revocation())
        one(alice, version, "Destroy", target(key))


def revocation() -> Node:
    return nodes.structure(Tag.REVOCATION_REASON, nodes.enumeration(Tag.REVOCATION_REASON_CODE, 5))


@pytest.mark.row("KS-KMIP-019", "KS-KMIP-020")
def test_backup_server(alice: Connection) -> None:
    """1.4; a pair of RSA-2048 by name; a Key Value with anything but the key in it breaks the client."""

    def of(name: str, mask: int) -> tuple[Node, ...]:
        return attribute("Name", name_value(name)), attribute("Cryptographic Usage Mask", nodes.integer(0, mask))

    rsa = attribute("Cryptographic Algorithm", nodes.enumeration(0, enum_value("CryptographicAlgorithm", "RSA")))
    pair = (
        nodes.structure(Tag.COMMON_TEMPLATE_ATTRIBUTE, rsa, attribute("Cryptographic Length", nodes.integer(0, 2048))),
        nodes.structure(Tag.PRIVATE_KEY_TEMPLATE_ATTRIBUTE, *of("backup private", 0x28)),
        nodes.structure(Tag.PUBLIC_KEY_TEMPLATE_ATTRIBUTE, *of("backup public", 0x14)),
    )
    assert one(alice, (1, 4), "Locate", attribute("Name", name_value("backup public"))).payload is not None
    made = one(alice, (1, 4), "CreateKeyPair", *pair)
    for tag, name in (
        (Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER, "backup private"),
        (Tag.PUBLIC_KEY_UNIQUE_IDENTIFIER, "backup public"),
    ):
        key = made.value(tag)
        one(alice, (1, 4), "Activate", target(key))
        found = one(alice, (1, 4), "Locate", attribute("Name", name_value(name)))
        assert found.values(Tag.UNIQUE_IDENTIFIER) == [key]
        key_format, _ = key_material(one(alice, (1, 4), "Get", target(key)))
        assert key_format == enum_value("KeyFormatType", "PKCS_1")
        one(alice, (1, 4), "Revoke", target(key), revocation())
        one(alice, (1, 4), "Destroy", target(key))


@pytest.mark.row("KS-KMIP-031")
def test_file_storage(alice: Connection) -> None:
    """1.4; asks the state every minute; Re-key makes a new key, the old one stays active, links both ways."""
    made = one(alice, (1, 4), "Create", *aes()).value(Tag.UNIQUE_IDENTIFIER)
    for added in (
        attribute("Name", name_value("tenant 7")),
        text_attribute("Object Group", "tenants"),
        text_attribute("Operation Policy Name", "default"),
    ):
        one(alice, (1, 4), "AddAttribute", target(made), added)
    one(alice, (1, 4), "Activate", target(made))
    polled = told(one(alice, (1, 4), "GetAttributes", target(made), *names("State", "Activation Date")))
    assert polled["State"][2] == enum_value("State", "Active")
    assert "Activation Date" in polled
    replaced = one(alice, (1, 4), "ReKey", target(made)).value(Tag.UNIQUE_IDENTIFIER)
    assert replaced != made
    links = {
        key: told(one(alice, (1, 4), "GetAttributes", target(key), *names("Link", "State"))) for key in (made, replaced)
    }
    for key, other in ((made, replaced), (replaced, made)):
        assert links[key]["Link"][2][1][2] == other
        assert links[key]["State"][2] == enum_value("State", "Active")
    found = one(alice, (1, 4), "Locate", attribute("Name", name_value("tenant 7")))
    assert found.values(Tag.UNIQUE_IDENTIFIER) == [replaced]
    checked = one(alice, (1, 4), "Check", target(replaced), nodes.integer(Tag.CRYPTOGRAPHIC_USAGE_MASK, 0x0C))
    assert checked.value(Tag.UNIQUE_IDENTIFIER) == replaced
    assert (
        key_material(one(alice, (1, 4), "Get", target(made)))[1]
        != key_material(one(alice, (1, 4), "Get", target(replaced)))[1]
    )


def test_secret_store_makes_pairs_without_a_usage_mask(alice: Connection) -> None:
    """1.2; it only fetches them; what each may be used for follows from the algorithm."""
    wanted = nodes.structure(
        Tag.COMMON_TEMPLATE_ATTRIBUTE,
        attribute("Cryptographic Algorithm", nodes.enumeration(0, enum_value("CryptographicAlgorithm", "ECDSA"))),
        attribute("Cryptographic Length", nodes.integer(0, 256)),
    )
    pair = one(alice, (1, 2), "CreateKeyPair", wanted)
    private, public = (
        target(pair.value(tag)) for tag in (Tag.PRIVATE_KEY_UNIQUE_IDENTIFIER, Tag.PUBLIC_KEY_UNIQUE_IDENTIFIER)
    )
    assert key_material(one(alice, (1, 2), "Get", private))[1] != key_material(one(alice, (1, 2), "Get", public))[1]
    mask = "Cryptographic Usage Mask"
    uses = [told(one(alice, (1, 2), "GetAttributes", key, *names(mask)))[mask][2] for key in (private, public)]
    assert uses == [1, 2]  # Sign, Verify
