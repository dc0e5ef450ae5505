"""The cache learns from repetition, stays within its bounds and is no lever for a client that never repeats itself."""

import random
import tracemalloc

from keystead.protocols.kmip.wire import nodes, shape_cache
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.shape_cache import ShapeCache
from keystead.protocols.kmip.wire.shapes import Freedom, Shape
from keystead.protocols.kmip.wire.tags_table import Tag
from keystead.protocols.kmip.wire.ttlv import encode
from tests.support import kmip_samples
from tests.support.kmip_samples import FREE, PAYLOAD


class Learner:
    """A session as the cache sees it: reads the tree when no shape serves, then offers the message."""

    def __init__(self) -> None:
        self.cache: ShapeCache[str] = ShapeCache(FREE)
        self.made = 0
        self.served = 0

    def receive(self, tree: Node, builder: str | None = "builder") -> str | None:
        message = encode(tree)
        found = self.cache.match(message)
        if found is not None:
            self.served += 1
            return found[0]

        def make(shape: Shape) -> str | None:
            self.made += 1
            return builder

        self.cache.learn(message, make)
        return None


def get(length: int = 36, version: tuple[int, int] = (1, 4)) -> Node:
    return kmip_samples.request("Get", kmip_samples.unique_identifier("a" * length), version=version)


def test_the_third_message_of_a_kind_is_served() -> None:
    learner = Learner()
    assert [learner.receive(get(), "first") for _ in range(4)] == [None, None, "first", "first"]
    assert [learner.receive(kmip_samples.encrypt_request(bytes(size)), "second") for size in (1, 2, 3, 900)] == [
        None,
        None,
        "second",
        "second",
    ]
    assert learner.receive(get()) == "first"


def test_values_come_with_the_builder() -> None:
    learner = Learner()
    for _ in range(2):
        learner.receive(get())
    assert learner.cache.match(encode(get())) == ("builder", ["a" * 36])


def test_a_shape_without_builder_is_forgotten() -> None:
    learner = Learner()
    for _ in range(10):
        assert learner.receive(get(), None) is None
    assert learner.cache.shape_count == 0


def test_messages_of_one_kind_have_few_alternatives() -> None:
    learner = Learner()
    for length in range(1, 12):
        for _ in range(2):
            learner.receive(get(length))
    assert learner.cache.shape_count == shape_cache.ALTERNATIVES_MAX


def test_what_is_used_outlasts_what_is_not() -> None:
    learner = Learner()
    for _ in range(3):
        learner.receive(get(), "honest")
    for length in range(37, 90):
        for _ in range(3):
            learner.receive(get(length), "other")
        assert learner.receive(get()) == "honest"


def test_large_and_tiny_messages_are_left_alone() -> None:
    learner = Learner()
    for _ in range(4):
        assert learner.receive(kmip_samples.encrypt_request(bytes(shape_cache.MESSAGE_BYTES_MAX))) is None
    assert learner.made == 0
    for size in range(shape_cache.MESSAGE_BYTES_MIN + 8):
        assert learner.cache.match(bytes(size)) is None
        assert learner.cache.match(b"\xff" * size) is None


def test_a_client_that_never_repeats_itself_is_bounded() -> None:
    learner = Learner()
    chance = random.Random(7)
    sent = 8_000
    tracemalloc.start()
    for _ in range(sent // 2):
        version = (chance.randrange(1 << 20), chance.randrange(1 << 20))
        tree = get(chance.randrange(1, 500), version)
        learner.receive(tree)
        learner.receive(tree)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert learner.made <= shape_cache.SHAPES_AHEAD + sent // shape_cache.MISSES_PER_SHAPE + 1
    assert learner.cache.shape_count <= shape_cache.SHAPES_MAX
    assert held < 2 << 20


def test_kinds_that_come_once_are_not_all_remembered() -> None:
    learner = Learner()
    tracemalloc.start()
    for number in range(20 * shape_cache.KINDS_SEEN_MAX):
        learner.receive(get(version=(1, number)))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert learner.made == 0
    assert held < 512 << 10


def test_room_is_made_when_all_shapes_are_taken() -> None:
    learner = Learner()
    for number in range(shape_cache.SHAPES_MAX + 40):
        for _ in range(shape_cache.MISSES_PER_SHAPE + 1):
            learner.receive(get(version=(1, number)), str(number))
    assert learner.cache.shape_count == shape_cache.SHAPES_MAX
    assert learner.receive(get(version=(1, shape_cache.SHAPES_MAX + 39))) == str(shape_cache.SHAPES_MAX + 39)


def test_a_free_operation_is_no_reason_to_mix_kinds() -> None:
    cache: ShapeCache[str] = ShapeCache({(*PAYLOAD, Tag.UNIQUE_IDENTIFIER): Freedom.VALUE})
    learned = encode(get())
    for _ in range(2):
        cache.learn(learned, lambda _: "Get")
    destroy = encode(kmip_samples.request("Destroy", nodes.text(Tag.UNIQUE_IDENTIFIER, "a" * 36)))
    assert cache.match(learned) is not None
    assert cache.match(destroy) is None
