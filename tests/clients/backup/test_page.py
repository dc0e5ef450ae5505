"""docs/backup-client.md tells the risk, says whose work is used, and its commands are those of the program."""

import re
import shlex

import pytest

from keystead.clients.backup.__main__ import COMMANDS, _parser
from tests.support.components import ROOT

PAGE = ROOT / "docs/backup-client.md"
SOURCES = ROOT / "src/keystead/clients/backup"


@pytest.mark.row("DS-013")
def test_the_page_says_first_that_lost_keys_are_lost_backups() -> None:
    beginning = PAGE.read_text().split("\n## ", 1)[0]
    assert "Whoever loses the keys loses the backups" in beginning
    assert "Nobody can decrypt them then" in beginning
    assert "Keep a copy of the keys" in beginning


@pytest.mark.row("DS-018")
def test_the_page_names_the_libraries_that_do_the_work_and_claims_nothing() -> None:
    section = PAGE.read_text().split("## Which work is done by which library\n", 1)[1].split("\n## ", 1)[0]
    sources = "".join(path.read_text() for path in SOURCES.glob("*.py"))
    for library in ("fastcdc", "zstandard", "cryptography"):
        assert library in section
        assert re.search(rf"^(import|from) {library}\b", sources, re.MULTILINE)
    assert "No validation or certificate is claimed" in section


def test_every_command_on_the_page_is_understood() -> None:
    lines = re.findall(r"^    keystead-backup (.+)$", PAGE.read_text(), re.MULTILINE)
    called = {_parser().parse_args(shlex.split(line, comments=True)).command for line in lines}
    assert called == {*COMMANDS}
