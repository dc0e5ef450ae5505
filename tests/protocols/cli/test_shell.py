"""The conversation without SSH: whatever somebody types, there is a result, and nothing raw in it."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystead.core.permission import EVERY_ACCESS, Principal
from keystead.core.secret import Secret
from keystead.protocols.asking import Asker
from keystead.protocols.cli.commands import commands
from keystead.protocols.cli.shell import Interrupted, Shell
from keystead.protocols.rest.entrance import Caller
from tests.support.builders import Node, a_node

OLGA = Principal("administrator", "olga", access=EVERY_ACCESS, address="192.0.2.3")
HOSTILE = [
    "",
    "-",
    "--yes",
    "alice",
    "a,b",
    "\x1b]0;x\x07",
    "1" * 17,
    "no",
    "all",
    "encrypt",
    "=",
    "'",
    "\ud800",
    "\x00",
]


class Scripted:
    """A terminal at which answers are typed in order."""

    def __init__(self, *answers: str, is_interactive: bool = True) -> None:
        self.is_interactive = is_interactive
        self.height = 24
        self._answers = iter(answers)
        self.shown: list[str] = []
        self.errors: list[str] = []
        self.hidden: list[str] = []

    async def read(self, prompt: str, *, hidden: bool = False) -> str:
        if hidden:
            self.hidden.append(prompt)
        self.shown.append(prompt)
        answer = next(self._answers, None)
        if answer is None:
            raise EOFError
        if answer == "\x03":
            raise Interrupted
        return answer

    async def key(self, prompt: str) -> str:
        self.shown.append(prompt)
        return " "

    async def write(self, lines: list[str], *, is_error: bool = False) -> None:
        (self.errors if is_error else self.shown).extend(lines)


class Olga:
    """Somebody who has logged in and may do everything."""

    def caller(self) -> Caller:
        return Caller(OLGA)

    async def change_password(self, caller: Caller, current: Secret, new: Secret) -> None:
        raise AssertionError(caller, current, new)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with a_node(tmp_path_factory.mktemp("shell")) as made:
        yield made


def run(node: Node, line: str, terminal: Scripted) -> int:
    shell = Shell(Asker(node.gate, (node.objects.refresh, lambda: None)), Olga(), terminal, "host")
    return asyncio.run(shell.execute(line))


WORDS = st.sampled_from([command.name for command in commands().values() if command.name != "password"])
ARGUMENT = st.sampled_from(HOSTILE) | st.text(max_size=12)
OPTION = st.sampled_from(
    ["--groups", "--user", "--after", "--since", "--rights", "--days", "--reason", "--certificate"]
)
ARGUMENTS = st.lists(ARGUMENT | OPTION, max_size=5).map(" ".join)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(WORDS, ARGUMENTS, st.lists(ARGUMENT | st.just("\x03"), max_size=4), st.booleans())
def test_every_line_has_an_end(
    node: Node, words: str, arguments: str, answers: list[str], is_interactive: bool
) -> None:
    terminal = Scripted(*answers, is_interactive=is_interactive)
    assert run(node, f"config {words} {arguments}", terminal) in (0, 1, 2)
    assert all(line.isprintable() for line in terminal.shown + terminal.errors)


def test_secrets_are_asked_for_twice_and_hidden(node: Node) -> None:
    terminal = Scripted("telescope-dragon-7", "telescope-dragon-8")
    assert run(node, "config administrator create paul", terminal) == 1
    assert terminal.hidden == ["New password: ", "Once more: "]
    assert "the two differ" in terminal.errors[-1]
    assert run(node, "config administrator create paul", Scripted("telescope-dragon-7", "telescope-dragon-7")) == 0


def test_who_confirms_by_another_name_deletes_nothing(node: Node) -> None:
    run(node, "config administrator create rosa", Scripted("telescope-dragon-7", "telescope-dragon-7"))
    assert run(node, "config administrator delete rosa", Scripted("paul")) == 1
    assert run(node, "config administrator delete rosa", Scripted("\x03")) == 1
    assert run(node, "show administrator rosa", Scripted()) == 0
    assert run(node, "config administrator delete rosa", Scripted("rosa")) == 0
    assert run(node, "show administrator rosa", Scripted()) == 1


def test_long_lists_are_shown_to_the_end(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        assert run(node, f"config user create u{number}", Scripted()) == 0
    monkeypatch.setattr("keystead.operations.users.USERS_LISTED_COUNT_MAX", 2)
    terminal = Scripted()
    assert run(node, "show users", terminal) == 0
    assert [line.split()[0] for line in terminal.shown if line.startswith("u")] == [f"u{number}" for number in range(5)]
