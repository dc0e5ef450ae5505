"""docs/administrators.md as it stands: every command is run, in order; passwords come from a pipe."""

from tests.node.production import keystead
from tests.node.test_users_page import commands_of
from tests.support.dev_node import DevNode

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
        "olga  enabled  password: to be changed  may: users_groups, certificates, admin_web",
    ]
    assert said["administrator change"].endswith("may: users_groups, admin_web\n")
    shown = keystead("administrator", "show", "admin", "--data", node.data)
    assert "password: 0 days" in shown.stdout
    for path in (path for path in node.folder.rglob("*") if path.is_file()):
        assert not {one for one in (SECRET, OWN) if one.encode() in path.read_bytes()}


def test_deleting_asks_for_the_name(node: DevNode) -> None:
    words = ("administrator", "create", "paul", "--stdin", "--data", node.data)
    assert keystead(*words, stdin=f"{SECRET}\n").returncode == 0
    refused = keystead("administrator", "delete", "paul", "--data", node.data, stdin="pauline\n")
    assert refused.returncode == 1
    assert "nothing was deleted" in refused.stderr
    assert keystead("administrator", "delete", "paul", "--data", node.data, stdin="paul\n").returncode == 0
