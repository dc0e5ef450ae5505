"""Where a node listens: on all interfaces, or on one address and no other."""

import socket
from pathlib import Path

import pytest

from tests.support.dev_node import DevNode

CONNECT_S = 5.0


@pytest.mark.row("KS-KMIP-003")
@pytest.mark.parametrize(("address", "others"), [("127.0.0.2", False), ("0.0.0.0", True)])  # on purpose
def test_the_listening_address_is_one_or_all(tmp_path: Path, address: str, others: bool) -> None:
    node = DevNode(tmp_path, settings=[f"kmip.address={address}"])
    node.start()
    try:
        assert answers("127.0.0.2", node.port)
        assert answers("127.0.0.1", node.port) is others
    finally:
        node.stop()


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except OSError:
        return False
    return True
