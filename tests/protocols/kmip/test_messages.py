"""Whole messages: versions, batches, options, credentials, limits, and answers to what is no message."""

import time

import pytest

from keystead.core.errors import Unauthenticated
from keystead.core.permission import Principal
from keystead.gate.call import BATCH_COUNT_MAX
from keystead.protocols.kmip.session import Session
from keystead.protocols.kmip.wire import nodes, ttlv
from keystead.protocols.kmip.wire.names import VERSIONS, enum_name, enum_value, unavailable_tags
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag, Version
from tests.support.kmip_loopback import Connection, Loopback
from tests.support.kmip_requests import aes, answers, item, message, query, spoken_version, target, text_attribute

OPERATIONS = query("QueryOperations")
CONTINUE, STOP, UNDO = (
    nodes.enumeration(Tag.BATCH_ERROR_CONTINUATION_OPTION, enum_value("BatchErrorContinuationOption", name))
    for name in ("Continue", "Stop", "Undo")
)
UNKNOWN = item("GetAttributes", target("unknown"), batch_id=b"?")
BROKEN = item("Query", nodes.text(Tag.QUERY_FUNCTION, "no enumeration"), batch_id=b"?")
GOOD = item("Query", *OPERATIONS, batch_id=b"!")


def credential(username: str, password: str = "pass phrase") -> Node:
    return nodes.structure(
        Tag.CREDENTIAL,
        nodes.enumeration(Tag.CREDENTIAL_TYPE, enum_value("CredentialType", "UsernameAndPassword")),
        nodes.structure(Tag.CREDENTIAL_VALUE, nodes.text(Tag.USERNAME, username), nodes.text(Tag.PASSWORD, password)),
    )


# -- versions


@pytest.mark.row("KS-KMIP-018")
@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_the_answer_speaks_the_version_of_the_request_and_nothing_newer(alice: Connection, version: Version) -> None:
    functions = query(
        *("QueryOperations", "QueryObjects", "QueryServerInformation", "QueryApplicationNamespaces"),
        *("QueryExtensionList", "QueryExtensionMap", "QueryAttestationTypes", "QueryRNGs", "QueryValidations"),
        *("QueryProfiles", "QueryCapabilities", "QueryClientRegistrationMethods", "QueryDefaultsInformation"),
        "QueryStorageProtectionMasks",
    )
    response = alice.ask(message(version, item("Query", *functions)))
    assert spoken_version(response) == version
    assert not unavailable_tags(response, version)
    (answer,) = answers(response)
    assert not answer.reason


@pytest.mark.row("KS-KMIP-018")
@pytest.mark.parametrize(
    ("asked", "told", "reason"),
    [
        ((0, 9), (1, 0), "InvalidMessage"),
        ((1, 5), (1, 4), "InvalidMessage"),
        ((2, 2), (2, 1), "UnsupportedProtocolVersion"),
        ((3, 0), (2, 1), "UnsupportedProtocolVersion"),
        ((2**31 - 1, -1), (2, 1), "UnsupportedProtocolVersion"),
        ((-1, 4), (1, 0), "InvalidMessage"),
    ],
)
def test_a_version_we_do_not_speak_is_told_so_in_the_nearest_one(
    alice: Connection, asked: Version, told: Version, reason: str
) -> None:
    response = alice.ask(message(asked, GOOD))
    assert spoken_version(response) == told
    assert [(a.operation, a.reason) for a in answers(response)] == [("", reason)]


def test_an_operation_of_a_later_version_is_not_supported(alice: Connection) -> None:
    (answer,) = answers(alice.ask(message((1, 1), item("Encrypt", target("a")))))
    assert (answer.operation, answer.reason) == ("Encrypt", "OperationNotSupported")


def test_an_unknown_operation_is_not_supported(alice: Connection) -> None:
    unknown = nodes.structure(
        Tag.BATCH_ITEM, nodes.enumeration(Tag.OPERATION, 0x80000001), nodes.structure(Tag.REQUEST_PAYLOAD)
    )
    (answer,) = answers(alice.ask(message((1, 0), unknown)))
    assert (answer.operation, answer.reason) == ("0x80000001", "OperationNotSupported")


# -- batches


