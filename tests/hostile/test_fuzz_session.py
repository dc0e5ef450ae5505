"""Spoiled messages: each is answered once with a response that can be read, or ends its connection; nothing is raised.

Attack class 2. Where tests/protocols/kmip/test_session_fuzz.py damages whole trees and raw bytes, this goes for what is
in between: items that lie about their length, type or padding inside messages whose outer frame is right; headers with
versions, counts and options that cannot be; and sizes at the edge. A node then gets the same over TLS. Guided by
coverage, tools/fuzz_wire.py goes further wherever atheris is installed.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead import acceleration
from keystead.gate.call import BATCH_COUNT_MAX
from keystead.protocols import kmip
from keystead.protocols.kmip.wire import nodes, ttlv
from keystead.protocols.kmip.wire.names import VERSIONS
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import TAGS, Tag
from tests.hostile.corpus import samples
from tests.hostile.exploration import explore, places
from tests.hostile.sockets import is_message, is_served, process, reply, said, secure
from tests.support.dev_node import DevNode
from tests.support.kmip_loopback import Connection, Loopback
from tests.support.kmip_requests import aes, answers, item, message, query, spoken_version
from tests.surface.sources import ROOT

EXAMPLES_COUNT = 300
NUMBERS = (0, 1, -1, 2, 9, 2**31 - 1, -(2**31))
FALSE_VERSIONS = ((0, 0), (9, 9), (2, 2), (1, 5), (1, -1), (-1, 4), (2**31 - 1, 0), (0, 14))


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with Loopback(tmp_path_factory.mktemp("spoiled")) as server:
        yield server


@pytest.fixture(scope="module")
def corpus(loopback: Loopback) -> list[bytes]:
    (made,) = answers(loopback.connect().ask(message((1, 4), item("Create", *aes()))))
    return [ttlv.encode(sample) for sample in samples(str(made.value(Tag.UNIQUE_IDENTIFIER)))]


def check(client: Connection, data: bytes) -> None:
    """Send bytes: every whole message has one answer, and none of them is a mistake of ours."""
    for whole in client.session.messages(data):
        said_so_far: list[bytes] = []
        client.session.handle(whole, said_so_far.append)
        (answer,) = said_so_far
        response = ttlv.decode(answer)
        told = answers(response)
        assert told
        assert not [one.text for one in told if "internal" in one.text]
        assert spoken_version(response) in VERSIONS
    if client.session.failure is not None:
        assert answers(ttlv.decode(client.session.refuse(client.session.failure)))


def test_the_corpus_is_good(loopback: Loopback, corpus: list[bytes]) -> None:
    """Or there would be nothing to spoil: most is done, nothing is misunderstood."""
    told = [answer for one in corpus for answer in answers(ttlv.decode(loopback.connect().send(one)))]
    assert sum(not answer.reason for answer in told) > len(told) * 0.6
    assert not [answer for answer in told if answer.reason in ("InvalidMessage", "OperationNotSupported")]


# -- items that lie --------------------------------------------------------------------------------------------------


@st.composite
def lies(draw: st.DrawFn, data: bytes) -> bytes:
    """The message with one to three items whose head or padding is false; the frame's length stays true."""
    inner = [place for place in places(data) if place.start]
    spoiled = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        start, stop = draw(st.sampled_from(inner))
        length = int.from_bytes(spoiled[start + 4 : start + 8], "big")
        kind = draw(st.sampled_from(["length", "length", "type", "tag", "padding", "value"]))
        if kind == "length":
            near = st.sampled_from([length + 1, length - 1, length + 8, length - 8, stop, len(data), 0])
            wrong = draw(near | st.sampled_from([0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF8]))
            spoiled[start + 4 : start + 8] = (wrong % (1 << 32)).to_bytes(4, "big")
        elif kind == "type":
            spoiled[start + 3] = draw(st.integers(0, 12) | st.integers(0, 255))
        elif kind == "tag":
            tag = draw(st.sampled_from(sorted(TAGS)) | st.integers(0, (1 << 24) - 1))
            spoiled[start : start + 3] = tag.to_bytes(3, "big")
        elif kind == "padding" and length % 8:
            spoiled[stop - 1] = draw(st.integers(1, 255))
        elif stop - start > 8:
            at = draw(st.integers(start + 8, stop - 1))
            spoiled[at] = draw(st.integers(0, 255))
    return bytes(spoiled)


