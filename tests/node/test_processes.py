"""Two processes, supervised: a crash of one does not harm the other's data, and the node comes back by itself."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil

from tests.support.dev_node import DevNode
from tests.support.kmip import messages


def child(node: DevNode, role: str) -> psutil.Process:
    """Find one of the node's processes."""
    for process in psutil.Process(node.pid).children():
        if f"_{role}" in process.cmdline():
            return process
    raise AssertionError(f"no {role} process")


def wait_for(node: DevNode, role: str, other_than: int) -> psutil.Process:
    """Wait until a process of the role runs that is not the old one."""
    for _ in range(300):
        try:
            found = child(node, role)
            if found.pid != other_than:
                return found
        except (AssertionError, psutil.NoSuchProcess):
            pass
        time.sleep(0.1)
    raise AssertionError(f"the {role} process did not come back")


def first_key(node: DevNode) -> str:
    with node.session() as session:
        return session.identifiers(messages.create())[0]


def serves(node: DevNode, key: str) -> bool:
    for _ in range(100):
        try:
            with node.session() as session:
                return len(session.key(key)) == 32
        except OSError:
            time.sleep(0.1)
    return False


def test_a_killed_key_process_comes_back_on_the_same_port_with_every_key(own_node: DevNode) -> None:
    key = first_key(own_node)
    killed = child(own_node, "keys")
    killed.kill()
    wait_for(own_node, "keys", killed.pid)
    assert serves(own_node, key)


def test_a_killed_admin_process_disturbs_no_client(own_node: DevNode) -> None:
    key = first_key(own_node)
    killed = child(own_node, "admin")
    with own_node.session() as session:
        killed.kill()
        assert len(session.key(key)) == 32
        wait_for(own_node, "admin", killed.pid)
        assert len(session.key(key)) == 32


def test_children_die_with_the_supervisor(own_node: DevNode) -> None:
    children = [child(own_node, "keys"), child(own_node, "admin")]
    os.kill(own_node.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def test_sigterm_stops_all_within_five_seconds(own_node: DevNode) -> None:
    children = [child(own_node, "keys"), child(own_node, "admin")]
    started = time.monotonic()
    own_node.stop()
    assert time.monotonic() - started < 10
    assert not any(process.is_running() for process in children)


def test_processes_leave_no_core_and_nothing_readable(node: DevNode) -> None:
    for role in ("keys", "admin"):
        process = child(node, role)
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        (line,) = [each for each in limits.splitlines() if each.startswith("Max core file size")]
        assert line.split()[4:6] == ["0", "0"]
        assert Path(f"/proc/{process.pid}/environ").stat().st_uid == 0


def test_secrets_stand_in_no_command_line_or_environment(node: DevNode) -> None:
    pin = (node.data / "insecure" / "crypto-user.pin").read_text().strip()
    for process in [psutil.Process(node.pid), *psutil.Process(node.pid).children()]:
        assert pin not in " ".join(process.cmdline())
        assert pin not in str(process.environ())


def test_requests_leave_activity_lines(node: DevNode) -> None:
    key = first_key(node)
    lines = (node.data / "logs" / "activity.log").read_text().splitlines()
    (line,) = [each for each in lines if key in each]
    assert " alice " in line
    assert " Create " in line
    assert "[AES 256" in line


def test_dev_refuses_the_folder_of_a_production_node(tmp_path: Path, production: Path) -> None:
    again = DevNode(tmp_path)
    command = again.begin().args
    again.kill()
    assert isinstance(command, list)
    words = [str(production) if str(word) == str(again.data) else str(word) for word in command]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "production node" in ended.stderr
