"""A node with tokens and drives."""

from pathlib import Path

import pytest

from tests.support.drives import Kinds, Room, fill, make_token
from tests.support.modules import Bench
from tests.support.tokens import softhsm_folder, softhsm_library


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    """Two tokens, one with keys of every kind and one empty."""
    library = softhsm_library()
    monkeypatch.setenv("SOFTHSM2_CONF", str(softhsm_folder(tmp_path)))
    for label in ("payroll", "spare"):
        make_token(label)
    bench = Bench()
    return Room(tmp_path / "node", library, bench.unlocked(), bench)


@pytest.fixture
def secrets(room: Room) -> list[bytes]:
    """What the token `payroll` holds."""
    return fill(room.library, "payroll", Kinds())
