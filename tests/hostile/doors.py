"""The local door of a running node, as its administrator uses it."""

from typing import Any

from keystead.node.folder import read_config, unix_address
from keystead.protocols.local.client import ask
from tests.support.dev_node import DevNode


def at_door(node: DevNode, operation: str, **fields: Any) -> Any:
    """Run one operation at the door."""
    return ask(unix_address(read_config(node.data).local_socket), operation, **fields)


def change_setting(node: DevNode, section: str, field: str, value: bool | int | str) -> None:
    """Change a setting of a running node."""
    at_door(node, "settings.change", section=section, field=field, value=value)
