"""Whatever a client sends is answered exactly once with a message, or ends the connection; nothing is ever raised.

Messages are damaged where it hurts: fields dropped, doubled, moved, of other types and tags, with extreme numbers,
and bytes changed below all that.
"""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.core.errors import Invalid
from keystead.protocols.kmip.wire import nodes, ttlv
from keystead.protocols.kmip.wire.names import VERSIONS, enum_value, unavailable_tags
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import TAGS, Tag
from tests.support.kmip_loopback import Connection, Loopback
from tests.support.kmip_requests import (
    aes,
    answers,
    attribute,
    item,
    message,
    name_value,
    query,
    spoken_version,
    target,
    text_attribute,
    version_node,
)
from tests.support.kmip_trees import VALUES, damaged, leaves

Path = tuple[int, ...]

KNOWN_TAGS = st.sampled_from(sorted(TAGS))
EXTREMES = st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63), 7, 4, 3])


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with Loopback(tmp_path_factory.mktemp("fuzz")) as server:
        yield server


@pytest.fixture(scope="module")
def samples(loopback: Loopback) -> list[Node]:
    """Good messages of every operation, in an old, a middling and the newest version, on objects that exist."""
    client = loopback.connect()
    activation = attribute("Activation Date", nodes.date_time(0, 1_000_000))
    (made,) = answers(client.ask(message((1, 4), item("Create", *aes(activation, text_attribute("x-Shelf", "3"))))))
    key = target(made.value(Tag.UNIQUE_IDENTIFIER))
    gcm = nodes.structure(
        Tag.CRYPTOGRAPHIC_PARAMETERS,
        nodes.enumeration(Tag.BLOCK_CIPHER_MODE, enum_value("BlockCipherMode", "GCM")),
        nodes.boolean(Tag.RANDOM_IV, value=True),
        nodes.integer(Tag.TAG_LENGTH, 16),
    )
    reason = nodes.structure(Tag.REVOCATION_REASON, nodes.enumeration(Tag.REVOCATION_REASON_CODE, 1))
    vendor = nodes.structure(
        Tag.ATTRIBUTE,
        nodes.text(Tag.VENDOR_IDENTIFICATION, "x"),
        nodes.text(Tag.ATTRIBUTE_NAME, "Shelf"),
        nodes.text(Tag.ATTRIBUTE_VALUE, "4"),
    )
    items_1 = [
        item("Create", *aes(attribute("Name", name_value("fuzz")))),
        item("Register", *_secret()),
        item("Get", key, nodes.enumeration(Tag.KEY_FORMAT_TYPE, 1)),
        item("GetAttributes", key, nodes.text(Tag.ATTRIBUTE_NAME, "State")),
        item("GetAttributeList", key),
        item("Locate", nodes.integer(Tag.MAXIMUM_ITEMS, 2), attribute("Name", name_value("fuzz"))),
        item("AddAttribute", key, text_attribute("x-Row", "1")),
        item("ModifyAttribute", key, text_attribute("x-Shelf", "5")),
        item("DeleteAttribute", key, nodes.text(Tag.ATTRIBUTE_NAME, "x-Row")),
        item("Activate", key),
        item("Query", *query("QueryOperations", "QueryServerInformation")),
    ]
    items_2 = [
        item("Encrypt", key, gcm, nodes.byte_string(Tag.DATA, b"clear")),
        item("Decrypt", key, gcm, nodes.byte_string(Tag.DATA, b"dark"), nodes.byte_string(Tag.IV_COUNTER_NONCE, b"1")),
        item("AddAttribute", key, nodes.structure(Tag.NEW_ATTRIBUTE, vendor)),
        item("ModifyAttribute", key, nodes.structure(Tag.NEW_ATTRIBUTE, vendor)),
        item("SetAttribute", key, nodes.structure(Tag.NEW_ATTRIBUTE, nodes.text(Tag.COMMENT, "new"))),
        item("GetAttributes", key, nodes.enumeration(Tag.ATTRIBUTE_REFERENCE, Tag.STATE)),
        item("Locate", nodes.structure(Tag.ATTRIBUTES, name_value("fuzz"))),
        item("DiscoverVersions", version_node((2, 1))),
        item("Revoke", target("unknown"), reason, nodes.date_time(Tag.COMPROMISE_OCCURRENCE_DATE, 6)),
        item("Destroy", target("unknown")),
    ]
    limit = nodes.integer(Tag.MAXIMUM_RESPONSE_SIZE, 4096)
    go_on = nodes.enumeration(Tag.BATCH_ERROR_CONTINUATION_OPTION, 1)
    return [
        *(message((1, 0), one) for one in items_1),
        *(message((2, 1), one, header=[limit]) for one in items_2),
        message((1, 4), *items_1, header=[limit, go_on]),
        message((2, 1), *items_2, header=[go_on]),
    ]


