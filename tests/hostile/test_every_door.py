"""One table, every door: an access control opens over REST, SSH and the pages what the declarations say.

Rows are the operations that administrators may ask, drawn from the declarations, and the sections of the settings;
columns are single access controls, none at all, and all those together that no operation needs. Attack class 24 (a door
that forgets to ask), 13 and 46 (what is sent decides who one is).

One administrator is logged in everywhere at once and is given one access control after the other: every door judges
anew for each request.
"""

import asyncio
import contextlib
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

import keystead.operations.all  # noqa: F401  # declares every operation
from keystead.core.errors import KeysteadError
from keystead.core.permission import ACCESS_CONTROLS, Access
from keystead.gate.forms import Field
from keystead.gate.operation import REGISTRY
from keystead.protocols.cli.commands import REPLACED, Command, commands
from keystead.protocols.cli.words import choices_of
from keystead.protocols.console.catalogue import Verb, nouns
from keystead.protocols.rest.models import json_name
from keystead.protocols.rest.routes import IN_BRACES, Route, routes
from keystead.protocols.xml.translate.requests_table import REQUESTS
from keystead.settings.all import SECTIONS
from tests.hostile.doors import at_door
from tests.support.console import Browser
from tests.support.dev_node import DevNode
from tests.support.rest.client import Rest, stranger
from tests.support.rest.client import administrator as over_rest
from tests.support.rest.world import OWN, person
from tests.support.xml.client import FLAG, VERSION, Client, connect

NOT_COVERED = "rights do not cover"
WAYS_IN = ("admin_web", "admin_ssh")
BARE = Access.ANY | Access.OWN | Access.WEB | Access.SSH
DISRUPTIVE = {"module.logout", "module.deactivate", "preset.apply", "ip_authorization.set"}
"""Not carried out where they are allowed: they would lock the node, or close its doors, under the others."""
NEEDED = {
    control
    for control, access in ACCESS_CONTROLS.items()
    if any(access & (one.administrator or Access.NONE) for one in REGISTRY.values())
    or any(access & section.access for section in SECTIONS.values())
} - {*WAYS_IN}
COLUMNS = ((), *((control,) for control in sorted(NEEDED)), tuple(sorted({*ACCESS_CONTROLS} - NEEDED - {*WAYS_IN})))
HANDMADE = {
    ("hsm", "logout", "crypto", "user"): "module.logout",
    ("hsm", "logout", "security", "officer"): "module.logout",
    ("hsm", "activate"): "module.activate",
    ("hsm", "deactivate"): "module.deactivate",
    ("hsm", "enable", "secure-key-cache"): "module.set_key_cache",
    ("hsm", "disable", "secure-key-cache"): "module.set_key_cache",
    ("show", "hsm", "status"): "module.show",
    ("show", "health", "server"): "settings.read",
}
"""Commands with words of their own -> what they ask; those that ask people first have tests of their own."""
ASKING = {("hsm", "login", "crypto", "user"), ("hsm", "login", "security", "officer"), ("password",)}
ASKING |= {("edit", "ras", "settings")}
OWN_SECTIONS = [name for name, section in SECTIONS.items() if not section.own]


@dataclass(frozen=True)
class Everywhere:
    """A node with all doors, who gives access, and who is given it."""

    node: DevNode
    giver: Rest
    rest: Rest
    console: Browser


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everywhere]:
    node = DevNode(tmp_path_factory.mktemp("everywhere"), web=True, ssh=True)
    node.start()
    giver = over_rest(node)
    rest = person(giver, stranger(node), "matrix")
    console = Browser(node.ready["console"]["url"], Path(node.ready["ca_certificate"]))
    assert console.log_in("matrix", OWN).status == 200
    yield Everywhere(node, giver, rest, console)
    node.stop()


def opens(operation: str, access: Access) -> bool:
    """The table."""
    (needed,) = (one.administrator for one in REGISTRY.values() if one.name == operation)
    assert needed is not None
    return not needed & ~access


def tried(
    everywhere: Everywhere, rows: list[tuple[str, Any]], is_refused: Callable[[Any], bool]
) -> list[tuple[tuple[str, ...], str]]:
    """(column, operation) where a door does not agree with the table."""
    differing = []
    for column in COLUMNS:
        given = BARE
        for control in column:
            given |= ACCESS_CONTROLS[control]
        everywhere.giver.told("PATCH", "/administrators/matrix", {"access": [*column, *WAYS_IN]})
        for operation, row in rows:
            allowed = opens(operation, given)
            if allowed and operation in DISRUPTIVE:
                continue
            if is_refused(row) is allowed:
                differing.append((column, operation))
    return differing


