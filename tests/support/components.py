"""Things outside the repository that a test may need, and what happens without them.

A developer without a component sees the test skipped, and `./dev test` says so at its end. With CI=true nobody would
see it, so there the same test fails.
"""

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
MISSING = "missing component: "


def skip_or_fail(reason: str) -> NoReturn:
    """End the running test because `reason` is not there: skipped for a person, failed when CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(MISSING + reason, pytrace=False)
    pytest.skip(MISSING + reason)


def shared_folder() -> Path:
    """The folder beside the repository with the requirement rows and third-party vectors."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        skip_or_fail("../shared, the requirement rows and third-party vectors beside the repository")
    return folder
