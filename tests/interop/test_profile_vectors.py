"""The acceptance runner plays the OASIS profile cases, unmodified, against a node over TLS."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.dev_node import DevNode

VERSIONS = "1.0,1.1,1.2,1.3,1.4,2.0"
PASSED_MIN = 265  # of 277; why the others do not is in docs/conformance.md


@pytest.mark.slow
@pytest.mark.row("KS-KMIP-017", "KS-KMIP-018")
def test_the_profile_cases(node: DevNode, shared_folder: Path, tmp_path: Path) -> None:
    who = node.client()
    results = tmp_path / "results.json"
    kmip = shared_folder / "kmip"
    command = [
        *(sys.executable, str(kmip / "runner" / "kmip_vectors.py"), "--host", "127.0.0.1", "--port", str(node.port)),
        *("--ca", str(who.authority), "--cert", str(who.certificate), "--key", str(who.key)),
        *("--vectors", str(kmip / "vectors"), "--versions", VERSIONS, "--json", str(results)),
        *("--require", str(PASSED_MIN)),
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    cases = json.loads(results.read_text())["results"]
    table = Counter((case["version"], case["result"]) for case in cases)
    for version in VERSIONS.split(","):
        passed, failed = table[version, "pass"], table[version, "fail"] + table[version, "error"]
        print(f"KMIP {version}: {passed:3} of {passed + failed:3}")
    print(run.stdout.splitlines()[-1])
    assert not [case["id"] for case in cases if case["result"] == "error"]
    assert run.returncode == 0, run.stdout[-2000:]
