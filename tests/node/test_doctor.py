"""`keystead doctor`: each fault is made, and the finding that names it is seen."""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystead.core.errors import KeysteadError
from keystead.core.secret import Secret
from keystead.custody.drives.registry import register
from keystead.node import creation
from keystead.node.doctor.examination import CHECKS, examine
from keystead.node.doctor.findings import DAY_S, Examined, Finding, Severity, Thresholds
from keystead.node.doctor.folders import note_verification
from keystead.node.folder import UNFINISHED, NodeConfig, read_config
from keystead.node.key_backups import DRIVES_FILE, FOLDER, registry_of
from keystead.node.opening import open_module, open_parts
from keystead.trust import x509
from keystead.trust.origins import Origin
from keystead.trust.root import Role
from tests.node import production as production_node
from tests.node.production import keystead
from tests.support.dev_node import DevNode

EXPECTED = {
    ("running", Severity.ERROR),
    ("witness", Severity.WARNING),
    ("last_verification", Severity.NOTE),
}
"""Of a new node that nobody serves yet."""


def found(config: NodeConfig, check: str, now_s: float | None = None, **thresholds: Any) -> list[Finding]:
    limits = replace(Thresholds(free_bytes=1, free_soon_bytes=1), **thresholds)
    return [finding for finding in examine(config, limits, now_s) if finding.check == check]


def severities(findings: list[Finding]) -> list[str]:
    return [finding.severity.value for finding in findings]


def test_a_new_node_has_nothing_wrong_but_that_it_does_not_run(config: NodeConfig) -> None:
    assert {(finding.check, finding.severity) for finding in examine(config, Thresholds(1, 1))} == EXPECTED


def test_every_finding_says_what_to_do(config: NodeConfig) -> None:
    config.own_store.chmod(0o644)
    for finding in examine(config):
        assert finding.what.endswith(".")
        assert finding.advice.endswith(".")


# ----------------------------------------------------------------------------------------------------------- on disk


def test_little_room(config: NodeConfig) -> None:
    (finding,) = found(config, "disk_space", free_bytes=1 << 60)
    assert finding.severity is Severity.ERROR
    assert severities(found(config, "disk_space", free_soon_bytes=1 << 60)) == ["warning"]
    assert not found(config, "disk_space")


def test_files_that_others_may_read(config: NodeConfig) -> None:
    for path in (config.shared_store, config.data, config.node_key):
        before = path.stat().st_mode
        path.chmod(before | 0o044)
        errors = [finding for finding in found(config, "permissions") if str(path) in finding.what]
        assert severities(errors) == ["error"], path
        path.chmod(before)
    assert not found(config, "permissions")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_another_account(config: NodeConfig) -> None:
    os.chown(config.shared_store, 65534, 65534)
    assert severities(found(config, "permissions")) == ["warning"]


def test_a_node_key_that_is_gone(config: NodeConfig) -> None:
    config.node_key.rename(config.node_key.with_name("away"))
    assert "error" in severities(found(config, "permissions"))
    assert severities(found(config, "stores")) == ["error"]


def test_a_store_of_another_node(config: NodeConfig) -> None:
    config.shared_store.write_bytes(config.own_store.read_bytes())
    assert severities(found(config, "stores")) == ["error"]


def test_leftovers_of_a_killed_run(config: NodeConfig) -> None:
    left = [config.module_state.with_name("module.state.new"), config.witness.with_name(config.witness.name + ".new")]
    for path in left:
        path.touch(mode=0o600)
    assert not found(config, "leftovers")  # somebody may be writing it now
    for path in left:
        os.utime(path, (0, 0))
    assert severities(found(config, "leftovers")) == ["warning", "warning"]


def test_a_throw_away_node_that_was_not_finished_is_made_anew_not_mended(config: NodeConfig) -> None:
    mark = config.data / UNFINISHED
    mark.touch(mode=0o600)
    os.utime(mark, (0, 0))
    (finding,) = found(config, "leftovers")
    assert "Leave the file there" in finding.advice  # without it, a node that nobody can unlock would be started
    assert "rm " not in finding.advice


def test_a_socket_that_nobody_serves(config: NodeConfig) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(config.keys_socket))
    assert severities(found(config, "leftovers")) == ["note"]


def test_a_log_that_is_not_written_back(config: NodeConfig) -> None:
    parts = open_parts(config)
    reader = parts.shared.reader()  # whoever reads keeps the log there
    creation.store(parts.shared, [], int(time.time() * 1e6))
    assert severities(found(config, "write_ahead_log", wal_bytes=1)) == ["warning"]
    reader.close()
    assert not found(config, "write_ahead_log", wal_bytes=1)


def test_a_verification_that_is_long_ago_or_found_something(config: NodeConfig) -> None:
    assert severities(found(config, "last_verification")) == ["note"]
    assert severities(found(config, "last_verification", time.time() + 40 * DAY_S)) == ["warning"]
    assert keystead("verify", "--data", config.data).returncode == 0
    assert not found(config, "last_verification")
    assert severities(found(config, "last_verification", time.time() + 40 * DAY_S)) == ["warning"]
    assert note_verification(config.verified, time.time(), 3)
    assert severities(found(config, "last_verification")) == ["error"]
    config.verified.write_text("{}")
    assert severities(found(config, "last_verification")) == ["warning"]


