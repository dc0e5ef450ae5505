"""Having the REST interface tried against its own description, with as many examples as there is time for."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from keystead.node.folder import read_config, unix_address
from tests.support.dev_node import DevNode
from tests.support.rest.client import stranger
from tests.support.rest.world import built

SEED = 20_261_122
SETTINGS = ("module.activation_window_s=600",)
"""Of the node, so that a partition that a request has deactivated can be activated again."""

NOT_TRIED = {("GET", "/v1/openapi.json"): "the tester reads it, and leaves it out"}
SUCCEEDED_SHARE_MIN = 0.9
"""Of the operations: answered with success at least once."""


@dataclass(frozen=True)
class Tried:
    """What came of it.

    Attributes:
        said: What the tester printed, "" when it found nothing.
        cases_count: Requests.
        described: Method and path of each operation.
        succeeded: Those that were answered with success at least once.
        statuses: Status -> how often.
    """

    said: str
    cases_count: int
    described: frozenset[tuple[str, str]]
    succeeded: frozenset[tuple[str, str]]
    statuses: dict[int, int]


def tried(folder: Path, examples_count: int, timeout_s: float) -> Tried:
    """Try every operation of a new node with the web door and SSH.

    Raises:
        subprocess.TimeoutExpired: it took too long.
    """
    node = DevNode(folder / "node", SETTINGS, web=True, ssh=True)
    node.folder.mkdir()
    node.start()
    try:
        done = _run(node, folder, examples_count, timeout_s)
        described = stranger(node).told("GET", "/openapi.json")["paths"]
    finally:
        node.stop()
    pairs = frozenset((method.upper(), path) for path, methods in described.items() for method in methods)
    succeeded, statuses = _read(folder / "answered")
    said = "" if done.returncode == 0 else done.stdout[-12_000:]
    return Tried(said, sum(statuses.values()), pairs, succeeded, statuses)


def _run(node: DevNode, folder: Path, examples_count: int, timeout_s: float) -> subprocess.CompletedProcess[str]:
    world = dataclasses.asdict(built(node))
    insecure = node.data / "insecure"
    answers = folder / "answers"
    answers.write_text(f"crypto-user = {(insecure / 'crypto-user.pin').read_text().strip()}\n")
    answers.chmod(0o600)
    token = ("--token", str(insecure / "crypto-user.token"), "--answers", str(answers))
    world["login"] = ["hsm", "login", "crypto-user", *token, "--data", str(node.data)]
    world["door"] = unix_address(read_config(node.data).local_socket)
    world["answers"] = str(folder / "answered")
    (folder / "world.json").write_text(json.dumps(world))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", node.ready["rest"]["openapi"]),
        *("--checks", "all", "--max-examples", str(examples_count), "--seed", str(SEED)),
        *("--tls-verify", node.ready["ca_certificate"], "--no-color"),
    ]
    hooks = str(Path(__file__).with_name("hooks.py"))
    environment = {"SCHEMATHESIS_HOOKS": hooks, "KEYSTEAD_WORLD": str(folder / "world.json"), "HOME": str(folder)}
    kept = {name: os.environ[name] for name in ("PATH", "KEYSTEAD_ACCELERATION", "TMPDIR") if name in os.environ}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=folder, env=kept | environment
    )


def _read(answers: Path) -> tuple[frozenset[tuple[str, str]], dict[int, int]]:
    """Method and path of what was answered with success, and how often each status came."""
    found, statuses = set(), dict[int, int]()
    with answers.open() as lines:
        for line in lines:
            status, method, path = line.split()
            statuses[int(status)] = statuses.get(int(status), 0) + 1
            if status.startswith("2"):
                found.add((method, path))
    return frozenset(found), dict(sorted(statuses.items()))
