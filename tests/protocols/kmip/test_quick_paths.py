"""The quick paths mean what the generic path means: equal requests, equal bytes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.attributes import Attribute, ItemType, Value
from keystead.core.permission import Switches
from keystead.core.secret import Secret
from keystead.gate.call import Reply
from keystead.operations.requests import Create, Created, Decrypted, Encrypted, Got, KeyBlock, Located
from keystead.protocols.kmip.messages import read_message, write_message
from keystead.protocols.kmip.quick_paths import LOCATED_COUNT_MAX, TEMPLATES_PER_SHAPE_MAX, QuickPath, QuickPaths
from keystead.protocols.kmip.wire import nodes, ttlv
from keystead.protocols.kmip.wire.names import VERSIONS
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag, Version
from tests.support.held import held_by
from tests.support.kmip_loopback import Connection, Loopback
from tests.support.kmip_requests import aes, answers, attribute, item, message, name_value, target, text_attribute

SWITCHES = Switches()
OPERATIONS = ("Create", "Locate", "Get", "Encrypt", "Decrypt")
BYTES = st.binary(max_size=70)
IDS = st.text(min_size=1, max_size=20)
FORMATS = st.sampled_from([1, 2, 7])
OBJECT_TYPES = st.sampled_from([1, 2, 4, 7, 8])
NUMBERS = st.integers(0, 300)

SECONDS, CORRELATION = 1_700_000_000, b"0badf00d-77"


@st.composite
def requests(draw: st.DrawFn) -> Node:
    """Messages of the operations, with all their fields now and then."""
    operation = draw(st.sampled_from(OPERATIONS))
    version = draw(st.sampled_from([v for v in VERSIONS if operation not in ("Encrypt", "Decrypt") or v >= (1, 2)]))
    payload = [] if operation in ("Create", "Locate") else [target(draw(IDS))]
    if operation in ("Create", "Locate"):
        payload += _about(operation, version, draw(st.lists(IDS, max_size=1)), draw(st.booleans()))
    elif operation == "Get":
        payload += draw(optional(st.just(nodes.enumeration(Tag.KEY_FORMAT_TYPE, 1))))
    else:
        mode = nodes.structure(
            Tag.CRYPTOGRAPHIC_PARAMETERS,
            nodes.enumeration(Tag.BLOCK_CIPHER_MODE, draw(st.sampled_from([1, 2, 9]))),
            nodes.boolean(Tag.RANDOM_IV, value=draw(st.booleans())),
        )
        payload += draw(optional(st.just(mode)))
        payload.append(nodes.byte_string(Tag.DATA, draw(BYTES)))
        payload += draw(optional(BYTES.map(lambda iv: nodes.byte_string(Tag.IV_COUNTER_NONCE, iv))))
        if version >= (1, 4):
            payload += draw(optional(BYTES.map(_additional)))
            if operation == "Decrypt":
                payload += draw(
                    optional(BYTES.map(lambda tag: nodes.byte_string(Tag.AUTHENTICATED_ENCRYPTION_TAG, tag)))
                )
    header = draw(optional(st.integers(300, 5000).map(lambda size: nodes.integer(Tag.MAXIMUM_RESPONSE_SIZE, size))))
    if version >= (1, 4):
        header += draw(optional(IDS.map(lambda text: nodes.text(Tag.CLIENT_CORRELATION_VALUE, text))))
    header += draw(optional(st.integers(0, 2**33).map(lambda at: nodes.date_time(Tag.TIME_STAMP, at))))
    batch_id = draw(st.one_of(st.none(), BYTES))
    return message(version, item(operation, *payload, batch_id=batch_id), header=header)


def _about(operation: str, version: Version, names: list[str], is_grouped: bool) -> list[Node]:
    """Attributes of a new object, or conditions of a search."""
    if version < (2, 0):
        given = [attribute("Name", name_value(name)) for name in names]
        given += [text_attribute("Object Group", "disks")] if is_grouped else []
        return [*aes(*given)] if operation == "Create" else given
    listed = [nodes.enumeration(Tag.CRYPTOGRAPHIC_ALGORITHM, 3), *map(name_value, names)]
    listed += [nodes.text(Tag.OBJECT_GROUP, "disks")] if is_grouped else []
    whole = nodes.structure(Tag.ATTRIBUTES, *listed)
    return [nodes.enumeration(Tag.OBJECT_TYPE, 2), whole] if operation == "Create" else [whole]


def _tag(data: bytes) -> Node:
    return nodes.byte_string(Tag.AUTHENTICATED_ENCRYPTION_TAG, data)


def _additional(data: bytes) -> Node:
    return nodes.byte_string(Tag.AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA, data)


def optional(node: st.SearchStrategy[Node]) -> st.SearchStrategy[list[Node]]:
    return st.one_of(st.just([]), node.map(lambda one: [one]))


@st.composite
def results(draw: st.DrawFn, operation: str) -> Any:
    """What the gate may answer."""
    identifier = draw(IDS)
    if operation == "Get":
        block = KeyBlock(draw(FORMATS), Secret(draw(BYTES)), draw(NUMBERS), draw(NUMBERS), draw(NUMBERS))
        return Got(identifier, draw(OBJECT_TYPES), block)
    if operation == "Create":
        implicit = (Attribute("Cryptographic Length", 0, Value(ItemType.INTEGER, 256)),)
        return Created(identifier, draw(OBJECT_TYPES), draw(st.sampled_from([(), implicit])))
    if operation == "Locate":
        ids = draw(st.lists(IDS, max_size=LOCATED_COUNT_MAX))
        return Located(tuple(ids), draw(st.sampled_from([None, len(ids), 70_000])))
    if operation == "Encrypt":
        return Encrypted(identifier, draw(BYTES), draw(st.none() | BYTES), draw(st.none() | BYTES))
    return Decrypted(identifier, draw(BYTES))


def changed(draw: st.DrawFn, tree: Node) -> Node:
    """The same message with other values of the same lengths in some leaves, and data of any length."""
    tag, kind, value = tree
    if kind == nodes.STRUCTURE:
        return (tag, kind, [changed(draw, child) for child in value])
    if tag == Tag.DATA:
        return (tag, kind, draw(BYTES))
    if tag == Tag.NAME_VALUE:
        return (tag, kind, draw(st.text(max_size=30)))
    if tag in (Tag.ATTRIBUTE_NAME, Tag.OBJECT_GROUP):
        return tree
    if kind == nodes.BYTE_STRING:
        return (tag, kind, draw(st.binary(min_size=len(value), max_size=len(value))))
    if kind == nodes.TEXT_STRING and value.isascii():
        return (tag, kind, draw(st.text(st.characters(codec="ascii"), min_size=len(value), max_size=len(value))))
    return tree


def learned(data: bytes) -> tuple[QuickPath, list[Any]] | None:
    """The quick path of a message, after one like it came twice."""
    paths = QuickPaths()
    for _ in range(2):
        assert paths.match(data) is None
        paths.learn(data, read_message(data, SWITCHES, "alice"))
    return paths.match(data)


@given(st.data())
def test_a_known_shape_gives_the_request_of_the_generic_path(data: st.DataObject) -> None:
    tree = data.draw(requests())
    encoded = ttlv.encode(tree)
    paths = QuickPaths()
    for _ in range(2):
        paths.learn(encoded, read_message(encoded, SWITCHES, "alice"))
    other = ttlv.encode(data.draw(st.composite(changed)(tree)))
    hits = 0
    for sent in (encoded, other):
        found = paths.match(sent)
        incoming = read_message(sent, SWITCHES, "alice")
        if found is not None:
            path, values = found
            hits += 1
            meant = path.request(values)
            if isinstance(meant, Create):
                assert meant.is_like_others
                meant = meant._replace(is_like_others=False)
            assert meant == incoming.items[0].request
            mine = path.incoming(values)
            assert (mine.dialect, mine.response_bytes_max) == (incoming.dialect, incoming.response_bytes_max)
            assert mine.items[0][:2] == incoming.items[0][:2]
    assert hits


@given(st.data())
def test_a_template_gives_the_answer_of_the_generic_path(data: st.DataObject) -> None:
    tree = data.draw(requests())
    encoded = ttlv.encode(tree)
    found = learned(encoded)
    assert found is not None
    path, values = found
    incoming = read_message(encoded, SWITCHES, "alice")
    operation = {1: "Create", 8: "Locate", 10: "Get", 31: "Encrypt", 32: "Decrypt"}[path.operation or 0]
    for result in data.draw(st.lists(results(operation), min_size=1, max_size=4)):
        quick = path.answer(values, result, SECONDS, CORRELATION)
        generic = write_message(incoming, [Reply(result)], SECONDS, CORRELATION.decode())
        if quick is None:  # too large for the client: the generic path says so
            assert answers(ttlv.decode(generic))[0].reason == "ResponseTooLarge"
        else:
            assert quick == generic


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_key_without_a_template_is_left_to_the_generic_path(version: Version) -> None:
    found = learned(ttlv.encode(message(version, item("Get", target("a" * 36)))))
    assert found is not None
    path, values = found
    transparent = Got("a", 4, KeyBlock(10, Secret(ttlv.encode(nodes.structure(Tag.KEY_MATERIAL)))))
    for result in (transparent, Got("a", 6, None)):
        assert path.answer(values, result, SECONDS, CORRELATION) is None


def test_the_number_of_templates_is_bounded() -> None:
    found = learned(ttlv.encode(message((1, 0), item("Get", target("a" * 36)))))
    assert found is not None
    path, values = found
    told = [
        path.answer(values, Got("a", 2, KeyBlock(1, Secret(b"k"), 3, bits)), SECONDS, CORRELATION)
        for bits in range(2 * TEMPLATES_PER_SHAPE_MAX)
    ]
    assert [one is None for one in told] == [False] * TEMPLATES_PER_SHAPE_MAX + [True] * TEMPLATES_PER_SHAPE_MAX


@pytest.mark.parametrize(
    "tree",
    [
        message((1, 0), item("Get")),
        message((2, 0), item("Get", nodes.enumeration(Tag.UNIQUE_IDENTIFIER, 1))),
        message((1, 0), item("Get", target("a" * 36)), item("Get", target("b" * 36))),
        message((1, 0), item("GetAttributes", target("a" * 36))),
        message((1, 0), item("Get", target("a" * 36), nodes.integer(Tag.KEY_FORMAT_TYPE, 1))),
        message((1, 0), item("Create", *aes(*[attribute("Name", name_value(name)) for name in ("a", "b")]))),
        message(
            (1, 0),
            item("Get", target("a" * 36)),
            header=[
                nodes.structure(
                    Tag.AUTHENTICATION,
                    nodes.structure(
                        Tag.CREDENTIAL,
                        nodes.enumeration(Tag.CREDENTIAL_TYPE, 1),
                        nodes.structure(Tag.CREDENTIAL_VALUE, nodes.text(Tag.USERNAME, "alice")),
                    ),
                )
            ],
        ),
    ],
    ids=["placeholder", "placeholder by name", "batch", "another operation", "unreadable", "two names", "credentials"],
)
def test_what_is_not_learned(tree: Node) -> None:
    encoded = ttlv.encode(tree)
    paths = QuickPaths()
    for _ in range(4):
        paths.learn(encoded, read_message(encoded, SWITCHES, "alice"))
        assert paths.match(encoded) is None


def test_nothing_of_the_first_messages_is_kept() -> None:
    canary = b"canary-clear-text-5b1f"
    encoded = ttlv.encode(message((1, 2), item("Encrypt", target("a" * 36), nodes.byte_string(Tag.DATA, canary))))
    found = learned(encoded)
    assert found is not None
    path, _ = found
    held = held_by(path)
    assert len(held) > 5
    assert canary.decode() not in repr(held)


def test_a_session_uses_what_it_has_learned(alice: Connection, loopback: Loopback) -> None:
    active = attribute("Activation Date", nodes.date_time(0, 1))
    (made,) = answers(alice.ask(message((1, 4), item("Create", *aes(active)))))
    key = target(made.value(Tag.UNIQUE_IDENTIFIER))
    mode = nodes.structure(Tag.CRYPTOGRAPHIC_PARAMETERS, nodes.enumeration(Tag.BLOCK_CIPHER_MODE, 2))
    asked = [
        message((1, 4), item("Get", key, batch_id=b"1234")),
        message((1, 4), item("Encrypt", key, mode, nodes.byte_string(Tag.DATA, bytes(32)))),
    ]
    for tree in asked:
        generic, second, quick = (alice.ask(tree) for _ in range(3))
        assert loopback.endpoint.quick_paths.match(ttlv.encode(tree)) is not None
        assert generic[2][1:] == second[2][1:] == quick[2][1:]
        (told,) = answers(quick)
        assert not told.reason
    unknown = message((1, 4), item("Get", target("0" * 36), batch_id=b"4321"))
    assert loopback.endpoint.quick_paths.match(ttlv.encode(unknown)) is not None
    (told,) = answers(alice.ask(unknown))
    assert (told.operation, told.batch_id, told.reason) == ("Get", b"4321", "ItemNotFound")


@pytest.mark.parametrize("version", [(1, 2), (2, 0)], ids=str)
def test_keys_made_the_quick_way_are_like_the_first(alice: Connection, loopback: Loopback, version: Version) -> None:
    def creation(name: str) -> Node:
        return message(version, item("Create", *_about("Create", version, [name], is_grouped=True)))

    names = ["one", "two", "three of another length", "four", "four"]
    (mistaken,) = answers(alice.ask(creation("")))
    made = [answers(alice.ask(creation(name)))[0].value(Tag.UNIQUE_IDENTIFIER) for name in names]
    assert loopback.endpoint.quick_paths.match(ttlv.encode(creation("five"))) is not None
    told = [answers(alice.ask(message(version, item("GetAttributes", target(key)))))[0].payload for key in made]
    common = [repr(_common(payload, own)) for payload, *own in zip(told, made, names, strict=True) if payload]
    assert len(common) == 5
    assert len(set(common)) == 1
    assert answers(alice.ask(creation("")))[0][2:4] == mistaken[2:4]
    found = [
        answers(alice.ask(message(version, item("Locate", *_about("Locate", version, [name], is_grouped=True)))))
        for name in ("one", "two", "three of another length", "four", "none")
    ]
    assert [one[0].values(Tag.UNIQUE_IDENTIFIER) for one in found] == [*([key] for key in made[:3]), made[:2:-1], []]


def _common(node: Node, own: list[str]) -> Node:
    """An answer without what differs between any two keys: identifier, Name, digest, dates."""
    tag, kind, value = node
    if kind == nodes.STRUCTURE:
        return (tag, kind, [_common(child, own) for child in value])
    differs = value in own or kind in (nodes.BYTE_STRING, nodes.DATE_TIME)
    return (tag, kind, "own" if differs else value)
