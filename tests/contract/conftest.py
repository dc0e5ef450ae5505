"""A store of each engine, with a reader and a writer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.storage.store import Reader, Store, Writer
from tests.support.engines import ENGINES


@pytest.fixture(params=list(ENGINES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return ENGINES[request.param](tmp_path)


@pytest.fixture
def reader(store: Store) -> Iterator[Reader]:
    opened = store.reader()
    yield opened
    opened.close()


@pytest.fixture
def writer(store: Store) -> Iterator[Writer]:
    opened = store.writer()
    yield opened
    opened.close()
