"""Query and Discover Versions tell what is there."""

import pytest

from keystead.core.permission import Switches
from keystead.protocols.kmip.translate.capabilities import OBJECT_TYPES
from keystead.protocols.kmip.translate.operations import OPERATIONS
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.names import VERSIONS, enum_name, enum_value
from keystead.protocols.kmip.wire.tags_table import Tag, Version
from tests.support.kmip_loopback import Connection, Loopback
from tests.support.kmip_requests import Answer, answers, item, message, query, version_node

BASELINE = {  # KS-KMIP-017
    *("AddAttribute", "Create", "DeleteAttribute", "Destroy", "Get", "GetAttributes", "GetAttributeList", "Locate"),
    *("ModifyAttribute", "Query", "Register"),
}


def asked(client: Connection, version: Version, *functions: str) -> Answer:
    (answer,) = answers(client.ask(message(version, item("Query", *query(*functions)))))
    assert not answer.reason
    return answer


def operations(client: Connection, version: Version) -> set[str]:
    codes = asked(client, version, "QueryOperations").values(Tag.OPERATION)
    assert len(set(codes)) == len(codes)
    return {enum_name("Operation", code) for code in codes}


@pytest.mark.row("KS-KMIP-017")
def test_query_lists_the_operations_of_the_version(alice: Connection) -> None:
    assert operations(alice, (1, 0)) == BASELINE | {"Activate", "Revoke", "CreateKeyPair"}
    assert operations(alice, (1, 1)) == operations(alice, (1, 0)) | {"DiscoverVersions"}
    cryptographic = {"Encrypt", "Decrypt", "Sign", "SignatureVerify", "MAC", "MACVerify", "Hash"}
    assert operations(alice, (1, 4)) == operations(alice, (1, 1)) | cryptographic | {"RNGRetrieve", "RNGSeed"}
    assert operations(alice, (2, 1)) == operations(alice, (1, 4)) | {"SetAttribute", "Interop"}


@pytest.mark.row("KS-KMIP-017")
@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_an_operation_is_listed_exactly_when_it_is_offered(alice: Connection, version: Version) -> None:
    listed = operations(alice, version)
    for code in OPERATIONS:
        name = enum_name("Operation", code)
        wrong = nodes.text(0x540001, "")  # reading it fails, after the operation was found to be there
        (answer,) = answers(alice.ask(message(version, item(name, wrong))))
        assert (answer.reason != "OperationNotSupported") == (name in listed)


def interop(client: Connection, function: str) -> str:
    payload = (
        nodes.enumeration(Tag.INTEROP_FUNCTION, enum_value("InteropFunction", function)),
        nodes.text(Tag.INTEROP_IDENTIFIER, "case"),
    )
    (answer,) = answers(client.ask(message((2, 1), item("Interop", *payload))))
    return answer.reason


def test_interop_exists_on_test_servers_only(loopback: Loopback) -> None:
    client = loopback.connect()
    assert [interop(client, function) for function in ("Begin", "End", "Reset")] == ["", "", "FeatureNotSupported"]
    loopback.gate.switches = Switches()
    assert "Interop" not in operations(client, (2, 1))
    assert interop(client, "Begin") == "OperationNotSupported"


@pytest.mark.row("KS-KMIP-046")
@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_query_names_the_vendor_and_no_name_spaces(alice: Connection, version: Version) -> None:
    answer = asked(alice, version, "QueryServerInformation", "QueryApplicationNamespaces")
    assert answer.value(Tag.VENDOR_IDENTIFICATION) == "keystead"
    assert answer.value(Tag.SERVER_INFORMATION) is not None
    assert answer.values(Tag.APPLICATION_NAMESPACE) == []


@pytest.mark.row("KS-KMIP-046")
def test_query_answers_in_the_order_of_the_specification_whatever_was_asked_first(alice: Connection) -> None:
    answer = asked(
        alice, (1, 4), "QueryCapabilities", "QueryRNGs", "QueryServerInformation", "QueryObjects", "QueryOperations"
    )
    assert answer.payload is not None
    assert list(dict.fromkeys(child[0] for child in answer.payload[2])) == [
        *(Tag.OPERATION, Tag.OBJECT_TYPE, Tag.VENDOR_IDENTIFICATION, Tag.SERVER_INFORMATION),
        *(Tag.RNG_PARAMETERS, Tag.CAPABILITY_INFORMATION),
    ]


def test_functions_of_later_versions_are_answered_with_nothing(alice: Connection) -> None:
    answer = asked(alice, (1, 2), "QueryRNGs", "QueryCapabilities", "QueryStorageProtectionMasks")
    assert answer.payload == nodes.structure(Tag.RESPONSE_PAYLOAD)


def test_templates_are_no_object_type_of_2_0(alice: Connection) -> None:
    assert asked(alice, (1, 4), "QueryObjects").values(Tag.OBJECT_TYPE) == [int(kind) for kind in OBJECT_TYPES]
    assert 6 not in asked(alice, (2, 0), "QueryObjects").values(Tag.OBJECT_TYPE)


def test_a_query_needs_a_function(alice: Connection) -> None:
    (answer,) = answers(alice.ask(message((1, 0), item("Query"))))
    assert answer.reason == "InvalidMessage"


def versions(client: Connection, *wanted: Version) -> list[Version]:
    (answer,) = answers(client.ask(message((1, 1), item("DiscoverVersions", *(version_node(v) for v in wanted)))))
    return [tuple(number[2] for number in found) for found in answer.values(Tag.PROTOCOL_VERSION)]


def test_versions_are_discovered(alice: Connection) -> None:
    assert versions(alice) == sorted(VERSIONS, reverse=True)
    assert versions(alice, (3, 0), (2, 1), (1, 9), (1, 2)) == [(2, 1), (1, 2)]
    assert versions(alice, (3, 0)) == []
