"""docs/queries.md as it stands: every command is run, in order, and every query finds what the page says."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from keystead.core.key_query import FIELDS
from tests.node.test_users_page import DOCS, commands_of
from tests.support.dev_node import DevNode
from tests.support.rest.client import Rest

PAGE = (DOCS / "queries.md").read_text()


def queries() -> list[str]:
    return re.findall(r"```query\n(.*?)\n```", PAGE, re.DOTALL)


def found(admin: Rest, text: str) -> list[str]:
    return [one["name"] for one in admin.told("PUT", "/unnamed-query", {"text": text, "order": "name"})["keys"]]


@pytest.mark.row("KS-KEY-046", "KS-KEY-048")
def test_every_command_and_query_of_the_page_works(node: DevNode, admin: Rest, tmp_path: Path) -> None:
    missing = [name for name in ("curl", "jq") if shutil.which(name) is None]
    if missing:
        pytest.fail(f"install {' and '.join(missing)}: requirements/debian.txt")
    admin.told("POST", "/users", {"name": "storage1"})
    for number in (1, 2):
        made = {"name": f"tape-{number}", "owner": "storage1", "attributes": [f"x-site=north {number}"]}
        admin.told("POST", "/keys", made)
    shutil.copy(node.ready["ca_certificate"], tmp_path / "ca.pem")
    environment = {"PATH": os.environ["PATH"], "URL": node.ready["rest"]["url"], "TOKEN": admin.token}
    said: list[Any] = []
    for command in commands_of("queries.md"):
        if command.endswith("@doomed.json"):  # the keys of this test are too young for the page's own query
            doomed = found(admin, "name = tape-2")
            assert doomed == ["tape-2"]
            key = admin.told("GET", "/keys/tape-2")["key"]["id"]
            (tmp_path / "doomed.json").write_text(json.dumps({"keys": [key], "how_many": 1}))
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        said.append(json.loads(done.stdout) if done.stdout else None)
        assert "reason" not in (said[-1] or {}), (command, said[-1])
    applied, again, copied, saved, run, every, _, erased, defined, changed = said
    assert {one["name"] for one in applied["keys"]} == {one["name"] for one in again["items"]} == {"tape-1", "tape-2"}
    assert list(again["items"][0]["cells"]) == ["name", "owner", "algorithm", "state", "created"]
    assert copied["text"] == "owner = storage1 and algorithm = AES"
    assert (saved["refers_to"], saved["columns"]) == (["storage1-aes"], ["name", "state", "x-site"])
    assert run["items"] == []
    assert every["columns"] == ["name", "owner", "state"]
    assert (len(erased["erased"]), erased["failed"]) == (1, [])
    assert (defined["name"], defined["type"]) == ("x-cost-center", "integer")
    assert changed["attributes"][0]["value"] == "4711" or changed["attributes"][1]["value"] == "4711"
    answers = [found(admin, text) for text in queries()]
    assert answers[0] == ["tape-1"]
    assert answers[-1] == ["tape-1"]
    assert len(answers[-2]) == 1  # tape-2 is destroyed, and has lost its name


def test_the_page_names_every_field() -> None:
    table = PAGE[PAGE.index("| fields |") : PAGE.index("`contains` and `begins` take")]
    assert {name for name in FIELDS if f"`{name}`" not in table} == set()


def test_hostile_texts_are_refused_or_find_nothing(admin: Rest) -> None:
    hostile = [
        "'; DROP TABLE objects; --",
        "*)(uid=*))(|(uid=*",
        "(" * 4096,
        "not " * 1000,
        "a" * 1_000_000,
        "оwner = a",
    ]
    for text in [*hostile, "name = (((a+)+)+)$", "\x00", "{{7*7}}", "%00", "owner = \ud83d\ude00"]:
        reply = admin.ask("PUT", "/unnamed-query", {"text": text})
        assert reply.status in (409, 413, 422), (text[:40], reply.status)
    reply = admin.ask("PUT", "/unnamed-query", {"text": "name = alpha or nmae = beta"})
    assert (reply.status, "at character 17" in reply.body["detail"]) == (409, True)
    for name in ("[All]%00", "..%2F..", "%5BAll", "Unnamed%20Query2", "~local:root"):
        assert admin.ask("GET", f"/queries/{name}/keys").status in (404, 422), name