@settings(max_examples=EXAMPLES_COUNT)
@given(st.data())
def test_items_that_lie(loopback: Loopback, corpus: list[bytes], data: st.DataObject) -> None:
    good = data.draw(st.sampled_from(corpus))
    loopback.objects.refresh()
    check(loopback.connect(), data.draw(lies(good)) + good)


# -- headers ---------------------------------------------------------------------------------------------------------


@st.composite
def headers(draw: st.DrawFn) -> list[Node]:
    """Fields of a header in any number, order and sense."""
    number = st.sampled_from(NUMBERS)
    unsigned = st.sampled_from([0, 1, 2, 3, 4, 0x80000000, 0xFFFFFFFF])
    fields = st.one_of(
        st.builds(nodes.integer, st.just(Tag.MAXIMUM_RESPONSE_SIZE), number),
        st.builds(nodes.enumeration, st.just(Tag.BATCH_ERROR_CONTINUATION_OPTION), unsigned),
        st.builds(lambda value: nodes.boolean(Tag.BATCH_ORDER_OPTION, value=value), st.booleans()),
        st.builds(lambda value: nodes.boolean(Tag.ASYNCHRONOUS_INDICATOR, value=value), st.booleans()),
        st.builds(nodes.enumeration, st.just(Tag.ASYNCHRONOUS_INDICATOR), unsigned),
        st.builds(nodes.date_time, st.just(Tag.TIME_STAMP), st.sampled_from([0, -1, 2**63 - 1, -(2**63)])),
        st.builds(nodes.text, st.just(Tag.CLIENT_CORRELATION_VALUE), st.text(max_size=10)),
        st.builds(lambda value: nodes.structure(Tag.AUTHENTICATION, *value), st.lists(credentials(), max_size=2)),
    )
    return draw(st.lists(fields, max_size=5))


def credentials() -> st.SearchStrategy[Node]:
    name = st.sampled_from(["alice", "bob", "", "alice\x00"])
    value = st.builds(
        lambda user: nodes.structure(
            Tag.CREDENTIAL_VALUE, nodes.text(Tag.USERNAME, user), nodes.text(Tag.PASSWORD, "guess")
        ),
        name,
    )
    kind = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 0xFFFFFFFF])
    return st.builds(
        lambda number, given: nodes.structure(Tag.CREDENTIAL, nodes.enumeration(Tag.CREDENTIAL_TYPE, number), given),
        kind,
        value,
    )


