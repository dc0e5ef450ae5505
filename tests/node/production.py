"""A production node for tests, made and driven by the commands of docs/first-key.md."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.kmip.sessions import Client

PINS = {"security-officer": "48151623", "domain": "42108151", "crypto-user": "62342481"}
KEYSTEAD = [sys.executable, "-m", "keystead"]


def keystead(*words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [*KEYSTEAD, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, input=stdin)


def make(folder: Path, *more: str, maker_pin: str = "") -> Path:
    """Make a production node in folder/data with node key and tokens beside it; returns its data folder."""
    answers = folder / "answers"
    given = {**PINS, "token-maker": maker_pin}
    answers.write_text("".join(f"{name} = {pin}\n" for name, pin in given.items() if pin))
    answers.chmod(0o600)
    places = ["--address", "127.0.0.1", "--port", "0", "--health-port", "0"]
    secrets = ["--node-key", str(folder / "safe" / "node.key"), "--tokens", str(folder / "tokens")]
    made = keystead("init", "--data", folder / "data", *secrets, "--answers", answers, *places, *more)
    assert made.returncode == 0, made.stderr
    return folder / "data"


@contextlib.contextmanager
def serving(data: Path, *more: str) -> Iterator[dict[str, int]]:
    """Serve it; yields service -> port."""
    command = [*KEYSTEAD, "serve", "--data", str(data), *more]
    with (data.parent / "serve.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, stdin=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("keystead serves: "), (data.parent / "serve.log").read_text()
        words = line.removeprefix("keystead serves: ").strip().split(", ")
        yield {word.split(" on port ")[0]: int(word.split(" on port ")[1]) for word in words}
    finally:
        process.terminate()
        process.communicate(timeout=20)


def unlock(data: Path) -> subprocess.CompletedProcess[str]:
    """Log the crypto user in."""
    token = data.parent / "tokens" / "crypto-user-1.token"
    return keystead(
        "hsm", "login", "crypto-user", "--token", token, "--answers", data.parent / "answers", "--data", data
    )


def client_of(data: Path, name: str) -> Client:
    """A new user with a certificate."""
    folder = data.parent
    keystead("user", "create", name, "--data", data)
    issued = keystead("client-certificate", name, "--out", folder / name, "--ca", folder / "ca.pem", "--data", data)
    assert issued.returncode == 0, issued.stderr
    return Client(folder / f"{name}.pem", folder / f"{name}.key", folder / "ca.pem")