@pytest.mark.parametrize("batch_id", [b"QLKC\1\0\0\0", b"", bytes(range(256))])
def test_a_batch_id_comes_back_byte_for_byte_also_alone(alice: Connection, batch_id: bytes) -> None:
    (answer,) = answers(alice.ask(message((1, 1), item("Query", *OPERATIONS, batch_id=batch_id))))
    assert (answer.batch_id, answer.reason) == (batch_id, "")
    (answer,) = answers(alice.ask(message((1, 1), item("GetAttributes", target("unknown"), batch_id=batch_id))))
    assert (answer.batch_id, answer.reason != "") == (batch_id, True)


@pytest.mark.parametrize("failing", [UNKNOWN, BROKEN])
def test_a_batch_stops_at_the_first_failure(alice: Connection, failing: Node) -> None:
    for header in ([], [STOP]):
        told = answers(alice.ask(message((1, 2), GOOD, failing, GOOD, header=header)))
        assert [a.reason == "" for a in told] == [True, False]


@pytest.mark.parametrize("failing", [UNKNOWN, BROKEN])
def test_a_batch_goes_on_if_asked_to(alice: Connection, failing: Node) -> None:
    told = answers(alice.ask(message((1, 2), GOOD, failing, GOOD, header=[CONTINUE])))
    assert [(a.batch_id, a.reason == "") for a in told] == [(b"!", True), (b"?", False), (b"!", True)]


@pytest.mark.parametrize("failing", [UNKNOWN, BROKEN])
def test_a_batch_is_taken_back_if_asked_to(alice: Connection, failing: Node) -> None:
    made = item("Create", *aes(text_attribute("x-Undone", "yes")))
    response = alice.ask(message((1, 2), made, GOOD, failing, GOOD, header=[UNDO]))
    found_statuses = [nodes.first(one, Tag.RESULT_STATUS) for one in nodes.every(response, Tag.BATCH_ITEM)]
    statuses = [status[2] for status in found_statuses if status is not None]
    assert [enum_name("ResultStatus", status) for status in statuses] == [
        "OperationUndone",
        "OperationUndone",
        "OperationFailed",
    ]
    (found,) = answers(alice.ask(message((1, 2), item("Locate", text_attribute("x-Undone", "yes")))))
    assert found.values(Tag.UNIQUE_IDENTIFIER) == []
    told = answers(alice.ask(message((1, 2), made, GOOD, header=[UNDO])))
    assert [a.reason for a in told] == ["", ""]


@pytest.mark.parametrize("count", [0, 1, 3, -1, 2**31 - 1])
def test_a_wrong_batch_count_is_refused(alice: Connection, count: int) -> None:
    told = answers(alice.ask(message((1, 0), GOOD, GOOD, count=count)))
    assert {a.reason for a in told} == {"InvalidMessage"}


def test_a_batch_has_a_largest_size(alice: Connection) -> None:
    told = answers(alice.ask(message((2, 0), *[GOOD] * (BATCH_COUNT_MAX + 1))))
    assert [(a.operation, a.reason) for a in told] == [("", "ServerLimitExceeded")]


def test_a_message_without_items_is_refused(alice: Connection) -> None:
    told = answers(alice.ask(message((1, 0))))
    assert [(a.operation, a.reason) for a in told] == [("", "InvalidMessage")]


# -- options


def test_a_boolean_allows_asynchronous_answers_but_does_not_demand_them(alice: Connection) -> None:
    allowed = nodes.boolean(Tag.ASYNCHRONOUS_INDICATOR, value=True)
    (answer,) = answers(alice.ask(message((1, 4), GOOD, header=[allowed])))
    assert answer.reason == ""


@pytest.mark.parametrize(
    ("name", "reason"), [("Mandatory", "FeatureNotSupported"), ("Optional", ""), ("Prohibited", "")]
)
def test_asynchronous_answers_cannot_be_demanded(alice: Connection, name: str, reason: str) -> None:
    indicator = nodes.enumeration(Tag.ASYNCHRONOUS_INDICATOR, enum_value("AsynchronousIndicator", name))
    (answer,) = answers(alice.ask(message((2, 0), GOOD, header=[indicator])))
    assert answer.reason == reason