@pytest.mark.row("CB-019")
def test_backups_and_drives_that_are_due(config: NodeConfig, tmp_path: Path) -> None:
    later_s = time.time() + 32 * DAY_S
    assert not found(config, "key_backups", later_s), "who backs nothing up is left in peace"
    drive = tmp_path / "drive"
    drive.mkdir()
    (config.data / FOLDER).mkdir(mode=0o700)
    register(registry_of(open_parts(config)), drive, "vault A, drive 1", Origin.generate(), time.time_ns() // 1000)
    assert [finding.what for finding in found(config, "key_backups")] == [
        "The keys were never backed up (every 31 days)."
    ]
    assert [finding.what for finding in found(config, "key_backups", later_s)] == [
        "The keys were never backed up (every 31 days).",
        "The drive vault A, drive 1 has to be brought and checked (every 31 days).",
    ]
    (config.data / FOLDER / DRIVES_FILE).write_bytes(b"changed")
    assert severities(found(config, "key_backups")) == ["warning"]


# ----------------------------------------------------------------------------------------------------- what it trusts


def test_a_clock_that_was_set_back(config: NodeConfig) -> None:
    assert severities(found(config, "clock", time.time() - 60)) == ["error"]
    assert len(found(config, "clock", time.time() - DAY_S)) == 3  # and before both certificates
    assert not found(config, "clock")


def test_certificates_that_end(config: NodeConfig) -> None:
    assert not found(config, "certificates")
    soon = found(config, "certificates", time.time() + (x509.SERVER_DAYS - 20) * DAY_S)
    assert severities(soon) == ["warning"]
    assert "server" in soon[0].what
    assert severities(found(config, "certificates", time.time() + (x509.SERVER_DAYS + 1) * DAY_S)) == ["error"]
    late = found(config, "certificates", time.time() + (x509.AUTHORITY_DAYS - 20) * DAY_S)
    assert sorted(severities(late)) == ["error", "warning"]


def test_login_attempts_that_run_out(config: NodeConfig) -> None:
    module = open_module(open_parts(config))
    wrong = Secret(bytes(32))
    for left in range(9, -1, -1):
        with pytest.raises(KeysteadError):
            module.login(Role.CRYPTO_USER, wrong)
        expected = ["error"] if not left else ["warning"] if left <= 4 else []
        assert severities(found(config, "module")) == expected, left


def test_a_witness_that_is_missing_or_contradicts(config: NodeConfig) -> None:
    assert severities(found(config, "witness")) == ["warning"]
    config.witness.write_bytes(b"of another node" * 4)
    assert severities(found(config, "witness")) == ["error"]


# ------------------------------------------------------------------------------------------------------ while it runs


def limited(data: Path) -> "subprocess.Popen[str]":
    """Serve with limits that the doctor must name."""
    unprivileged = "setpriv --bounding-set=-all --inh-caps=-all" if os.geteuid() == 0 else ""
    command = f'ulimit -n 1024 -l 65536; exec {unprivileged} "{sys.executable}" -m keystead serve --data "{data}"'
    environment = {**os.environ, "KEYSTEAD_ACCELERATION": "off"}
    return subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, text=True, env=environment)


def test_a_running_node_is_asked(tmp_path: Path) -> None:
    data = production_node.make(tmp_path)
    config = read_config(data)
    with limited(data) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("keystead serves")
            (running,) = found(config, "running")
            assert "locked" in running.what
            assert severities(found(config, "compiled")) == ["note"]
            assert severities(found(config, "memory")) == ["warning"]
            (files,) = found(config, "open_files")
            assert "1024 open files" in files.what
            assert not found(config, "ports")
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            creation.change_own_settings(config, "health", {"enabled": True, "port": port})
            (closed,) = found(config, "ports")
            assert f"health on 127.0.0.1 port {port}" in closed.what
            production_node.unlock(data)
            assert not found(config, "running")
        finally:
            process.terminate()
            process.wait(20)


def test_memory_that_can_be_dumped(config: NodeConfig) -> None:
    """The system has to refuse what no test can make it refuse: the node's own report is changed."""
    state = {"is_core_possible": True, "is_memory_locked": True}
    (finding,) = CHECKS["memory"](Examined(config, Thresholds(), time.time(), None, None, state))
    assert finding.severity is Severity.ERROR


def test_client_certificates_that_end(node: DevNode, tmp_path: Path) -> None:
    for words in (
        ["user", "create", "jack"],
        ["client-certificate", "jack", "--days", "10", "--out", tmp_path / "old"],
    ):
        assert keystead(*words, "--data", node.data).returncode == 0
    config = read_config(node.data)
    (finding,) = found(config, "client_certificates")
    assert "jack expires on" in finding.what
    assert "jack expired on" in found(config, "client_certificates", time.time() + 11 * DAY_S)[0].what
    assert keystead("client-certificate", "jack", "--out", tmp_path / "new", "--data", node.data).returncode == 0
    assert not found(config, "client_certificates")


def test_the_command_tells_people_and_programs(node: DevNode) -> None:
    told = keystead("doctor", "--data", node.data, "--json")
    assert (told.returncode, json.loads(told.stdout)["sound"]) == (0, True)
    assert set(json.loads(told.stdout)["checks"]) == {"stores", *CHECKS}
    (node.data / "clients").chmod(0o755)
    told = keystead("doctor", "--data", node.data)
    (node.data / "clients").chmod(0o700)
    assert told.returncode == 1
    assert [line for line in told.stdout.splitlines() if line.startswith("ERROR   permissions: ")]
