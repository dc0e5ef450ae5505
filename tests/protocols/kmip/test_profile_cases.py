"""The OASIS profile cases of 1.0 to 2.0, in this process: those that need only what is offered pass, but for a few."""

import re
from pathlib import Path
from typing import Any

import pytest

from keystead.protocols.kmip.translate.operations import OPERATIONS
from tests.support.components import ROOT
from tests.support.kmip_loopback import Loopback
from tests.support.kmip_profiles import operations_of, play

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "2.0")

NOT_PASSED = {
    "CS-AC-M-3-ECC": "it verifies an ECDSA signature with parameters of RSA, which are refused",
    "CS-BC-M-2": "its answer belongs to a key that this server did not make",
    "CS-BC-M-3": "its answer belongs to a key that this server did not make",
    "CS-BC-M-CHACHA20POLY1305-1": "a tag shorter than 16 bytes is not taken (RFC 8439)",
    "OMOS-O-1": "its last answer is of another version than the request",
    "PKCS11-M-1": "the operation PKCS#11 is not offered",
    "QS-M-1": "it wants Adjust Attribute, Export, Import, Log and Set Endpoint Role to be offered",
    "SKFF-O-6-11": "its answer has an Object Group that nobody gave",
}
"""Case, or family of cases -> why it does not pass."""

PAGE = ROOT / "docs" / "conformance.md"


PASSED_MIN = 265


def excuse(case: str) -> str | None:
    return next((why for name, why in NOT_PASSED.items() if re.fullmatch(rf"{re.escape(name)}(-\d+)*", case)), None)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the runner leaves files to the garbage collector
@pytest.mark.row("KS-KMIP-017", "KS-KMIP-018", "KS-KMIP-037")
def test_cases_of_what_is_offered_pass(shared_folder: Path, loopback: Loopback) -> None:
    needed = operations_of(shared_folder, VERSIONS)
    results = play(shared_folder, loopback, VERSIONS)
    failures = {
        result["id"]: (result["step"], result["operation"], result["detail"])
        for result in results
        if result["result"] in {"fail", "error"}
        and needed[result["id"]] <= set(OPERATIONS)
        and excuse(result["id"]) is None
    }
    assert not failures
    assert sum(result["result"] == "pass" for result in results) >= PASSED_MIN
    table = table_of(results)
    print("\n".join(table))
    page = PAGE.read_text().splitlines()
    assert [line for line in table if line not in page] == []
    assert {why for why in NOT_PASSED.values() if why not in PAGE.read_text()} == set()


def table_of(results: list[dict[str, Any]]) -> list[str]:
    """Passed of all by profile and version, as a table for a page; "-" where there are no cases."""
    counts: dict[str, dict[str, list[bool]]] = {}
    for result in results:
        if result["result"] != "not-applicable":
            profile = re.split(r"-[MO]-", result["id"])[0]
            counts.setdefault(profile, {}).setdefault(result["version"], []).append(result["result"] == "pass")
    lines = []
    for profile, versions in sorted(counts.items()):
        cells = [versions.get(version) for version in VERSIONS]
        told = ["-" if passed is None else f"{sum(passed)} of {len(passed)}" for passed in cells]
        lines.append(f"| {profile} | {' | '.join(told)} |")
    sums = [[one for versions in counts.values() for one in versions.get(version, ())] for version in VERSIONS]
    lines.append(f"| all | {' | '.join(f'{sum(one)} of {len(one)}' for one in sums)} |")
    return lines
