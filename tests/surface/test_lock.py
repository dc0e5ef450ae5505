"""What is installed is what was reviewed: one pin and its hashes for every dependency, the same in both lists."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.surface.sources import ROOT

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["dependency-groups"]


def pins(name: str) -> dict[str, str]:
    text = (ROOT / f"requirements/{name}.txt").read_text()
    return {canonicalize_name(package): version for package, version in PIN.findall(text)}


@pytest.mark.parametrize("name", ["runtime", "postgresql", *GROUPS])
def test_every_pin_has_hashes(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text()
    entries = [entry for entry in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if "==" in entry]
    assert entries
    assert not [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]


def test_development_uses_the_versions_that_are_shipped() -> None:
    assert pins("runtime").items() <= pins("postgresql").items() <= pins("dev").items()


@pytest.mark.parametrize(
    ("wanted", "lock"),
    [
        (PROJECT["project"]["dependencies"], "runtime"),
        (PROJECT["project"]["optional-dependencies"]["postgresql"], "postgresql"),
        *((wanted, name) for name, wanted in GROUPS.items()),
    ],
    ids=["runtime", "postgresql", *GROUPS],
)
def test_the_lock_answers_the_package_description(wanted: list[str], lock: str) -> None:
    requirements = [Requirement(line) for line in wanted]
    versions = pins(lock)
    stale = [
        str(need) for need in requirements if versions.get(canonicalize_name(need.name), "none") not in need.specifier
    ]
    assert not stale, "run ./dev lock and commit requirements/ too"