@pytest.mark.parametrize(
    ("version", "is_critical", "reason"),
    [((1, 0), True, "FeatureNotSupported"), ((2, 1), True, "UnknownMessageExtension"), ((1, 0), False, "")],
)
def test_a_critical_extension_stops_the_whole_message(
    alice: Connection, version: Version, is_critical: bool, reason: str
) -> None:
    extension = nodes.structure(
        Tag.MESSAGE_EXTENSION,
        nodes.text(Tag.VENDOR_IDENTIFICATION, "Acme"),
        nodes.boolean(Tag.CRITICALITY_INDICATOR, value=is_critical),
        nodes.structure(Tag.VENDOR_EXTENSION, nodes.text(0x540001, "na")),
    )
    told = answers(alice.ask(message(version, GOOD, item("Query", *OPERATIONS, behind=[extension]))))
    assert [(a.operation, a.reason) for a in told] == [("Query", reason)] * 2


def test_an_unknown_field_of_the_header_is_refused(alice: Connection) -> None:
    newer = nodes.text(Tag.CLIENT_CORRELATION_VALUE, "of 1.4")
    (answer,) = answers(alice.ask(message((1, 3), GOOD, header=[newer])))
    assert (answer.operation, answer.reason) == ("Query", "InvalidField")
    (answer,) = answers(alice.ask(message((1, 4), GOOD, header=[newer])))
    assert answer.reason == ""


def test_the_answer_has_a_time_stamp_and_from_1_4_on_a_correlation_value(alice: Connection, loopback: Loopback) -> None:
    for version in VERSIONS:
        header = alice.ask(message(version, GOOD))[2][0]
        stamp, correlation = nodes.first(header, Tag.TIME_STAMP), nodes.first(header, Tag.SERVER_CORRELATION_VALUE)
        assert stamp is not None
        assert abs(stamp[2] - time.time()) <= 2
        assert (correlation is not None) == (version >= (1, 4))


# -- limits of answers


def test_an_answer_larger_than_the_client_takes_is_an_error(alice: Connection) -> None:
    short = nodes.integer(Tag.MAXIMUM_RESPONSE_SIZE, 256)
    (answer,) = answers(alice.ask(message((1, 0), item("Query", *OPERATIONS), header=[short])))
    assert (answer.operation, answer.reason) == ("Query", "ResponseTooLarge")
    enough = nodes.integer(Tag.MAXIMUM_RESPONSE_SIZE, 8192)
    assert len(alice.send(ttlv.encode(message((1, 0), item("Query", *OPERATIONS), header=[enough])))) <= 8192


@pytest.mark.parametrize("size", [0, 1, -1])
def test_a_size_in_which_no_error_fits_is_answered_nevertheless(alice: Connection, size: int) -> None:
    limit = nodes.integer(Tag.MAXIMUM_RESPONSE_SIZE, size)
    assert answers(alice.ask(message((1, 0), GOOD, header=[limit])))


# -- credentials


@pytest.mark.row("KS-KMIP-009", "KS-KMIP-011")
def test_a_credential_may_repeat_the_certificate_but_not_contradict_it(alice: Connection) -> None:
    for version in VERSIONS:
        same = nodes.structure(Tag.AUTHENTICATION, credential("alice"))
        assert [a.reason for a in answers(alice.ask(message(version, GOOD, header=[same])))] == [""]
        other = nodes.structure(Tag.AUTHENTICATION, credential("alice"), credential("bob"))
        told = answers(alice.ask(message(version, GOOD, GOOD, header=[other])))
        assert [(a.operation, a.reason) for a in told] == [("Query", "AuthenticationNotSuccessful")] * 2


def test_a_credential_that_only_describes_a_device_is_let_pass(alice: Connection) -> None:
    device = nodes.structure(
        Tag.CREDENTIAL,
        nodes.enumeration(Tag.CREDENTIAL_TYPE, enum_value("CredentialType", "Device")),
        nodes.structure(Tag.CREDENTIAL_VALUE, nodes.text(Tag.DEVICE_SERIAL_NUMBER, "1")),
    )
    header = [nodes.structure(Tag.AUTHENTICATION, device)]
    assert [a.reason for a in answers(alice.ask(message((1, 1), GOOD, header=header)))] == [""]


