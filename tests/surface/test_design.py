"""docs/design.md says what the code does: its path of a Create is walked, its tables are compared, its tests exist."""

import ast
import asyncio
import importlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import cbor2
import pytest

from keystead import acceleration
from keystead.core.permission import EVERY_ACCESS, Principal
from keystead.gate.call import Batch
from keystead.node.creation import Beginning, RoleSecrets, create_node
from keystead.node.folder import NodeConfig
from keystead.node.keys import KeysOptions, KeysProcess
from keystead.node.opening import open_parts
from keystead.operations.certificates import ClientCertificate, IssueClientCertificate
from keystead.operations.users import CreateUser
from keystead.settings.all import SECTIONS
from keystead.storage.documents import encode
from keystead.storage.migrations.versions.v0001_first import SCHEMA
from keystead.trust.role_tokens import new_role_secret
from keystead.trust.root import Role
from tests.support.kmip import messages
from tests.support.kmip.sessions import Client, Session
from tests.support.stores import new_object
from tests.surface.sources import GENERATED, PACKAGE, ROOT, functions, in_package, python_files, tree

DESIGN = ROOT / "docs/design.md"
BYTES = ROOT / "docs/design/bytes-at-rest.md"
LIMITS = ROOT / "docs/design/limits.md"
PAGES = (DESIGN, BYTES, LIMITS, ROOT / "README.md")

STEPS_MAX = 14
STEP_LINES_MAX = 400