def test_the_columns_are_all_access_controls() -> None:
    assert {control for column in COLUMNS for control in column} == {*ACCESS_CONTROLS} - {*WAYS_IN}
    assert len(NEEDED) >= 7


@pytest.mark.slow
@pytest.mark.row("KS-GEN-002", "KS-ADM-041")
def test_rest_agrees_with_the_table(everywhere: Everywhere) -> None:
    def is_refused(route: Route) -> bool:
        path = IN_BRACES.sub("x", route.path)
        body = {"no such field": ""} if route.has_body else None
        reply = everywhere.rest.ask(route.method, path, body)
        assert reply.status not in (401, 500), (route.path, reply.body)
        return reply.status == 403 and NOT_COVERED in str(reply.body["detail"])

    rows = [(route.declaration.name, route) for route in routes()]
    assert tried(everywhere, rows, is_refused) == []


@pytest.mark.slow
@pytest.mark.row("KS-GEN-002", "KS-UI-001")
def test_the_pages_agree_with_the_table(everywhere: Everywhere) -> None:
    console = everywhere.console
    verbs: list[Verb] = [verb for noun in nouns().values() for verb in noun.verbs if verb not in noun.told_with_item]
    form_token = dict(console.get("/preferences").form("/preferences").values)["form-token"]

    def is_refused(verb: Verb) -> bool:
        page = console.request("POST", verb.path, f"form-token={form_token}&item=x".encode())
        assert page.status not in (303, 500) or "/log-in" not in page.location, (verb.path, page.status)
        return page.status == 403 and NOT_COVERED in page.text

    rows = [(verb.route.declaration.name, verb) for verb in verbs]
    assert len(rows) > 40
    assert tried(everywhere, rows, is_refused) == []


@pytest.mark.slow
@pytest.mark.row("KS-GEN-002", "KS-CLI-001")
def test_the_command_line_agrees_with_the_table(everywhere: Everywhere) -> None:
    known = {words: one for words, one in commands().items() if words not in ASKING}
    rows = [(operation_of(one), one) for one in known.values()]
    assert {name for name, _ in rows} >= {route.declaration.name for route in routes()} - REPLACED
    door = everywhere.node.ready["ssh"]
    loop = asyncio.new_event_loop()
    at = (door["host"], door["port"])
    connection = loop.run_until_complete(asyncssh.connect(*at, username="matrix", password=OWN, known_hosts=None))

    def is_refused(command: Command) -> bool:
        typed = "eA==\n.\n" if command.asked else None
        said = loop.run_until_complete(_said(connection, line_of(command), typed))
        assert said.exit_status in (0, 1), (line_of(command), said.stderr)
        return said.exit_status == 1 and NOT_COVERED in str(said.stderr)

    try:
        assert tried(everywhere, rows, is_refused) == []
    finally:
        connection.close()
        loop.run_until_complete(connection.wait_closed())
        loop.close()


async def _said(connection: asyncssh.SSHClientConnection, line: str, typed: str | None) -> asyncssh.SSHCompletedProcess:
    process = await connection.create_process(line)
    with contextlib.suppress(BrokenPipeError):  # it may have been refused before anything was read
        if typed is not None:
            process.stdin.write(typed)
        process.stdin.write_eof()
    return await process.wait(timeout=20)


def operation_of(command: Command) -> str:
    return HANDMADE[command.words] if command.declaration is None else command.declaration.name


def line_of(command: Command) -> str:
    """A line that is understood, about things that are not there."""
    words = ["config"] if command.changes else []
    words += [*command.words, *(word_for(field) for field in command.standing)]
    return shlex.join([*words, *(["--yes"] if command.is_destructive else [])])


WORDS = ("x", "00", "0" * 16, "0" * 64, "00000000-0000-7000-8000-000000000000")
"""One of these fits every pattern of a name or an id."""


def word_for(field: Field) -> str:
    if choices := choices_of(field):
        return choices[0]
    if field.number is not None:
        return str(field.number.minimum)
    if json_name(field) != field.name:
        return "2031-01-31T12:00:00Z"
    if field.text is not None and field.text.pattern is not None:
        return next(word for word in WORDS if re.fullmatch(field.text.pattern, word))
    return "x"


