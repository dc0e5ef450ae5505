"""MAC, MAC Verify, Hash, RNG Retrieve and RNG Seed, as clients send them."""

import pytest

from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.names import enum_value
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag
from tests.support.kmip_loopback import Connection
from tests.support.kmip_requests import Answer, aes, answers, item, message, target

MAC_MASK = 0x180
DATA = nodes.byte_string(Tag.DATA, b"data")
VALID, INVALID = 1, 2
VERSIONS = ((1, 2), (1, 4), (2, 0), (2, 1))


def asked(client: Connection, version: tuple[int, int], operation: str, *payload: Node) -> Answer:
    (answer,) = answers(client.ask(message(version, item(operation, *payload))))
    return answer


def parameters(*fields: Node) -> Node:
    return nodes.structure(Tag.CRYPTOGRAPHIC_PARAMETERS, *fields)


HMAC_SHA256 = nodes.enumeration(Tag.CRYPTOGRAPHIC_ALGORITHM, enum_value("CryptographicAlgorithm", "HMAC_SHA256"))
HMAC = parameters(HMAC_SHA256)
SHA_256 = parameters(nodes.enumeration(Tag.HASHING_ALGORITHM, enum_value("HashingAlgorithm", "SHA_256")))


@pytest.fixture
def key(alice: Connection) -> str:
    made = asked(alice, (1, 4), "Create", *aes(mask=MAC_MASK))
    (identifier,) = made.values(Tag.UNIQUE_IDENTIFIER)
    assert not asked(alice, (1, 4), "Activate", target(identifier)).reason
    return str(identifier)


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_code_is_made_and_judged(alice: Connection, key: str, version: tuple[int, int]) -> None:
    made = asked(alice, version, "MAC", target(key), HMAC, DATA)
    (code,) = made.values(Tag.MAC_DATA)
    assert len(code) == 32
    for given, verdict in ((code, VALID), (bytes(32), INVALID)):
        judged = asked(alice, version, "MACVerify", target(key), HMAC, DATA, nodes.byte_string(Tag.MAC_DATA, given))
        assert judged.values(Tag.VALIDITY_INDICATOR) == [verdict]
        assert judged.values(Tag.UNIQUE_IDENTIFIER) == [key]


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_data_is_hashed(alice: Connection, version: tuple[int, int]) -> None:
    (found,) = asked(alice, version, "Hash", SHA_256, DATA).values(Tag.DATA)
    assert found.hex() == "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_random_bytes_are_given_and_taken(alice: Connection, version: tuple[int, int]) -> None:
    length = nodes.integer(Tag.DATA_LENGTH, 24)
    drawn = [asked(alice, version, "RNGRetrieve", length).values(Tag.DATA) for _ in range(2)]
    assert [len(data) for (data,) in drawn] == [24, 24]
    assert drawn[0] != drawn[1]
    assert asked(alice, version, "RNGSeed", DATA).values(Tag.DATA_LENGTH) == [4]


@pytest.mark.parametrize(
    ("operation", "payload"),
    [
        ("MAC", (HMAC,)),
        ("MACVerify", (HMAC, DATA)),
        ("Hash", (DATA,)),
        ("Hash", (SHA_256,)),
        ("RNGRetrieve", ()),
        ("RNGRetrieve", (nodes.integer(Tag.DATA_LENGTH, -1),)),
        ("RNGSeed", ()),
        ("MAC", (HMAC, DATA, nodes.boolean(Tag.FINAL_INDICATOR, True))),
        ("Hash", (SHA_256, DATA, nodes.byte_string(Tag.CORRELATION_VALUE, b"c"))),
    ],
)
def test_what_is_missing_or_not_offered_is_told(
    alice: Connection, key: str, operation: str, payload: tuple[Node, ...]
) -> None:
    named = (target(key),) if operation.startswith("MAC") else ()
    answer = asked(alice, (1, 4), operation, *named, *payload)
    assert answer.reason
    assert answer.text


def test_older_clients_are_not_offered_what_came_later(alice: Connection) -> None:
    assert asked(alice, (1, 1), "RNGSeed", DATA).reason == "OperationNotSupported"
