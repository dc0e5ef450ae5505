"""The script `./dev`: what it says of itself and how it refuses. (Its commands are proven by being used.)"""

import re
import subprocess

import pytest

from tests.support.components import ROOT

DEV = ROOT / "dev"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DEV, *arguments], cwd="/", capture_output=True, text=True, check=False)


def test_help_names_every_command() -> None:
    cases = DEV.read_text().split("case $command in", 1)[1]
    commands = set(re.findall(r"^    (\w+)\)", cases, re.MULTILINE))
    assert {"setup", "demo", "serve", "check", "test", "bench", "docs"} <= commands
    assert commands == set(re.findall(r"^  (\w+) ", run().stdout, re.MULTILINE))


def test_an_unknown_command_is_answered_with_the_help() -> None:
    done = run("tset")
    assert done.returncode == 2
    assert "usage: ./dev" in done.stderr


@pytest.mark.parametrize("command", ["demo", "bench"])
def test_an_unknown_name_is_answered_with_those_there_are(command: str) -> None:
    done = run(command, "no_such_thing")
    assert done.returncode == 2
    assert "There is:" in done.stderr


def test_setup_does_nothing_the_second_time() -> None:
    run("setup")
    done = run("setup")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
