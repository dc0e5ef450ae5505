"""docs/authorities.md as it stands: every command is run, in order, with another folder and files of a foreign CA."""

import subprocess
import sys
from pathlib import Path

from tests.node.test_people import is_served
from tests.node.test_users_page import commands_of, ran
from tests.support.authorities import a_root
from tests.support.dev_node import DevNode


def test_every_command_of_the_page_works(own_node: DevNode) -> None:
    company = a_root("Company")
    (own_node.folder / "company-ca.pem").write_text(company.pem)
    (own_node.folder / "company.crl").write_bytes(company.revocation_list([1, 2]))
    authority = Path(own_node.ready["ca_certificate"])
    foreign, own = company.client(own_node.folder, "alice", authority), own_node.client("alice")
    served: dict[str, tuple[bool, bool]] = {}
    said: dict[str, str] = {}
    for command in commands_of("authorities.md"):
        words = " ".join(command.split()[1:4])
        said[words] = ran(command, own_node, "")
        served[words] = is_served(own_node, foreign), is_served(own_node, own)
    assert served["ca install company"] == (False, True)
    assert served["ca-profile add default"] == (True, True)
    assert served["ca-profile add company-only"] == (True, True)
    assert served["ca install-crl company.crl"] == (True, False)
    assert served["ca-profile remove default"] == (False, True)
    assert "2 revoked" in said["ca list --data"]
    ended = [sys.executable, "-m", "keystead", "ca", "list", "--data", str(own_node.data)]
    left = subprocess.run(ended, capture_output=True, text=True, check=True, timeout=60).stdout
    assert left.startswith("clients  local")
    assert "company" not in left
