"""PyKMIP's own integration tests, which come in its source distribution, unchanged against a node."""

import re
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.support.components import ROOT, skip_or_fail
from tests.support.dev_node import DevNode

FOLDER = "kmip/tests/integration/"
FILES = ("test_proxykmipclient.py", "test_integration.py")  # test_kmip_client.py starts a script that is gone
TEST_COUNT = 37
DOWNLOAD_S_MAX = 120
TESTS_S_MAX = 240


@pytest.fixture(scope="module")
def own_tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their folder, from the archive that the lock names by its hash."""
    work = tmp_path_factory.mktemp("pykmip")
    lock = (ROOT / "requirements" / "dev.txt").read_text()
    pinned = re.search(r"^pykmip==.*?(?=^\S)", lock, re.MULTILINE | re.DOTALL)
    assert pinned is not None
    (work / "pinned.txt").write_text(pinned.group())
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"),
        *("--no-binary", ":all:", "--no-build-isolation", "--require-hashes"),
        *("--requirement", str(work / "pinned.txt"), "--dest", str(work)),
    ]
    try:
        subprocess.run(command, capture_output=True, check=True, timeout=DOWNLOAD_S_MAX)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        skip_or_fail("PyKMIP's source distribution, from the package index")
    (archive,) = work.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        for member in packed.getmembers():
            inside = member.name.partition("/")[2]
            if member.isfile() and inside.startswith(FOLDER):
                content = packed.extractfile(member)
                assert content is not None
                target = work / "integration" / inside.removeprefix(FOLDER)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())
    return work / "integration"


@pytest.mark.slow
def test_all_of_them_pass(node: DevNode, own_tests: Path, tmp_path: Path) -> None:
    who = node.client()
    (tmp_path / ".pykmip").mkdir()
    (tmp_path / ".pykmip" / "pykmip.conf").write_text(
        f"[client]\nhost=127.0.0.1\nport={node.port}\nkeyfile={who.key}\ncertfile={who.certificate}\n"
        f"ca_certs={who.authority}\ncert_reqs=CERT_REQUIRED\nssl_version=PROTOCOL_SSLv23\n"
        "do_handshake_on_connect=True\nsuppress_ragged_eofs=True\n"
    )
    results = tmp_path / "results.xml"
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-W", "ignore"),
        *("-c", "/dev/null", "--rootdir", str(own_tests), f"--junitxml={results}", "--config", "client"),
        *(str(own_tests / "services" / name) for name in FILES),
    ]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONWARNINGS": "ignore"}
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=TESTS_S_MAX, check=False, env=environment, cwd=own_tests
    )
    cases = list(ET.parse(results).iter("testcase"))
    failed = [case.get("name") for case in cases if len(case) and case[0].tag in {"failure", "error"}]
    assert failed == [], run.stdout[-3000:]
    assert len(cases) == TEST_COUNT
