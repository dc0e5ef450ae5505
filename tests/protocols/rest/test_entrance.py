"""What comes between a login and its session."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from keystead.core.errors import Unauthenticated
from keystead.core.secret import Secret
from keystead.gate.sessions import Sessions
from keystead.protocols.asking import Asker
from keystead.protocols.rest.entrance import Entrance
from tests.support.administrators import PASSWORD, add, change, remove
from tests.support.builders import Node, a_node

Deed = Callable[[Node], None]


def log_in(node: Node, between: Deed) -> int:
    """How many sessions there are after a login during which something was done, once the password was judged."""
    sessions = Sessions(lambda: 1.0, lambda: 900.0)
    asker = Asker(node.gate, (node.objects.refresh, lambda: between(node)))  # right after the login is done
    asyncio.run(Entrance(asker, sessions).log_in("olga", Secret(PASSWORD.reveal()), "192.0.2.9"))
    return len(sessions)


def another_password(node: Node) -> None:
    change(node, "olga", password="$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$another")
    node.objects.refresh()


def gone(node: Node) -> None:
    remove(node, "olga")
    node.objects.refresh()


@pytest.mark.parametrize("deed", [another_password, gone])
def test_a_password_that_is_reset_during_a_login_gives_no_session(tmp_path: Path, deed: Deed) -> None:
    with a_node(tmp_path) as node:
        add(node, "olga")
        with pytest.raises(Unauthenticated):
            log_in(node, deed)


def test_a_login_that_nothing_disturbs_gives_one(tmp_path: Path) -> None:
    with a_node(tmp_path) as node:
        add(node, "olga")
        assert log_in(node, lambda _: None) == 1
