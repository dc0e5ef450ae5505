"""From lines to commands: what is drawn from the declarations, what is refused, what is completed."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keystead.operations.all  # noqa: F401  # declares every operation
from keystead.gate.operation import REGISTRY
from keystead.protocols.cli.commands import REPLACED, commands
from keystead.protocols.cli.grammar import completed, help_lines, parse
from keystead.protocols.cli.handmade import action_of
from keystead.protocols.cli.text import rendered
from keystead.protocols.cli.words import LINE_CHARACTERS_MAX, NotUnderstood, split
from keystead.protocols.rest.routes import route_of

GROUPS = ["staff", "night"]


def told(line: str) -> tuple[str, dict[str, Any], list[str]]:
    """Command, values and what is asked for."""
    found = parse(split(line))
    return found.command.name, found.values, [field.name for field in found.asked]


def refusal(line: str) -> str:
    with pytest.raises(NotUnderstood) as caught:
        parse(split(line))
    return caught.value.message


def test_every_operation_of_administrators_has_a_command() -> None:
    drawn = {command.declaration.name for command in commands().values() if command.declaration is not None}
    offered = {one.name for one in REGISTRY.values() if route_of(one) is not None}
    assert drawn | REPLACED == offered | REPLACED
    for command in commands().values():
        assert command.declaration is not None or callable(action_of(command))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("show users", ("show users", {}, [])),
        ("show user alice", ("show user", {"name": "alice"}, [])),
        ("user create carol", ("user create", {"name": "carol"}, [])),
        ("user create carol --groups staff,night", ("user create", {"name": "carol", "groups": GROUPS}, [])),
        ("user create --groups=staff,night carol", ("user create", {"name": "carol", "groups": GROUPS}, [])),
        ("user set-groups carol --groups -", ("user set-groups", {"name": "carol", "groups": []}, [])),
        ("user disable carol --disabled no", ("user disable", {"name": "carol", "disabled": False}, [])),
        ("user set-password carol", ("user set-password", {"name": "carol"}, ["password"])),
        ("user set-password carol --no-password", ("user set-password", {"name": "carol", "password": None}, [])),
        ("show settings", ("show settings", {}, [])),
        ("show settings sessions", ("show settings", {"section": "sessions"}, [])),
        ("show authority", ("show authority", {}, [])),
        ('administrator create olga --full-name "Olga O"',
         ("administrator create", {"name": "olga", "full_name": "Olga O"}, ["password"])),
        ("authority install acme", ("authority install", {"name": "acme"}, ["certificate"])),
        ("certificate issue alice --request-pem", ("certificate issue", {"user": "alice"}, ["request_pem"])),
        ("show policies", ("show policies", {}, [])),
        ('policy create office --operations-per-hour 500 --periods "mon 09:00-mon 17:00,tue 09:00-tue 17:00"',
         ("policy create", {"name": "office", "operations_per_hour": 500,
                            "periods": ["mon 09:00-mon 17:00", "tue 09:00-tue 17:00"]}, [])),
        ('policy change office --periods ""', ("policy change", {"name": "office", "periods": []}, [])),
        ("hsm login crypto user", ("hsm login crypto user", {}, [])),
    ],
)  # fmt: skip
def test_lines_that_are_understood(line: str, expected: tuple[str, dict[str, Any], list[str]]) -> None:
    assert told(line) == expected


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("make coffee", "no command"),
        ("show", "goes on"),
        ("hsm login", "goes on"),
        ("user create", "name is missing"),
        ("user create 9lives", "right form"),
        ("user create carol dave", "one word too many"),
        ("user create carol --colour red", "no option"),
        ("user create carol --groups", "needs a value"),
        ("user create carol --groups a --groups b", "stands twice"),
        ("policy create office --operations-per-hour 500000001", "500000000"),
        ("user disable carol --disabled perhaps", "yes or no"),
        ("administrator create olga --password secret", "never typed"),
        ("administrator create olga --access tea", "one of"),
        ("api-token create label --days 9999", "from 1 to 366"),
        ("show audit --since yesterday", "time such as"),
        ("settings change tea cup 1", "one of"),
    ],
)
def test_lines_that_are_not(line: str, says: str) -> None:
    assert says in refusal(line)


@pytest.mark.parametrize("line", ['user create "carol', "a" * (LINE_CHARACTERS_MAX + 1), "show \\"])
def test_lines_that_cannot_be_split(line: str) -> None:
    with pytest.raises(NotUnderstood):
        split(line)


@pytest.mark.parametrize(
    ("line", "longer", "candidates"),
    [
        ("sho", "show ", ["show"]),
        ("show us", "show user", ["user", "users"]),
        ("hsm enable ", "hsm enable secure-key-cache ", ["secure-key-cache"]),
        ("config user d", "config user d", ["delete", "disable"]),
        ("settings change key_s", "settings change key_server ", ["key_server"]),
        ("user create carol --g", "user create carol --groups ", ["--groups"]),
        ("user disable carol --disabled n", "user disable carol --disabled no ", ["no"]),
        ("nonsense ", "nonsense ", []),
        ('"open', '"open', []),
    ],
)
def test_completion(line: str, longer: str, candidates: list[str]) -> None:
    assert completed(line) == (longer, candidates)


def test_help_names_every_command_and_explains_one() -> None:
    everything = "\n".join(help_lines([]))
    assert all(command.name in everything for command in commands().values())
    page = help_lines(["administrator", "create"])
    assert page[0].startswith("administrator create NAME")
    assert any("2048 characters" in line for line in page)
    assert "no command" in help_lines(["tea"])[0]


HOSTILE = st.text(max_size=60) | st.lists(
    st.sampled_from(["user", "create", "show", "--groups", "=", "-", "--yes", "\x1b[2J", "a,b", "?", "config", '"']),
    max_size=8,
).map(" ".join)


@given(HOSTILE)
def test_no_line_does_harm(line: str) -> None:
    assert completed(line)[0].startswith(line)
    with contextlib.suppress(NotUnderstood):
        parse(split(line))


@given(st.recursive(st.text() | st.none() | st.booleans() | st.integers(),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
                    max_leaves=8))  # fmt: skip
def test_nothing_that_a_terminal_acts_upon_is_shown(value: Any) -> None:
    assert all(line.isprintable() for line in rendered(value))


def test_names_cannot_forge_lines_nor_turn_the_writing() -> None:
    shown = rendered({"full_name": "x\r\naccess: all\x1b[2J\x9b\u202e"})
    assert shown == ["full_name: x\\r\\naccess: all\\x1b[2J\\x9b\\u202e"]
    certificate = "-----BEGIN CERTIFICATE-----\nAA\x1b==\n-----END CERTIFICATE-----\n"
    assert rendered({"certificate": certificate})[2] == "AA\\x1b=="


def test_tables() -> None:
    rows = [{"name": "alice", "groups": ["a", "b"], "disabled": False}, {"name": "b", "groups": [], "disabled": True}]
    assert rendered(rows) == ["NAME   GROUPS  DISABLED", "alice  a, b    no", "b      -       yes"]
    assert rendered([]) == ["(none)"]
    assert rendered({"web": {"port": 1}}) == ["web.port: 1"]


def test_rights_are_named() -> None:
    told = parse(["key", "give", "payroll", "encrypt,decrypt", "--user", "alice"])
    assert told.values == {"target": "payroll", "rights": ["encrypt", "decrypt"], "user": "alice"}
    with pytest.raises(NotUnderstood, match="one of see, encrypt"):
        parse(["key", "give", "payroll", "encrypt,everything"])
