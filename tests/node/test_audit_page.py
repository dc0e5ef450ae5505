"""docs/audit.md as it stands: every command is run, in order, with another folder; and what people are shown."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from keystead.node.commands.audit import escaped, shown_line
from keystead.protocols.local.client import ask
from keystead.storage.audit_tree.files import packed_entries, unpacked_entries
from tests.node.test_users_page import commands_of, ran
from tests.support.dev_node import DevNode

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[[^\]]+\]: .+")


def audit(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keystead", "audit", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.row("KS-LOG-010")
def test_every_command_of_the_page_works(own_node: DevNode) -> None:
    said = [(command, ran(command, own_node, "")) for command in commands_of("audit.md")]
    told = {command.split(" --data")[0]: text for command, text in said}
    shown = told["keystead audit show --last 20"].splitlines()
    assert len(shown) > 3
    assert all(LINE.fullmatch(line) for line in shown)
    assert re.search(r"\[\w+\]: user alice created \(user.create user:[0-9a-f-]{36}\)", "\n".join(shown))
    key = told["keystead audit key"].strip()
    assert "all sound" in told["keystead audit verify export"]
    assert "all sound" in told["keystead audit verify later --against export/checkpoint"]
    assert told["keystead audit verify-proof entry.tlog-proof"].startswith("entry 2 is in the log keystead/")
    pseudonym = told["keystead audit pseudonymise storage1"].split()[0]
    folder, data = own_node.folder, own_node.data
    after = audit("show", "--data", data, "--last", "2", cwd=folder).stdout.splitlines()
    assert f"user {pseudonym} created" in after[0]
    assert f"{pseudonym} in 1 entries" in after[1]
    assert "storage1" not in "".join(after)
    assert audit("export", "--data", data, "--out", "last", cwd=folder).returncode == 0
    judged = audit("verify", "last", "--key", key, cwd=folder)
    assert judged.returncode == 0
    assert f"pseudonymised as {pseudonym} by an audited act: 1 of the entries" in judged.stdout
    own_node.stop()
    assert audit("key", "--data", data, cwd=folder).stdout.strip() == key
    assert audit("export", "--data", data, "--out", "stopped", cwd=folder).returncode == 0
    doctor = [sys.executable, "-m", "keystead", "doctor", "--data", str(data)]
    assert "audit_log" not in subprocess.run(doctor, capture_output=True, text=True, timeout=60, check=False).stdout


@pytest.mark.row("KS-LOG-033")
def test_what_was_tampered_with_ends_with_status_1(node: DevNode, tmp_path: Path) -> None:
    assert audit("export", "--data", node.data, "--out", "export", cwd=tmp_path).returncode == 0
    (bundle,) = (tmp_path / "export/tile/entries").rglob("*.p/*")
    entries = unpacked_entries(bundle.read_bytes())
    entries[3] = entries[3].replace(b"done", b"dome")
    bundle.write_bytes(packed_entries(entries))
    judged = audit("verify", "export", cwd=tmp_path)
    assert judged.returncode == 1
    assert judged.stdout.splitlines()[0] == "WRONG   entry 3: altered"
    proof = tmp_path / "proof"
    assert audit("prove", "1", "--data", node.data, "--out", proof, cwd=tmp_path).returncode == 0
    text = proof.read_text()
    proof.write_text(text.replace("index 1\n", "index 2\n"))
    assert audit("verify-proof", proof, cwd=tmp_path).returncode == 1
    proof.write_text(text)
    other = "keystead/x+00000000+AQ=="
    assert "verifier key is damaged" in audit("verify-proof", proof, "--key", other, cwd=tmp_path).stderr


def test_mistakes_are_told_in_a_sentence(node: DevNode, tmp_path: Path) -> None:
    for words, told in (
        (["prove", "999999", "--data", node.data, "--out", "p"], "counted from 0"),
        (["show", "--since", "yesterday", "--data", node.data], "write a moment as"),
        (["verify", "nowhere"], "there is no folder nowhere"),
        (["verify-proof", "nowhere"], "there is no file nowhere"),
        (["pseudonymise", "nobody-of-this-name", "--data", node.data], "no entry of the audit log bears this name"),
        (["export", "--out", tmp_path, "--data", node.data], "exists already"),
    ):
        done = audit(*words, cwd=tmp_path)
        assert (done.returncode, told in done.stderr, "Traceback" in done.stderr) == (1, True, False), done.stderr


def test_entries_are_chosen(node: DevNode, tmp_path: Path) -> None:
    by_operation = audit("show", "--operation", "user.create", "--data", node.data, cwd=tmp_path).stdout
    assert by_operation
    assert all("(user.create " in line for line in by_operation.splitlines())
    assert audit("show", "--user", "nobody", "--data", node.data, cwd=tmp_path).stdout == ""
    assert audit("show", "--since", "2100-01-01", "--data", node.data, cwd=tmp_path).stdout == ""
    everything = audit("show", "--since", "2000-01-01", "--data", node.data, cwd=tmp_path).stdout.splitlines()
    assert audit("show", "--last", "2", "--data", node.data, cwd=tmp_path).stdout.splitlines() == everything[-2:]


def test_a_page_has_a_limit(node: DevNode) -> None:
    from keystead.core.errors import Invalid

    for limit in (0, 251, -1):
        with pytest.raises(Invalid):
            ask(str(node.data / "run" / "keystead.sock"), "audit.show", limit=limit)


@pytest.mark.parametrize(
    "hostile",
    [
        "a\r\n2026-01-01 00:00:00 [root]: all is well",
        "\x1b[2J\x1b[31m",
        "\u202egro.elpmaxe",
        "\u2028\x85\x00",
        "\U000e0041",
    ],
)
def test_hostile_text_stays_on_its_line(hostile: str) -> None:
    line = {
        "number": 1,
        "at_us": 1_800_000_000_000_000,
        "kind": "user",
        "name": f"{hostile}]: x",
        "origin": hostile,
        "operation": hostile,
        "outcome": hostile,
        "target": hostile,
        "detail": hostile,
        "pseudonymised": False,
    }
    shown = shown_line(line)
    assert shown.isprintable()
    assert len(shown.splitlines()) == 1
    assert LINE.fullmatch(shown)


def test_what_is_escaped_can_be_told_from_what_was_written_so() -> None:
    assert escaped("a\\x1b\x1bé\u202e") == "a\\\\x1b\\x1bé\\u202e"