@pytest.mark.row("KS-GEN-002")
@pytest.mark.parametrize("name", OWN_SECTIONS)
def test_settings_agree_with_their_section(everywhere: Everywhere, name: str) -> None:
    held = everywhere.giver.told("GET", f"/settings?section={name}")[name]
    field, value = next(iter(held.items()))
    for column in COLUMNS:
        given = BARE
        for control in column:
            given |= ACCESS_CONTROLS[control]
        everywhere.giver.told("PATCH", "/administrators/matrix", {"access": [*column, *WAYS_IN]})
        reply = everywhere.rest.ask("PUT", f"/settings/{name}/{field}", {"value": value})
        form = everywhere.console.request("GET", f"/settings/{name}/edit")
        is_open = not SECTIONS[name].access & ~given
        assert (reply.status != 403, form.status != 403) == (is_open, is_open), (column, reply.body)


def test_root_is_refused_nothing_of_administrators_and_everything_of_users(everywhere: Everywhere) -> None:
    """Whoever is on the other end of the local door is told by the kernel, not by what is sent."""
    declared = [one for one in REGISTRY.values() if one.request.__module__.startswith("keystead.")]  # others are tests'
    for declaration in declared:
        if declaration.name in DISRUPTIVE | {"module.login"}:
            continue
        with pytest.raises(KeysteadError) as error:
            at_door(everywhere.node, declaration.name, **{"no such field": ""})
        assert error.value.reason.startswith("invalid"), (declaration.name, error.value.message)
    refused = []
    for declaration in declared:
        if declaration.administrator is None:
            with pytest.raises(KeysteadError) as error:
                at_door(everywhere.node, declaration.name)
            refused += [declaration.name] if error.value.reason == "refused.permission" else []
            assert error.value.reason.startswith(("refused.permission", "invalid")), declaration.name
    assert len(refused) > 10


@pytest.mark.row("KS-NAE-004")
def test_no_xml_request_is_answered_before_a_login(everywhere: Everywhere) -> None:
    values: dict[str, Any] = {"KeyName": "x", "Algorithm": "AES", "Exportable": FLAG}
    answered = {}
    for name, row in REQUESTS.items():
        if row.unproven:
            continue
        with connect(everywhere.node, "alice") as client:
            client.send(VERSION)
            assert client.receive() is not None
            answered[name] = ask_bare(client, name.removesuffix("Request"), values)
    assert len(answered) > 10
    assert {number for number, _ in answered.values()} != {0}
    assert [name for name, (number, _) in answered.items() if number == 0] == []


def ask_bare(client: Client, name: str, values: dict[str, Any]) -> tuple[int, bool]:
    known = {field.name for field in REQUESTS[f"{name}Request"].fields}
    data = b"x" if REQUESTS[f"{name}Request"].data == "both" else None
    told = client.ask(name, data, **{field: value for field, value in values.items() if field in known})
    return told.number, told.is_fatal


def test_ssh_shows_nothing_before_a_login(everywhere: Everywhere) -> None:
    door = everywhere.node.ready["ssh"]

    async def come(**how: Any) -> None:
        await asyncssh.connect(door["host"], door["port"], known_hosts=None, username="matrix", **how)

    for how in (
        {"password": "wrong-guess-1"},
        {"preferred_auth": "none"},
        {"preferred_auth": "keyboard-interactive", "password": OWN},
        {"preferred_auth": "publickey", "client_keys": [asyncssh.generate_private_key("ssh-ed25519")]},
    ):
        with pytest.raises(asyncssh.PermissionDenied):
            asyncio.run(come(**how))


def test_what_is_sent_does_not_say_who_one_is(everywhere: Everywhere) -> None:
    """Attack class 46: names, owners and accesses in bodies, headers and queries are content, never the asker."""
    everywhere.giver.told("PATCH", "/administrators/matrix", {"access": [*WAYS_IN]})
    for more in ({"x-forwarded-user": "admin"}, {"x-remote-user": "admin"}, {"cookie": "__Host-keystead=admin"}):
        assert everywhere.rest.ask("POST", "/users", {"name": "eve"}, None, **more).status == 403
    for body in ({"name": "eve", "as": "admin"}, {"name": "eve", "access": ["all"]}, {"name": "eve", "realm": "root"}):
        assert everywhere.rest.ask("POST", "/users", body).status == 403
        assert everywhere.giver.ask("POST", "/users", body).status == 422
    assert everywhere.rest.ask("POST", "/users?as=admin", {"name": "eve"}).status == 403
    assert everywhere.giver.ask("GET", "/users/eve").status == 404
