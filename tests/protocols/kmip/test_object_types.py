"""Objects of every type, registered and fetched in every version."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystead.core.attribute_table import ATTRIBUTES
from keystead.protocols.kmip.wire import nodes, ttlv
from keystead.protocols.kmip.wire.enumerations_table import ENUMERATIONS
from keystead.protocols.kmip.wire.names import VERSIONS, enum_available, enum_value, tag_available, tag_number
from keystead.protocols.kmip.wire.nodes import STRUCTURE, Node
from keystead.protocols.kmip.wire.tags_table import TAGS, Tag, Version
from tests.support.certificates import certified
from tests.support.kmip_loopback import BOB, Connection, Loopback
from tests.support.kmip_profiles import play
from tests.support.kmip_requests import Answer, answers, attribute, item, message, query, target
from tests.support.kmip_trees import damaged, trees

CERTIFICATE_BYTES = certified()
PART = bytes(range(16))
PRIME = (1 << 521) - 1
EVERY_VERSION = pytest.mark.parametrize("version", VERSIONS, ids=str)

Fields = Sequence[Node]


def key_block(material: bytes, key_format: int = 1, algorithm: int = 3, bits: int = 128) -> Node:
    said = (nodes.enumeration(Tag.CRYPTOGRAPHIC_ALGORITHM, algorithm), nodes.integer(Tag.CRYPTOGRAPHIC_LENGTH, bits))
    return nodes.structure(
        Tag.KEY_BLOCK,
        nodes.enumeration(Tag.KEY_FORMAT_TYPE, key_format),
        nodes.structure(Tag.KEY_VALUE, nodes.byte_string(Tag.KEY_MATERIAL, material)),
        *(said if algorithm else ()),
    )


def certificate(kind: int = 1, data: bytes = CERTIFICATE_BYTES) -> Node:
    return nodes.structure(
        Tag.CERTIFICATE,
        nodes.enumeration(Tag.CERTIFICATE_TYPE, kind),
        nodes.byte_string(Tag.CERTIFICATE_VALUE, data),
    )


def split_key(method: int = 1, prime: int | None = None) -> Node:
    return nodes.structure(
        Tag.SPLIT_KEY,
        nodes.integer(Tag.SPLIT_KEY_PARTS, 3),
        nodes.integer(Tag.KEY_PART_IDENTIFIER, 2),
        nodes.integer(Tag.SPLIT_KEY_THRESHOLD, 3),
        nodes.enumeration(Tag.SPLIT_KEY_METHOD, method),
        None if prime is None else nodes.big_integer(Tag.PRIME_FIELD_SIZE, prime),
        key_block(PART),
    )


def pgp_key(version: int = 4) -> Node:
    return nodes.structure(
        Tag.PGP_KEY, nodes.integer(Tag.PGP_KEY_VERSION, version), key_block(b"-----BEGIN PGP", algorithm=4, bits=2048)
    )


def secret_data(kind: int, key_format: int = 2) -> Node:
    return nodes.structure(
        Tag.SECRET_DATA,
        nodes.enumeration(Tag.SECRET_DATA_TYPE, kind),
        key_block(b"hunter2", key_format, algorithm=0),
    )


def opaque(kind: int) -> Node:
    return nodes.structure(
        Tag.OPAQUE_OBJECT, nodes.enumeration(Tag.OPAQUE_DATA_TYPE, kind), nodes.byte_string(Tag.OPAQUE_DATA_VALUE, b"?")
    )


def register(client: Connection, version: Version, object_type: str, sent: Node) -> Answer:
    given = nodes.structure(Tag.TEMPLATE_ATTRIBUTE if version < (2, 0) else Tag.ATTRIBUTES)
    kind = nodes.enumeration(Tag.OBJECT_TYPE, enum_value("ObjectType", object_type))
    (answer,) = answers(client.ask(message(version, item("Register", kind, given, sent))))
    return answer


def registered(client: Connection, version: Version, object_type: str, sent: Node) -> str:
    answer = register(client, version, object_type, sent)
    assert not answer.reason, answer.text
    kept: str = answer.value(Tag.UNIQUE_IDENTIFIER)
    return kept


def get(client: Connection, version: Version, kept: str) -> Answer:
    (answer,) = answers(client.ask(message(version, item("Get", target(kept)))))
    return answer


def is_kept(client: Connection, version: Version, object_type: str, sent: Node) -> None:
    """Register an object, then fetch it twice: the second answer may come from a learned template."""
    kept = registered(client, version, object_type, sent)
    for _ in range(3):
        answer = get(client, version, kept)
        assert answer.payload is not None
        assert answer.payload[2] == [
            nodes.enumeration(Tag.OBJECT_TYPE, enum_value("ObjectType", object_type)),
            nodes.text(Tag.UNIQUE_IDENTIFIER, kept),
            sent,
        ]


@EVERY_VERSION
@pytest.mark.row("KS-KMIP-024", "KS-KMIP-047")
def test_certificates_are_kept_in_every_version(alice: Connection, version: Version) -> None:
    is_kept(alice, version, "Certificate", certificate())
    is_kept(alice, version, "Certificate", certificate(2, b"\x99 opaque"))
    for wrong in (b"", CERTIFICATE_BYTES[:-1], CERTIFICATE_BYTES + b"\x00"):
        assert register(alice, version, "Certificate", certificate(data=wrong)).reason == "InvalidField"


@EVERY_VERSION
@pytest.mark.row("KS-KMIP-047")
def test_split_keys_are_kept_in_every_version(alice: Connection, version: Version) -> None:
    for method, prime in ((1, None), (2, None), (3, PRIME), (2, PRIME)):
        is_kept(alice, version, "SplitKey", split_key(method, prime))
    if enum_available("SplitKeyMethod", 4, version):
        is_kept(alice, version, "SplitKey", split_key(4))
    else:
        assert register(alice, version, "SplitKey", split_key(4)).reason == "InvalidField"
    assert register(alice, version, "SplitKey", split_key(3)).reason == "InvalidMessage"


def test_parts_that_differ_in_their_numbers_only_are_told_apart(alice: Connection) -> None:
    """What is learned of one answer is not said of another part."""
    first, second = split_key(1), split_key(2)
    kept = [registered(alice, (1, 4), "SplitKey", sent) for sent in (first, second)]
    for _ in range(3):
        for held, sent in zip(kept, (first, second), strict=True):
            payload = get(alice, (1, 4), held).payload
            assert payload is not None
            assert payload[2][2] == sent


def test_a_split_key_method_that_a_version_does_not_know_is_not_told_to_it(alice: Connection) -> None:
    kept = registered(alice, (1, 4), "SplitKey", split_key(4))
    assert get(alice, (1, 1), kept).reason == "KeyFormatTypeNotSupported"
    assert not get(alice, (1, 2), kept).reason


@EVERY_VERSION
@pytest.mark.row("KS-KMIP-047")
def test_pgp_keys_are_kept_since_1_2(alice: Connection, version: Version) -> None:
    if version >= (1, 2):
        is_kept(alice, version, "PGPKey", pgp_key())
        return
    assert register(alice, version, "PGPKey", pgp_key()).reason == "InvalidField"
    kept = registered(alice, (1, 4), "PGPKey", pgp_key())
    assert get(alice, version, kept).reason == "IllegalOperation"


@EVERY_VERSION
@pytest.mark.row("KS-KMIP-021")
def test_every_type_of_secret_data_and_of_opaque_objects_is_kept(alice: Connection, version: Version) -> None:
    for kind in (*(row[0] for row in ENUMERATIONS["SecretDataType"].values()), 0x80000001):
        for key_format in (1, 2):
            is_kept(alice, version, "SecretData", secret_data(kind, key_format))
    for kind in (0x80000000, 0xFFFFFFFF):
        is_kept(alice, version, "OpaqueObject", opaque(kind))


@pytest.mark.parametrize("version", [(2, 0), (2, 1)], ids=str)
def test_certificate_requests_are_not_kept(alice: Connection, version: Version) -> None:
    sent = nodes.structure(
        Tag.CERTIFICATE_REQUEST,
        nodes.enumeration(Tag.CERTIFICATE_REQUEST_TYPE, 2),
        nodes.byte_string(Tag.CERTIFICATE_REQUEST_VALUE, b"\x30\x00"),
    )
    answer = register(alice, version, "CertificateRequest", sent)
    assert (answer.reason, "does not keep objects of this type" in answer.text) == ("InvalidObjectType", True)


@EVERY_VERSION
@pytest.mark.row("KS-KMIP-047")
def test_query_lists_the_object_types_that_are_kept(alice: Connection, version: Version) -> None:
    (answer,) = answers(alice.ask(message(version, item("Query", *query("QueryObjects")))))
    expected = {"Certificate", "SymmetricKey", "PublicKey", "PrivateKey", "SplitKey", "SecretData", "OpaqueObject"}
    expected |= {"Template"} if version < (2, 0) else set()
    expected |= {"PGPKey"} if version >= (1, 2) else set()
    assert answer.values(Tag.OBJECT_TYPE) == sorted(enum_value("ObjectType", name) for name in expected)


@EVERY_VERSION
@pytest.mark.row("KS-KCRT-002")
def test_a_certificate_is_told_of_in_the_words_of_the_version(alice: Connection, version: Version) -> None:
    kept = registered(alice, (2, 1), "Certificate", certificate())
    (answer,) = answers(alice.ask(message(version, item("GetAttributes", target(kept)))))
    assert answer.payload is not None
    if version < (2, 0):
        told = {child[2][0][2] for child in nodes.every(answer.payload, Tag.ATTRIBUTE)}
    else:
        (found,) = nodes.every(answer.payload, Tag.ATTRIBUTES)
        told = {
            name for name in ATTRIBUTES if tag_number(ATTRIBUTES[name].tag_name) in {child[0] for child in found[2]}
        }
    assert ("Certificate Subject" in told) is (version < (2, 0))
    assert ("X.509 Certificate Subject" in told) is ("Certificate Length" in told) is (version >= (1, 1))
    assert ("Certificate Subject CN" in told) is ("Certificate Issuer DC" in told) is (version >= (1, 4))
    assert "Certificate Type" in told
    assert all(tag_available(tag, version) for tag in _tags(answer.payload))


def _tags(node: Node) -> set[int]:
    return {node[0]} | {tag for child in (node[2] if node[1] == STRUCTURE else ()) for tag in _tags(child)}


def test_a_stranger_finds_no_certificate_by_its_subject(loopback: Loopback, alice: Connection) -> None:
    kept = registered(alice, (1, 4), "Certificate", certificate())
    value = nodes.structure(0, nodes.text(Tag.CERTIFICATE_SUBJECT_DISTINGUISHED_NAME, "CN=kms,O=Keys & Co,C=AT"))
    search = message((1, 4), item("Locate", attribute("Certificate Subject", value)))
    assert [answers(who.ask(search))[0].values(Tag.UNIQUE_IDENTIFIER) for who in (alice, loopback.connect(BOB))] == [
        *([kept], [])
    ]


CASES = {  # informative cases of OASIS with certificates and PGP keys, as far as their operations are offered
    "TC_132_10": "1.0",
    "TC-CREG-1-13": "1.3",
    "TC-CERTATTR-1-14": "1.4",
    "TC-ECC-3-14": "1.4",
    "TC-PGP-1-14": "1.4",
    "TC-ECC-3-20": "2.0",
    "TC-PGP-1-20": "2.0",
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the runner leaves files to the garbage collector
@pytest.mark.row("KS-KMIP-024", "KS-KMIP-047")
@pytest.mark.parametrize("case", CASES)
def test_the_cases_of_others_pass(shared_folder: Path, loopback: Loopback, case: str) -> None:
    results = play(shared_folder, loopback, (CASES[case],), case)
    assert [(result["result"], result["detail"]) for result in results] == [("pass", "")]


HOSTILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
OBJECTS = [("Certificate", certificate()), ("SplitKey", split_key(3, PRIME)), ("PGPKey", pgp_key())]
REQUESTS = [
    ttlv.encode(
        message(
            (1, 4),
            item(
                "Register",
                nodes.enumeration(Tag.OBJECT_TYPE, enum_value("ObjectType", kind)),
                nodes.structure(Tag.TEMPLATE_ATTRIBUTE),
                sent,
            ),
        )
    )
    for kind, sent in OBJECTS
]


@HOSTILE
@given(st.sampled_from(OBJECTS), st.lists(trees(st.sampled_from(sorted(TAGS))), max_size=4))
def test_strange_fields_are_answered_not_crashed_on(
    alice: Connection, kept: tuple[str, Node], strange: list[Node]
) -> None:
    kind, sent = kept
    for changed in (nodes.structure(sent[0], *sent[2], *strange), nodes.structure(sent[0], *strange)):
        assert register(alice, (1, 4), kind, changed).reason not in ("GeneralFailure", "InternalServerError")


@HOSTILE
@given(st.data())
def test_damaged_requests_are_answered_not_crashed_on(alice: Connection, data: st.DataObject) -> None:
    """Head and length of the whole stay right, or it would not be one message."""
    changed = data.draw(damaged(data.draw(st.sampled_from(REQUESTS))[8:]))
    changed += bytes(-len(changed) % 8)
    answered = ttlv.decode(alice.send(REQUESTS[0][:4] + len(changed).to_bytes(4, "big") + changed))
    assert all(found.reason not in ("GeneralFailure", "InternalServerError") for found in answers(answered))


def test_a_template_is_not_written_in_versions_without_templates(alice: Connection) -> None:
    kept = registered(
        alice, (1, 4), "Template", nodes.structure(Tag.TEMPLATE, attribute("x-Shelf", nodes.text(0, "3")))
    )
    assert not get(alice, (1, 4), kept).reason
    for version in ((2, 0), (2, 1)):
        assert get(alice, version, kept).reason == "InvalidObjectType"
