"""One throw-away node with the web door, and its administrator."""

from collections.abc import Callable, Iterator

import pytest

from keystead.core.permission import ACCESS_CONTROLS
from tests.support.dev_node import DevNode
from tests.support.rest.client import Rest, administrator, stranger

FIRST, SECOND = "Violet-Kettle-93-Harbour", "Copper-Meadow-41-Lantern"


@pytest.fixture(scope="package")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    made = DevNode(tmp_path_factory.mktemp("rest"), web=True)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="package")
def nobody(node: DevNode) -> Rest:
    return stranger(node)


@pytest.fixture(scope="package")
def admin(node: DevNode) -> Rest:
    return administrator(node)


@pytest.fixture(scope="package")
def somebody(admin: Rest, nobody: Rest) -> Callable[..., Rest]:
    """Makes an administrator with some access controls, and logs in as them."""
    numbers = iter(range(1, 1000))

    def make(*access: str, name: str = "") -> Rest:
        named = name or f"person{next(numbers)}"
        given = [*access, "admin_web"]
        admin.told("POST", "/administrators", {"name": named, "password": FIRST, "access": given})
        session = nobody.logged_in(named, FIRST)
        session.told("PUT", "/session/password", {"current": FIRST, "new": SECOND})
        return session

    return make


@pytest.fixture(scope="package")
def token_with(admin: Rest) -> Callable[..., Rest]:
    """Makes an API token of the administrator with some scopes."""

    def make(*scopes: str) -> Rest:
        made = admin.told("POST", "/api-tokens", {"label": "test", "scopes": list(scopes)})
        return admin.as_token(made["token"])

    return make


SCOPES = tuple(name for name in ACCESS_CONTROLS if name not in {"admin_web", "admin_ssh"})
