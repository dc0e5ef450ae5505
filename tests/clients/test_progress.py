import os
from pathlib import Path

import pytest

from keystead.clients.secure_module import progress


@pytest.mark.parametrize(
    ("done", "expected", "passed", "told"),
    [
        (0, 10**9, 1.0, "  0 %, 0 MB/s, 1000000000 s left"),
        (5 * 10**8, 10**9, 5.0, " 50 %, 100 MB/s, 5 s left"),
        (11 * 10**8, 10**9, 11.0, "100 %, 100 MB/s, 0 s left"),
        (0, 0, 0.0, "  0 %, 0 MB/s, 0 s left"),
    ],
)
def test_a_line_tells_share_rate_and_time_left(done: int, expected: int, passed: float, told: str) -> None:
    assert progress.line(done, expected, passed) == told


def test_nothing_is_shown_where_nobody_looks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    with progress.shown(descriptor, 10):
        pass
    os.close(descriptor)
    assert capsys.readouterr().err == ""