@cache
def rows(page: Path, heading: str) -> tuple[tuple[str, ...], ...]:
    """Cells of all table rows between a heading and the next of its level or above."""
    level = heading.split(" ", 1)[0]
    text = page.read_text().split(f"\n{heading}\n", 1)[1]
    section = re.split(rf"^#{{1,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]
    lines = (line for line in section.splitlines() if line.startswith("|") and not line.startswith("|---"))
    return tuple(tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines)


def coded(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# --------------------------------------------------------------------------------------------------- path of a Create

PATH = "### The path of a Create"
STEPS = [
    (coded(cells[1])[0], coded(cells[2])[0]) for cells in rows(DESIGN, PATH) if cells[0].isdigit() and len(cells) == 4
]
ASKED = [file for cells in rows(DESIGN, PATH) if cells[0].isdigit() and len(cells) == 2 for file in coded(cells[1])]


class Trace:
    """Every function of ours that is entered, in order, whichever thread enters it, while `on`."""

    def __init__(self) -> None:
        self.on = False
        self.entered: list[tuple[str, str]] = []

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        file = frame.f_code.co_filename
        if self.on and event == "call" and file.startswith(str(PACKAGE)):
            self.entered.append((file[len(str(PACKAGE)) + 1 :], frame.f_code.co_qualname))


async def walk(folder: Path, trace: Trace) -> None:
    """Serve a new node in this process and let a client make one key over TLS."""
    secrets = RoleSecrets(new_role_secret(), new_role_secret(), new_role_secret())
    config = NodeConfig(folder / "data", folder / "data/insecure/node.key", dev=True)
    open_doors: dict[str, dict[str, Any]] = {
        "key_server": {"allow_key_configuration": True},
        "kmip": {"address": "127.0.0.1", "port": 0},
    }
    create_node(config, Beginning(secrets, (), open_doors))
    process = KeysProcess(open_parts(config), KeysOptions(None, None, serving=False, parent_pid=0))
    port = await process.start()
    process.module.login(Role.CRYPTO_USER, secrets.crypto_user)
    await ask(process, CreateUser("alice"))
    client = certified(await ask(process, IssueClientCertificate("alice")), folder)
    session = await asyncio.to_thread(Session, port, client)
    with session:
        await asyncio.to_thread(session.ask, messages.locate())  # answered: the handshake is over in every thread
        await ask(process, CreateUser("bob"))  # users changed: alice is looked up as for the first message
        process.objects.refresh()
        sys.setprofile(trace)
        trace.on = True
        await asyncio.to_thread(session.ask, messages.create("first"))
        trace.on = False
        sys.setprofile(None)
    await process.stop()
    process.objects.reader.close()


def certified(issued: ClientCertificate, folder: Path) -> Client:
    assert issued.key is not None
    client = Client(folder / "alice.pem", folder / "alice.key", folder / "ca.pem")
    client.certificate.write_text(issued.certificate)
    client.key.write_bytes(issued.key.reveal())
    client.authority.write_text(issued.authority)
    return client


async def ask(process: KeysProcess, request: Any) -> Any:
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    process.objects.refresh()
    principal = Principal("local", "test", access=EVERY_ACCESS)
    process.gate.run(Batch(principal, (request,)), lambda replies: answered.set_result(replies[0]))
    reply = await answered
    assert reply.error is None
    return reply.result


@pytest.fixture(scope="module")
def entered(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """(file, function) of everything that one Create enters, in a process of its own: compiled code is not traced."""
    words = f"from tests.surface.test_design import tell; tell({str(tmp_path_factory.mktemp('design'))!r})"
    environment = {**os.environ, acceleration.VARIABLE: "off"}
    told = subprocess.run(
        [sys.executable, "-c", words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert told.returncode == 0, told.stderr
    return [(file, function) for file, function in json.loads(told.stdout.splitlines()[-1])]


def tell(folder: str) -> None:
    """Print what one Create enters."""
    trace = Trace()
    threading.setprofile(trace)
    asyncio.run(walk(Path(folder), trace))
    print(json.dumps(trace.entered))


def test_the_path_has_few_steps_in_files_of_their_own() -> None:
    files = [file for file, _ in STEPS]
    assert 0 < len(files) <= STEPS_MAX
    assert len({*files, *ASKED}) == len(files) + len(ASKED), "a file is named once"
    assert not [file for file in (*files, *ASKED) if not (PACKAGE / file).is_file()]


@pytest.mark.parametrize("file", [file for file, _ in STEPS])
def test_the_file_of_a_step_can_be_read_in_one_go(file: str) -> None:
    assert len((PACKAGE / file).read_text().splitlines()) <= STEP_LINES_MAX


def test_a_create_takes_each_step_once_and_in_order(entered: list[tuple[str, str]]) -> None:
    assert [call for call in entered if call in STEPS] == STEPS


def test_a_create_enters_no_file_that_the_page_leaves_out(entered: list[tuple[str, str]]) -> None:
    assert not {file for file, _ in entered} - {file for file, _ in STEPS} - {*ASKED}


# ------------------------------------------------------------------------------------------------------ bytes, limits


def test_tables_have_the_columns_of_the_page() -> None:
    named = {coded(table)[0]: coded(columns)[0].split(", ") for table, columns in rows(BYTES, "## 3. Tables")[1:9]}
    assert named == {name: [*table.columns.keys()] for name, table in SCHEMA.tables.items()}


def test_a_document_has_the_items_of_the_page() -> None:
    listed = [cells[0] for cells in rows(BYTES, "## 4. Document of a record")[1:]]
    assert listed == [str(number) for number in range(len(cbor2.loads(encode(new_object(1)))))]


def constant_names(path: Path) -> Iterator[str]:
    """Public module-level names that end in _MAX."""
    for node in tree(path).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(name, ast.Name) and re.fullmatch(r"[A-Z]\w*_MAX", name.id):
                    yield name.id


def test_every_named_maximum_is_listed_with_its_value() -> None:
    listed = {
        (coded(cells[2])[0], coded(cells[0])[0]): cells[1]
        for cells in rows(LIMITS, "## 2. Named maxima")
        if cells[0] != "name"
    }
    found = {
        (in_package(path), name): f"{getattr(importlib.import_module(module_of(path)), name):,}"
        for path in python_files("src")
        if not path.name.endswith(GENERATED)
        for name in constant_names(path)
    }
    stale = sorted(f"| `{name}` | {value} | `{file}` |" for (file, name), value in listed.items() - found.items())
    fresh = sorted(f"| `{name}` | {value} | `{file}` |" for (file, name), value in found.items() - listed.items())
    assert (stale, fresh) == ([], []), "in docs/design/limits.md replace the first by the second"


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def word(value: object) -> str:
    """A setting's value or bound as the page writes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"`{value}`"


def test_every_setting_is_listed_with_its_bounds() -> None:
    declared = [
        (f"`{name}.{field.name}`", *map(word, (field.default, field.metadata["minimum"], field.metadata["maximum"])))
        for name, section in sorted(SECTIONS.items())
        for field in fields(section)
    ]
    assert [*rows(LIMITS, "## 1. Settings")[1:]] == declared


# ------------------------------------------------------------------------------------------------- what is pointed at


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert not [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_headings_that_are_linked_exist(page: Path) -> None:
    text = page.read_text()
    anchors = {
        re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    assert not {*re.findall(r"\]\(#([^)]+)\)", text)} - anchors


def test_every_invariant_names_a_test_that_exists() -> None:
    listed = rows(DESIGN, "## 4. What holds at any instant")[1:]
    assert [cells[0] for cells in listed] == [str(number) for number in range(1, len(listed) + 1)]
    missing = []
    for cells in listed:
        file, _, name = coded(cells[2])[0].partition("::")
        if not (ROOT / file).is_file() or name not in {function.name for function in functions(ROOT / file)}:
            missing.append(cells[2])
    assert not missing
