"""docs/administrators.md as it stands: every command is run, in order; passwords come from a pipe."""

from itertools import pairwise
from pathlib import Path

import pytest

from keystead.core.permission import ACCESS_CONTROLS
from tests.node.production import keystead
from tests.node.test_users_page import commands_of
from tests.support.dev_node import DevNode

ROOT = Path(__file__).parents[2]
SECRET, OWN = "telescope-dragon-7", "lantern-orbit-31"


def test_every_command_of_the_page_works(node: DevNode) -> None:
    said: dict[str, str] = {}
    for command in commands_of("administrators.md"):
        words = command.replace("/srv/keystead/data", str(node.data)).split()[1:]
        piped = ["--stdin"] if words[1] in ("create", "set-password", "change-password") else []
        done = keystead(*words, *piped, stdin=f"{SECRET}\n{OWN}\n" if words[1] == "change-password" else f"{SECRET}\n")
        assert done.returncode == 0, f"{command}: {done.stderr}"
        said[" ".join(words[:2])] = done.stdout
    keystead("settings", "set", "passwords.length_min=8", "--data", node.data)
    assert said["administrator list"].splitlines() == [
        "admin  enabled  password: to be changed  may: everything",
        (
            "bert  enabled  password: to be changed  may: backup_config, backup_keys_certs, backup_cas, "
            "restore_config, restore_keys_certs, restore_cas, admin_web"
        ),
        "olga  enabled  password: to be changed  may: users_groups, certificates, admin_web",
    ]
    assert said["administrator change"].endswith("may: users_groups, admin_web\n")
    shown = keystead("administrator", "show", "admin", "--data", node.data)
    assert "password: 0 days" in shown.stdout
    for path in (path for path in node.folder.rglob("*") if path.is_file()):
        assert not {one for one in (SECRET, OWN) if one.encode() in path.read_bytes()}


@pytest.mark.row("KS-ADM-014")
def test_sharing_accounts_is_advised_against_and_the_backup_account_may_do_no_more_than_backups() -> None:
    """What the page makes is what it says: backup and restore, and one way in."""
    assert "Do not share one" in (ROOT / "docs" / "administrators.md").read_text()
    (command,) = [one.split() for one in commands_of("administrators.md") if " create bert " in one]
    given = {word for before, word in pairwise(command) if before == "--access"}
    assert given - {"admin_web"} == {name for name in ACCESS_CONTROLS if name.startswith(("backup_", "restore_"))}


def test_deleting_asks_for_the_name(node: DevNode) -> None:
    words = ("administrator", "create", "paul", "--stdin", "--data", node.data)
    assert keystead(*words, stdin=f"{SECRET}\n").returncode == 0
    refused = keystead("administrator", "delete", "paul", "--data", node.data, stdin="pauline\n")
    assert refused.returncode == 1
    assert "nothing was deleted" in refused.stderr
    assert keystead("administrator", "delete", "paul", "--data", node.data, stdin="paul\n").returncode == 0
