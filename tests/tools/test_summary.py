import json
from pathlib import Path

import pytest

from tools import summary


def finished(folder: Path, **figures: object) -> Path:
    (folder / "summary.json").write_text(json.dumps({"passed": 0, "failed": 0, "skipped": 0, "skips": {}} | figures))
    (folder / "rows.json").write_text("{}")
    return folder


def test_the_last_line_is_plain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary.main(finished(tmp_path, passed=7, skipped=1, skips={"test_it": "no such device"})) == 0
    output = capsys.readouterr().out
    assert "no such device" in output
    assert output.splitlines()[-1] == "tests: 7 passed, 0 failed, 1 skipped"


@pytest.mark.parametrize("figures", [{"passed": 7, "failed": 1}, {"skipped": 3}])
def test_a_run_that_failed_or_tested_nothing(tmp_path: Path, figures: dict[str, int]) -> None:
    assert summary.main(finished(tmp_path, **figures)) == 1


def test_a_run_that_never_came_to_its_end(tmp_path: Path) -> None:
    assert summary.main(tmp_path) == 1
