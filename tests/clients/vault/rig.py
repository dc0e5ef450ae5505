"""A real vault as a process, and its clients as commands."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keystead.clients.backup.__main__ import main as backup
from keystead.clients.vault.__main__ import main as vault
from keystead.clients.vault.ledger import Ledger

SERVER = sys.executable, "-m", "keystead.clients.vault"
PASSPHRASE = "correct horse battery"


class Rig:
    """A vault's folder and its clients' folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "vault"
        self.port = 0
        folder.mkdir(exist_ok=True, parents=True)
        assert self.vault("init") == 0
        self.passphrase = self.secret("passphrase", PASSPHRASE)

    def vault(self, *words: str) -> int:
        """Run `keystead-vault` with the vault's folder."""
        return vault([*words, "--state", str(self.state)])

    def secret(self, name: str, text: str) -> str:
        """Return a file of mode 0600 with a text."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        return str(path)

    def enrol(self, name: str, *more: str) -> str:
        """Add a client (and its account); return the file with its code."""
        account, _, client = name.partition("/")
        self.vault("account", "add", account)
        done = subprocess.run(
            [*SERVER, "client", "add", account, client, *more, "--state", str(self.state)],
            capture_output=True,
            text=True,
            check=True,
        )
        return self.secret(f"code-{account}-{client}", done.stdout.split()[-1])

    def setup(self, name: str, code: str, private: str, account: str = "", *more: str, at: str = "") -> int:
        """Set a client up."""
        words = ["--vault", self.url, "--ca", str(self.state / "ca.pem"), "--name", name, "--code-file", code]
        words += ["--private-key-file", self.secret(f"private-{at or name.replace('/', '-')}", private)]
        if account:
            words += ["--account-key-file", self.secret("account-key", account)]
        return self.client(at or name, "setup", *words, *more)

    def client(self, at: str, command: str, *words: str) -> int:
        """Run `keystead-backup` as a client."""
        place = self.place(at)
        quiet = [] if command in ("setup", "configure") else ["--quiet"]
        return backup([command, *words, "--client", str(place), "--secret-file", f"{place}.secret", *quiet])

    def place(self, at: str) -> Path:
        """Return a client's folder."""
        return self.folder / "clients" / at.replace("/", "-")

    @property
    def url(self) -> str:
        """Return the vault's address."""
        return f"https://127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve while the body runs."""
        command = [sys.executable, "-m", "keystead.clients.vault", "serve", "--port", str(self.port)]
        with subprocess.Popen([*command, "--state", str(self.state)], stdout=subprocess.PIPE, text=True) as process:
            try:
                line = process.stdout.readline() if process.stdout else ""
                assert "on port" in line
                self.port = int(line.split()[-1])
                yield
            finally:
                process.terminate()
                process.wait(15)

    def make_custodians(self, count: int, prefix: str = "custodian") -> list[str]:
        """Make custodians; return the arguments that name their cards."""
        words = []
        for number in range(1, count + 1):
            name = f"{prefix}{number}"
            made = ["custodian", "new", name, "--folder", str(self.folder), "--passphrase-file", self.passphrase]
            assert vault(made) == 0
            words += ["--card", str(self.folder / f"{name}.card")]
        return words

    def fingerprint(self) -> str:
        """Return the fingerprint of the vault's quorum."""
        ledger = Ledger(self.state)
        quorum = ledger.policy()[1]
        ledger.close()
        return quorum.fingerprint.hex() if quorum else ""

    def request(self, name: str, out: str) -> int:
        """Ask for a registration file."""
        account, _, client = name.partition("/")
        words = ["--reason", "the machine burnt", "--requester", "Help desk", "--out", str(self.folder / out)]
        return self.vault("registration", "request", account, client, *words, "--passphrase-file", self.passphrase)

    def approve(self, request: str, number: int, out: str, prefix: str = "custodian") -> int:
        """Approve as one custodian."""
        who = str(self.folder / f"{prefix}{number}.custodian")
        words = ["--custodian", who, "--out", str(self.folder / out), "--yes", "--passphrase-file", self.passphrase]
        return vault(["custodian", "approve", str(self.folder / request), *words])

    def finish(self, request: str, approvals: list[str], out: str) -> int:
        """Make the registration file."""
        words = [word for one in approvals for word in ("--approval", str(self.folder / one))]
        words += ["--out", str(self.folder / out), "--passphrase-file", self.passphrase]
        return self.vault("registration", "finish", str(self.folder / request), *words)
