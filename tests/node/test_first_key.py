"""docs/first-key.md as it stands: every command is run, with other folders and a free port."""

import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from tests.node.production import PINS

PAGE = Path(__file__).parents[2] / "docs" / "first-key.md"
COMMANDS = re.findall(r"```sh\n(.*?)\n```", PAGE.read_text(), re.DOTALL)
PROGRAM = re.findall(r"```python\n(.*?)\n```", PAGE.read_text(), re.DOTALL)[0]
PORT = "25696"


def placed(text: str, folder: Path) -> str:
    """Put the page's folders and the command's name where the test wants them."""
    text = text.replace("/srv/keystead", str(folder)).replace("keystead ", f"{sys.executable} -m keystead ", 1)
    return text + (f" --address 127.0.0.1 --port {PORT}" if " init " in text else "")


def answered(command: str, folder: Path) -> str:
    """Run a command at a terminal, type PINs when it asks, return what it said."""
    child = pexpect.spawn(command, cwd=str(folder), timeout=60, encoding="utf-8")
    said = last = ""
    while True:
        asked = child.expect(
            [r"security officer.*: $", r"domain.*: $", r"crypto.user.*: $", r"Once more: $", pexpect.EOF]
        )
        said += child.before or ""
        if asked == 4:
            break
        last = PINS[("security-officer", "domain", "crypto-user")[asked]] if asked < 3 else last
        child.sendline(last)
    child.close()
    assert child.exitstatus == 0, said
    return said


@pytest.mark.row("KS-HSM-024")
def test_a_new_pin_is_typed_twice_and_nothing_is_made_when_they_differ(tmp_path: Path) -> None:
    child = pexpect.spawn(placed(COMMANDS[0], tmp_path), cwd=str(tmp_path), timeout=60, encoding="utf-8")
    child.expect(r"New PIN for the security.officer.*: $")
    child.sendline("13572468")
    child.expect(r"Once more: $")
    child.sendline("13572469")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    assert "the two PINs differ; nothing was made" in (child.before or "")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.row("KS-HSM-002", "KS-HSM-022")
def test_every_command_of_the_page_works(tmp_path: Path) -> None:
    init, serve, *others = [placed(command, tmp_path) for command in COMMANDS]
    said = answered(init, tmp_path)
    assert "SOFTWARE security module" in said
    tokens = {path.name for path in tmp_path.rglob("*.token")}
    assert {name.rpartition("-")[0] for name in tokens} == {*PINS}
    assert "one spare set belongs elsewhere" in said
    assert "keep one spare set elsewhere" in PAGE.read_text()
    assert not [pin for pin in PINS.values() if pin in said]
    server = pexpect.spawn(serve, cwd=str(tmp_path), timeout=60, encoding="utf-8")
    try:
        server.expect("The node is locked")
        for command in others:
            answered(command, tmp_path)
        program = PROGRAM.replace("5696", PORT)
        ran = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert re.search(r"first key: \S+ 32 bytes", ran.stdout), ran.stderr
    finally:
        server.sendintr()
        server.expect(pexpect.EOF, timeout=15)
