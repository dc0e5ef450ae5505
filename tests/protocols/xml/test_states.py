"""What the life-cycle state of a key means to clients of the XML interface: nothing as delivered, or what it says."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostile.doors import at_door
from tests.support.dev_node import DevNode
from tests.support.xml.client import FLAG, Client

CBC = "AES/CBC/PKCS5Padding"


@pytest.fixture
def bound(node: DevNode) -> Iterator[None]:
    """The setting is on during the test."""
    at_door(node, "settings.change", section="xml_server", field="life_cycle_states", value=True)
    yield
    at_door(node, "settings.change", section="xml_server", field="life_cycle_states", value=False)


def key(client: Client, name: str) -> tuple[bytes, str]:
    """A new key, with what it encrypted while it was active and the IV."""
    assert client.ask("KeyGen", KeyName=name, Algorithm="AES", Exportable=FLAG, Deletable=FLAG).ok
    sealed = crypto(client, "ENCRYPT", name, b"before")
    return sealed.data, sealed.text("IV")


def crypto(client: Client, action: str, name: str, data: bytes, **more: Any) -> Any:
    return client.ask("Crypto", data=data, Action=action, KeyName=name, Algorithm=CBC, **more)


@pytest.mark.row("KS-LIFE-008")
@pytest.mark.parametrize("state", ["deactivated", "compromised"])
def test_a_state_binds_nobody_here_and_the_pages_of_keys_say_so(alice: Client, node: DevNode, state: str) -> None:
    name = f"stateless.{state}"
    data, iv = key(alice, name)
    at_door(node, "key.set_state", target=name, state=state)
    assert crypto(alice, "ENCRYPT", name, b"after").ok
    assert crypto(alice, "DECRYPT", name, data, IV=iv).data == b"before"
    shown = at_door(node, "key.show", target=name)
    assert shown["key"]["state"] == state
    assert "does not bind clients of the XML interface" in shown["caution"]


@pytest.mark.usefixtures("bound")
def test_a_server_may_let_states_bind_at_once(alice: Client, node: DevNode) -> None:
    name = "bound"
    data, iv = key(alice, name)
    at_door(node, "key.set_state", target=name, state="deactivated")
    refused = crypto(alice, "ENCRYPT", name, b"after")
    assert not refused.ok
    assert "not active" in refused.text("ErrorDetail")
    assert crypto(alice, "DECRYPT", name, data, IV=iv).data == b"before"
    assert at_door(node, "key.show", target=name)["caution"] == ""


def test_what_is_destroyed_is_used_by_nobody(alice: Client, node: DevNode) -> None:
    name = "gone"
    data, iv = key(alice, name)
    at_door(node, "key.erase", target=name, confirm=name)
    assert not crypto(alice, "DECRYPT", name, data, IV=iv).ok
    assert not crypto(alice, "ENCRYPT", name, b"after").ok
