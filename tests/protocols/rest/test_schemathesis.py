"""The description holds: schemathesis asks every route with what fits it and with what does not, all checks on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keystead.operations.api_tokens import SCOPES
from tests.support.dev_node import DevNode
from tests.support.rest.client import administrator

EXAMPLES_COUNT = 4
SEED = 20_261_122
SILENT_SHARE_MAX = 0.5
"""Of the operations, with so few examples: those on things that are not there, and a person's own, not a token's."""


@pytest.mark.timeout(300)
def test_every_route_is_as_described(tmp_path: Path) -> None:
    node = DevNode(tmp_path, web=True)
    node.start()
    try:
        admin = administrator(node)
        token = admin.told("POST", "/api-tokens", {"label": "tester", "scopes": list(SCOPES)})["token"]
        report = tmp_path / "report.ndjson"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", node.ready["rest"]["openapi"]),
                *("--checks", "all", "--max-examples", str(EXAMPLES_COUNT), "--seed", str(SEED)),
                *("--tls-verify", node.ready["ca_certificate"], "-H", f"Authorization: Bearer {token}"),
                *("--report-ndjson-path", str(report), "--no-color"),
            ],
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stdout[-6000:]
        described = admin.told("GET", "/openapi.json")["paths"]
    finally:
        node.stop()
    pairs = {(method.upper(), path) for path, methods in described.items() for method in methods}
    succeeded = answered_well(report)
    assert len(pairs - succeeded) / len(pairs) <= SILENT_SHARE_MAX, sorted(pairs - succeeded)
    assert succeeded <= pairs


def answered_well(report: Path) -> set[tuple[str, str]]:
    """Method and path of what was answered with success at least once."""
    found = set()
    for line in report.read_text().splitlines():
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder") or {}
        for name, interaction in recorder.get("interactions", {}).items():
            response = interaction.get("response") or {}
            if 200 <= response.get("status_code", 0) < 300:
                case = recorder["cases"][name]["value"]
                found.add((case["method"], case["path"]))
    return found