@settings(max_examples=EXAMPLES_COUNT // 2)
@given(
    st.sampled_from([*VERSIONS, *FALSE_VERSIONS]),
    headers(),
    st.sampled_from([None, *NUMBERS]),
    st.integers(0, 3),
)
def test_headers_that_cannot_be(
    loopback: Loopback, version: tuple[int, int], header: list[Node], count: int | None, item_count: int
) -> None:
    items = [item("Query", *query("QueryOperations"))] * item_count
    check(loopback.connect(), ttlv.encode(message(version, *items, header=header, count=count)))


@pytest.mark.parametrize("version", FALSE_VERSIONS)
def test_unknown_versions_are_told_in_one_that_exists(loopback: Loopback, version: tuple[int, int]) -> None:
    response = loopback.connect().ask(message(version, item("Query", *query("QueryOperations"))))
    (told,) = answers(response)
    assert told.reason
    assert spoken_version(response) in VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_operations_that_are_not(loopback: Loopback, version: tuple[int, int]) -> None:
    """Every number up to the last of the standard and beyond, with an empty payload and one of another operation."""
    client = loopback.connect()
    payloads = (nodes.structure(Tag.REQUEST_PAYLOAD), item("Query", *query("QueryOperations"))[2][1])
    for operation in (*range(0x50), 0x80000000, 0xFFFFFFFF):
        for payload in payloads:
            one = nodes.structure(Tag.BATCH_ITEM, nodes.enumeration(Tag.OPERATION, operation), payload)
            check(client, ttlv.encode(message(version, one)))


# -- sizes -----------------------------------------------------------------------------------------------------------


def nested(depth: int) -> Node:
    node = nodes.structure(Tag.ATTRIBUTE_VALUE)
    for _ in range(depth):
        node = nodes.structure(Tag.ATTRIBUTE_VALUE, node)
    return node


def raw_nested(depth: int) -> bytes:
    """What `ttlv.encode` refuses to write: structures within structures, and nothing in the innermost."""
    heads = [Tag.REQUEST_MESSAGE, *[Tag.ATTRIBUTE_VALUE] * depth]
    numbers = ((tag << 8 | nodes.STRUCTURE, 8 * (depth - at)) for at, tag in enumerate(heads))
    return b"".join(number.to_bytes(4, "big") for pair in numbers for number in pair)


def test_sizes_at_the_edge(loopback: Loopback) -> None:
    """Class 2: deep, wide, long and many; the answer is never larger than the client allows."""
    client = loopback.connect()
    discover = item("DiscoverVersions")
    check(client, ttlv.encode(message((1, 4), *[discover] * BATCH_COUNT_MAX)))
    check(client, ttlv.encode(message((1, 4), *[discover] * (BATCH_COUNT_MAX + 1))))
    check(client, ttlv.encode(message((1, 4), discover, count=2**31 - 1)))
    check(client, ttlv.encode(message((1, 4), item("Query", *query("QueryOperations") * 60_000))))
    check(client, ttlv.encode(message((1, 4), item("Get", nodes.text(Tag.UNIQUE_IDENTIFIER, "x" * 1_000_000)))))
    check(client, ttlv.encode(message((1, 4), item("Locate", nested(20)))))
    check(client, raw_nested(130_000))
    check(client, raw_nested(40))


@pytest.mark.parametrize("limit", [1, 7, 64, 300])
def test_answers_fit_what_the_client_can_take(loopback: Loopback, corpus: list[bytes], limit: int) -> None:
    """As far as an answer can be that small: an error has a smallest size, and it is told rather than nothing."""
    header = [nodes.integer(Tag.MAXIMUM_RESPONSE_SIZE, limit)]
    for version in VERSIONS:
        sent = ttlv.encode(message(version, item("Query", *query("QueryOperations", "QueryObjects")), header=header))
        assert len(loopback.connect().send(sent)) <= max(limit, 400)


# -- the node --------------------------------------------------------------------------------------------------------


def test_a_node_lives_through_spoiled_messages(node: DevNode, corpus: list[bytes]) -> None:
    """The same over TLS: every connection is answered or closed, the process stays the same, nothing of ours fails."""
    keys = process(node).pid
    context = node.client().context()
    for number, good in enumerate(corpus):
        start, _ = list(places(good))[1 + number % 5]
        spoiled = bytearray(good)
        spoiled[start + 3 + number % 5] ^= 1 << number % 8
        with secure(node, context) as connection, contextlib.suppress(OSError):
            connection.sendall(bytes(spoiled) + good)
            answered = reply(connection)
            assert not answered or is_message(answered)
    assert is_served(node)
    assert process(node).pid == keys
    assert "Traceback" not in said(node)


def again_from_source(test: str) -> None:
    """Run a test in a process of its own: compiled code does not tell which lines it reaches."""
    environment = {**os.environ, acceleration.VARIABLE: "off"}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", test]
    told = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=115)
    assert told.returncode == 0, told.stdout


def test_coverage_guided_fuzzing_finds_nothing(loopback: Loopback, corpus: list[bytes]) -> None:
    """Class 2: inputs that reach new lines of the codec, the translation and the session are spoiled further."""
    if acceleration.compiled() and os.environ.get(acceleration.VARIABLE) != "off":
        again_from_source(f"{__file__}::test_coverage_guided_fuzzing_finds_nothing")
        return

    def run(data: bytes) -> None:
        loopback.objects.refresh()
        check(loopback.connect(), data)

    seed = "the same in every run" if os.environ.get("CI") == "true" else os.urandom(8).hex()
    print(f"seed of this exploration: {seed}")  # shown when it finds something
    by_seeds_count, in_the_end_count = explore(
        run, corpus, Path(kmip.__path__[0]), runs_count=1_200, random=Random(seed)
    )
    assert in_the_end_count > by_seeds_count * 1.1, "the fuzzer gets further than its seeds"
