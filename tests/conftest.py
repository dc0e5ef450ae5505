"""Fixtures for every test, and the record of requirement rows (tests/support/results.py)."""

import os
from pathlib import Path

import hypothesis
import pytest

from tests.support import components, results

# A busy machine is no counter-example. With CI=true the examples are the same in every run.
hypothesis.settings.register_profile("keystead", deadline=None, derandomize=os.environ.get("CI") == "true")
hypothesis.settings.load_profile("keystead")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--results", metavar="FOLDER", help="add rows.json and summary.json to this folder")


def pytest_configure(config: pytest.Config) -> None:
    folder = config.getoption("--results")
    is_worker = hasattr(config, "workerinput")  # under xdist the reports of all workers reach the one controller
    if folder and not is_worker:
        config.pluginmanager.register(results.Results(Path(folder)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.user_properties += [(results.PROPERTY, row) for row in results.claimed_rows(item)]


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """`../shared` beside the repository; without it the test is skipped, or fails when CI=true."""
    return components.shared_folder()