@pytest.mark.parametrize("kind", ["OneTimePassword", "HashedPassword", "Ticket"])
def test_a_credential_that_would_have_to_be_checked_is_refused(alice: Connection, kind: str) -> None:
    unchecked = nodes.structure(
        Tag.CREDENTIAL,
        nodes.enumeration(Tag.CREDENTIAL_TYPE, enum_value("CredentialType", kind)),
        nodes.structure(Tag.CREDENTIAL_VALUE, nodes.text(Tag.USERNAME, "alice")),
    )
    header = [nodes.structure(Tag.AUTHENTICATION, unchecked)]
    (answer,) = answers(alice.ask(message((2, 0), GOOD, header=header)))
    assert answer.reason == "AuthenticationNotSuccessful"


@pytest.mark.row("KS-LOG-032")
def test_a_password_reaches_no_log_and_no_answer(alice: Connection, loopback: Loopback) -> None:
    canary = "canary-7f3a91"
    for username in ("alice", "bob"):
        header = [nodes.structure(Tag.AUTHENTICATION, credential(username, canary))]
        for _ in range(3):  # also a message of a shape seen before
            answer = alice.send(ttlv.encode(message((1, 2), GOOD, header=header)))
            assert canary.encode() not in answer
    assert canary.encode() not in loopback.log_file.read_bytes()


def test_nobody_is_answered_by_name_after_the_account_is_gone(loopback: Loopback) -> None:
    def admit() -> Principal:
        raise Unauthenticated("the account is disabled")

    said: list[bytes] = []
    Session(loopback.endpoint, admit).handle(ttlv.encode(message((1, 3), GOOD)), said.append)
    response = ttlv.decode(said[0])
    assert spoken_version(response) == (1, 3)
    assert [(a.operation, a.reason) for a in answers(response)] == [("", "AuthenticationNotSuccessful")]


# -- what is no message


def test_a_broken_item_inside_a_whole_frame_is_answered_in_the_version_of_the_header(alice: Connection) -> None:
    whole = bytearray(ttlv.encode(message((1, 2), GOOD)))
    whole[-16 + 3] = 0x7F  # the type of the last item
    response = ttlv.decode(alice.send(bytes(whole)))
    assert spoken_version(response) == (1, 2)
    assert [(a.operation, a.reason) for a in answers(response)] == [("", "InvalidMessage")]
    assert alice.session.failure is None
    assert answers(alice.ask(message((1, 2), GOOD)))[0].reason == ""


@pytest.mark.parametrize(
    "node",
    [
        nodes.structure(Tag.REQUEST_MESSAGE),
        nodes.structure(Tag.REQUEST_MESSAGE, nodes.structure(Tag.REQUEST_HEADER)),
        nodes.structure(Tag.REQUEST_MESSAGE, nodes.integer(Tag.REQUEST_HEADER, 1)),
        nodes.structure(Tag.REQUEST_MESSAGE, GOOD),
    ],
)
def test_a_message_without_a_readable_header_is_answered_in_the_oldest_version(alice: Connection, node: Node) -> None:
    response = alice.ask(node)
    assert spoken_version(response) == (1, 0)
    assert [(a.operation, a.reason) for a in answers(response)] == [("", "InvalidMessage")]


def test_something_between_the_items_is_refused(alice: Connection) -> None:
    spoiled = message((1, 0), GOOD)
    spoiled[2].append(nodes.integer(Tag.BATCH_COUNT, 1))
    assert answers(alice.ask(spoiled))[0].reason == "InvalidMessage"


def test_messages_before_a_broken_frame_are_returned_and_the_rest_is_not_read(loopback: Loopback) -> None:
    session = loopback.connect().session
    whole = ttlv.encode(message((2, 1), GOOD))
    assert session.messages(whole[:20]) == []
    assert session.pending_bytes == 20
    assert session.messages(whole[20:] + whole + b"GET / HTTP/1.1\r\n" + whole) == [whole, whole]
    assert session.messages(whole) == []
    failure = session.failure
    assert failure is not None
    session.handle(whole, lambda _: None)
    last_words = ttlv.decode(session.refuse(failure))
    assert spoken_version(last_words) == (2, 1)
    assert answers(last_words)[0].reason == "InvalidMessage"
