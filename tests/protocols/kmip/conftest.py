"""A server without sockets for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kmip_loopback import Connection, Loopback


@pytest.fixture
def loopback(tmp_path: Path) -> Iterator[Loopback]:
    with Loopback(tmp_path) as server:
        yield server


@pytest.fixture
def alice(loopback: Loopback) -> Connection:
    return loopback.connect()