def _secret() -> tuple[Node, ...]:
    block = nodes.structure(
        Tag.KEY_BLOCK,
        nodes.enumeration(Tag.KEY_FORMAT_TYPE, 2),
        nodes.structure(Tag.KEY_VALUE, nodes.byte_string(Tag.KEY_MATERIAL, b"canary secret")),
    )
    return (
        nodes.enumeration(Tag.OBJECT_TYPE, 7),
        nodes.structure(Tag.TEMPLATE_ATTRIBUTE, attribute("Cryptographic Usage Mask", nodes.integer(0, 2))),
        nodes.structure(Tag.SECRET_DATA, nodes.enumeration(Tag.SECRET_DATA_TYPE, 1), block),
    )


def _paths(node: Node, path: Path = ()) -> Iterator[Path]:
    yield path
    if node[1] == nodes.STRUCTURE:
        for place, child in enumerate(node[2]):
            yield from _paths(child, (*path, place))


def _at(node: Node, path: Path) -> Node:
    for place in path:
        node = node[2][place]
    return node


def _with(node: Node, path: Path, new: list[Node]) -> Node:
    """The tree with the item at `path` replaced by others."""
    place = path[0]
    items = list(node[2])
    items[place : place + 1] = new if len(path) == 1 else [_with(items[place], path[1:], new)]
    return (node[0], node[1], items)


def injuries(tree: Node, paths: list[Path], path: Path) -> st.SearchStrategy[list[Node]]:
    """What may stand in the place of one item: nothing, twice itself, another type, tag or number, another item."""
    tag, kind, value = hurt_item = _at(tree, path)
    strangers = KNOWN_TAGS.flatmap(lambda other: leaves(st.just(other)))
    return st.one_of(
        st.just([]),
        st.just([hurt_item, hurt_item]),
        st.just([(tag, nodes.STRUCTURE, [hurt_item])]),
        leaves(st.just(tag)).map(lambda leaf: [leaf]),
        KNOWN_TAGS.map(lambda other: [(other, kind, value)]),
        strangers.map(lambda stranger: [hurt_item, stranger]),
        (EXTREMES if kind in VALUES else st.just(value)).map(lambda other: [(tag, kind, other)]),
        st.sampled_from(paths).map(lambda other: [_at(tree, other)]),
    )


@st.composite
def hurt(draw: st.DrawFn, tree: Node) -> Node:
    """The tree with one to four structural injuries; not always one that can be encoded."""
    for _ in range(draw(st.integers(1, 4))):
        paths = [path for path in _paths(tree) if path]
        if not paths:
            break
        path = draw(st.sampled_from(paths))
        new = draw(injuries(tree, paths, path))
        tree = _with(tree, path, new)
    return tree


def check(client: Connection, data: bytes) -> None:
    """Send bytes; whole messages are answered once each, and the answers speak a version that there is."""
    for whole in client.session.messages(data):
        said: list[bytes] = []
        client.session.handle(whole, said.append)
        (answer,) = said
        response = ttlv.decode(answer)
        told = answers(response)
        assert told
        assert not [one for one in told if "internal" in one.text], "a handler failed for a reason of ours"
        version = spoken_version(response)
        assert version in VERSIONS
        assert not unavailable_tags(response, version)
    failure = client.session.failure
    if failure is not None:
        assert answers(ttlv.decode(client.session.refuse(failure)))


@settings(max_examples=250)
@given(st.data())
def test_damaged_trees(loopback: Loopback, samples: list[Node], data: st.DataObject) -> None:
    tree = data.draw(hurt(data.draw(st.sampled_from(samples))))
    try:
        encoded = ttlv.encode((Tag.REQUEST_MESSAGE, nodes.STRUCTURE, tree[2]))
    except (Invalid, TypeError, AttributeError):
        return  # a value that no TTLV can hold
    loopback.objects.refresh()
    check(loopback.connect(), encoded)


@settings(max_examples=400)
@given(st.data())
def test_damaged_bytes(loopback: Loopback, samples: list[Node], data: st.DataObject) -> None:
    encoded = ttlv.encode(data.draw(st.sampled_from(samples)))
    broken = data.draw(damaged(encoded))
    loopback.objects.refresh()
    check(loopback.connect(), broken + encoded)


@settings(max_examples=100)
@given(st.binary(max_size=200), st.integers(1, 64))
def test_any_bytes_in_any_pieces(loopback: Loopback, noise: bytes, piece: int) -> None:
    client = loopback.connect()
    good = ttlv.encode(message((1, 4), item("Query", *query("QueryOperations"))))
    for start in range(0, len(good + noise), piece):
        check(client, (good + noise)[start : start + piece])


def test_the_samples_are_good(loopback: Loopback, samples: list[Node]) -> None:
    """Or the injuries above would all be the same one."""
    told = [answer.reason for sample in samples for answer in answers(loopback.connect().ask(sample))]
    assert told.count("") > len(told) // 2
    assert not {"InvalidMessage", "OperationNotSupported", "FeatureNotSupported"} & set(told)


def test_no_secret_of_a_damaged_message_is_logged(loopback: Loopback) -> None:
    assert b"canary" not in loopback.log_file.read_bytes()
