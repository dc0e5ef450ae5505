"""docs/keys.md as it stands: every command is run, in order; and what the commands refuse."""

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from keystead.core.errors import Invalid
from keystead.node.commands.admin_keys import moment_us
from tests.node.production import keystead
from tests.node.test_users_page import commands_of
from tests.support.dev_node import DevNode

PLANTED = "133457799bbcdff1" * 8


def ran(words: list[str], stdin: str = "") -> str:
    done = keystead(*words, stdin=stdin)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def test_every_command_of_the_page_works(own_node: DevNode) -> None:
    said: dict[str, str] = {}
    for command in commands_of("keys.md"):
        words = command.replace("/srv/keystead/data", str(own_node.data)).replace("vault.hex", "-").split()[1:]
        said[" ".join(words[:3])] = ran(words, PLANTED[:64])
    assert "tape-2026  storage1  symmetric-key AES-256 256  active" in said["key generate tape-2026"]
    assert load_pem_public_key(said["key public signing"].encode()) is not None
    assert [line.split()[1] for line in said["key find --owner"].splitlines()] == ["vault", "tape-2026"]
    assert "can become: deactivated, compromised" in said["key show tape-2026"]
    assert "tape-old  storage1" in said["key rename tape-2026"]
    assert "flags: deletable, extractable" in said["key flags tape-old"]
    changed = said["key change tape-old"]
    for line in ("  Description[0]: Tapes", "  x-site[0]: north", "  deactivation: 2099-12-31 00:00:00"):
        assert line in changed.splitlines()
    assert "  deactivated  " in said["key set-state tape-old"]
    assert "tapes  2  " in said["key new-version tapes"]
    listed = said["key versions tapes"].splitlines()
    assert [line.split("  ")[1] for line in listed] == ["2", "1"]
    assert listed[0].endswith("(default)")
    assert f"tapes  1  {listed[1].split('  ')[2]}  restricted" in said["key set-version tapes"]
    assert "vaults  storage1  symmetric-key AES-256 256 in 1 version  -" in said["key clone vault"]
    assert said["key erase tape-old"] == "tape-old erased\n"
    for path in (path for path in own_node.folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert PLANTED[:64].encode() not in content
        assert bytes.fromhex(PLANTED[:64]) not in content


def test_commands_ask_and_refuse(node: DevNode) -> None:
    data = ["--data", str(node.data)]
    nameless = keystead("key", "import", "bad", "--file", "-", "--owner", "alice", *data, stdin=PLANTED)
    assert nameless.returncode == 1
    assert "say the algorithm" in nameless.stderr
    ran(["key", "generate", "doomed", "--algorithm", "RSA-2048", "--owner", "alice", *data])
    assert "confirm" in keystead("key", "erase", "doomed", *data, stdin="other\n").stderr
    assert "doomed" in ran(["key", "find", "--name", "DOOM", *data])
    ran(["key", "erase", "doomed", *data], "doomed\n")
    assert ran(["key", "find", "--name", "DOOM", *data]) == ""
    assert "no such object" in keystead("key", "show", "doomed", *data).stderr


def test_more_keys_than_asked_for_are_told_of(node: DevNode) -> None:
    data = ["--data", str(node.data)]
    for _ in range(3):
        ran(["key", "generate", "--owner", "bob", "--attribute", "x-page=1", *data])
    done = keystead("key", "find", "--attribute", "x-page=1", "--limit", "2", *data)
    assert len(done.stdout.splitlines()) == 2
    assert "There are more" in done.stderr


@pytest.mark.row("KS-LIFE-007")
def test_times_are_whole_and_come_in_two_forms() -> None:
    expected = 1_152_177_302_000_000
    for typed in ("07/06/2006 09:15:02", "2006-07-06T09:15:02", "2006-07-06 09:15:02Z", "2006-07-06T11:15:02+02:00"):
        assert moment_us(typed) == expected
    for typed in ("07/06/2006", "2006-07-06", "2006-07-06T09:15", "now", "", "13/13/2006 09:15:02"):
        with pytest.raises(Invalid):
            moment_us(typed)
