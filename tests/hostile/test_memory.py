"""What clients attach to their objects does not fill the memory of the node.

Attack classes 2 and 6: a cache that strangers fill is bounded by what is in it, not only by how many.
"""

from pathlib import Path

import pytest

from keystead.gate import objects
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.tags_table import Tag
from tests.support.kmip_loopback import Connection, Loopback
from tests.support.kmip_requests import aes, answers, item, message, target, text_attribute

BYTES_MAX = 2_000_000
HEAVY_COUNT = 20


def made(client: Connection, *further: nodes.Node) -> str:
    (answer,) = answers(client.ask(message((1, 4), item("Create", *aes(*further)))))
    assert not answer.reason, answer.text
    return str(answer.value(Tag.UNIQUE_IDENTIFIER))


def test_heavy_objects_take_no_more_than_their_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "ENTRIES_BYTES_MAX", BYTES_MAX)
    with Loopback(tmp_path) as server:
        client = server.connect()
        keys = [made(client)]
        keys += [made(client, *heavy()) for _ in range(HEAVY_COUNT)]
        for _ in range(2):
            for key in keys:
                (told,) = answers(client.ask(message((1, 4), item("GetAttributes", target(key)))))
                assert not told.reason
                assert 0 < server.objects.held_bytes <= BYTES_MAX
        (told,) = answers(client.ask(message((1, 4), item("Destroy", target(keys[-1])))))
        assert not told.reason
        server.objects.refresh()
        assert server.objects.held_bytes <= BYTES_MAX


def heavy() -> list[nodes.Node]:
    """Ten attributes of ten thousand characters."""
    return [text_attribute(f"x-{number}", "heavy " * 1_700) for number in range(10)]


def test_what_is_forgotten_is_no_longer_counted(tmp_path: Path) -> None:
    with Loopback(tmp_path) as server:
        client = server.connect()
        key = made(client, *heavy())
        client.ask(message((1, 4), item("GetAttributes", target(key))))
        held_bytes = server.objects.held_bytes
        for number in range(5):
            client.ask(message((1, 4), item("AddAttribute", target(key), text_attribute(f"x-more-{number}", "1"))))
            client.ask(message((1, 4), item("GetAttributes", target(key))))
        assert held_bytes < server.objects.held_bytes < 1.1 * held_bytes
