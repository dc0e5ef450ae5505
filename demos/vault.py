"""Two clients back up to a vault that learns nothing; one is destroyed, rebuilt from its file, and restored."""

import filecmp
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demos.story import Failure, check, say, title

PROGRAMS = {"vault": "keystead.clients.vault", "backup": "keystead.clients.backup"}
TREES = {"alice": Path("docs"), "bob": Path("src")}
TIMEOUT_S = 120


class Story:
    """A vault, its clients and custodians in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "vault"
        self.port = 0
        self.passphrase = self.secret("passphrase", "walnut harbour seventeen")

    def secret(self, name: str, text: str) -> str:
        """Write a file of mode 0600."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        return str(path)

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        command = [sys.executable, "-m", PROGRAMS[program], *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)

    def must(self, program: str, *words: str) -> str:
        """Run a program that has to succeed; return its words."""
        done = self.run(program, *words)
        if done.returncode != 0:
            raise Failure(f"{program} {words[0]}: {done.stderr}")
        return done.stdout + done.stderr

    def at(self, client: str) -> list[str]:
        """Return the arguments that say which client."""
        return ["--client", str(self.folder / client), "--secret-file", str(self.folder / f"{client}.secret")]

    def vault(self, *words: str) -> str:
        """Run a command of the vault."""
        return self.must("vault", *words, "--state", str(self.state))

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve while the body runs."""
        command = [sys.executable, "-m", PROGRAMS["vault"], "serve", "--port", "0", "--state", str(self.state)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                line = process.stdout.readline() if process.stdout else ""
                if "on port" not in line:
                    raise Failure("the vault did not start")
                self.port = int(line.split()[-1])
                yield
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(15)


def make_vault(story: Story) -> str:
    """Make a vault with three custodians; return the fingerprint of their quorum."""
    title("1. A vault, and three custodians of whom two are needed")
    story.vault("init")
    cards = []
    for name in ("anna", "ben", "carla"):
        place = "--folder", str(story.folder), "--passphrase-file", story.passphrase
        story.must("vault", "custodian", "new", name, *place)
        cards += ["--card", str(story.folder / f"{name}.card")]
    said = story.vault("safeguard", "--mode", "mandatory", "--threshold", "2", *cards)
    fingerprint = said.partition("fingerprint: ")[2].strip()
    say("The provider makes safeguarding mandatory. The customer compares the fingerprint of the quorum:")
    say(fingerprint)
    story.vault("account", "add", "acme")
    return fingerprint


def set_up(story: Story, client: str, fingerprint: str, account_key: str) -> None:
    """Set one client up."""
    words = [
        "--vault",
        f"https://127.0.0.1:{story.port}",
        "--ca",
        str(story.state / "ca.pem"),
        "--name",
        f"acme/{client}",
    ]
    words += ["--code-file", str(story.folder / f"{client}.code")]
    words += ["--private-key-file", story.secret(f"{client}.text", f"{client} keeps this secret")]
    words += ["--account-key-file", story.secret("account.text", account_key)]
    words += ["--safeguard", fingerprint] if fingerprint else []
    story.must("backup", "setup", *words, *story.at(client))


def back_up(story: Story, fingerprint: str) -> None:
    """Two clients of one account back up; what may not connect is told why."""
    title("2. Two clients of one account back up real trees")
    for client in TREES:
        said = story.vault("client", "add", "acme", client)
        story.secret(f"{client}.code", said.split()[-1])
    set_up(story, "alice", "", "ours together")
    refused = story.run("backup", "status", *story.at("alice")).stderr
    check(
        "have enabled key safeguarding" in refused,
        "Alice without safeguarding is refused, in words that say what to do.",
    )
    set_up(story, "alice", fingerprint, "ours together")
    say(story.must("backup", "backup", "--quiet", str(TREES["alice"].resolve()), *story.at("alice")).strip())
    set_up(story, "bob", fingerprint, "something else")
    refused = story.run("backup", "status", *story.at("bob")).stderr
    check("account key is another one" in refused, "Bob with another account key than Alice is refused.")
    set_up(story, "bob", fingerprint, "ours together")
    say(story.must("backup", "backup", "--quiet", str(TREES["bob"].resolve()), *story.at("bob")).strip())


def look_into(story: Story) -> None:
    """Search the vault's folder."""
    title("3. What somebody finds who steals the whole vault")
    everything = b"".join(path.read_bytes() for path in story.state.rglob("*") if path.is_file())
    secrets = [
        b"keeps this secret",
        b"ours together",
        b"backup-client.md",
        b"remote_depot.py",
        b"Whoever loses the keys",
    ]
    check(
        not any(one in everything for one in secrets),
        f"{len(everything)} bytes, and no key text, file name or content.",
    )


def rebuild(story: Story) -> None:
    """Destroy Alice's machine, make a registration file, rebuild and restore."""
    title("4. Alice's machine is destroyed; two custodians approve a registration file")
    shutil.rmtree(story.folder / "alice")
    (story.folder / "alice.secret").unlink()
    request, made = story.folder / "alice.request", story.folder / "alice.ckr"
    secret = "--passphrase-file", story.passphrase
    why = "--reason", "the machine was destroyed", "--requester", "Help desk"
    story.vault("registration", "request", "acme", "alice", *why, "--out", str(request), *secret)
    approvals: list[str] = []
    for name in ("anna", "carla"):
        out = story.folder / f"{name}.approval"
        who = "--custodian", str(story.folder / f"{name}.custodian")
        say(
            story.must("vault", "custodian", "approve", str(request), *who, "--out", str(out), "--yes", *secret).strip()
        )
        approvals += ["--approval", str(out)]
        if len(approvals) == 2:  # the flag and one file
            finish = "registration", "finish", str(request), *approvals, "--out", str(made), "--state", str(story.state)
            check(story.run("vault", *finish, *secret).returncode != 0, "One approval alone makes no file.")
    story.vault("registration", "finish", str(request), *approvals, "--out", str(made), *secret)
    say(story.must("backup", "setup", "--registration", str(made), *secret, *story.at("alice2")).strip())
    back = story.folder / "back"
    story.must("backup", "restore", "--quiet", str(back), *story.at("alice2"))
    check(_same(TREES["alice"], next(back.rglob(TREES["alice"].name))), "Every file of Alice is back, bit for bit.")
    log = story.vault("log")
    check(
        "made for Help desk" in log,
        "The vault's log says who asked and why; the custodians' receipt goes to the client.",
    )


def _same(one: Path, other: Path) -> bool:
    names = sorted(path.relative_to(one) for path in one.rglob("*"))
    if names != sorted(path.relative_to(other) for path in other.rglob("*")):
        return False
    files = [str(name) for name in names if (one / name).is_file()]
    return not any(filecmp.cmpfiles(one, other, files, shallow=False)[1:])


def main() -> int:
    """Tell the story; return 0 only if all of it held."""
    with tempfile.TemporaryDirectory(prefix="keystead-demo-") as folder:
        story = Story(Path(folder))
        try:
            fingerprint = make_vault(story)
            with story.serving():
                back_up(story, fingerprint)
                look_into(story)
                rebuild(story)
        except (Failure, subprocess.TimeoutExpired) as failure:
            print(f"\nFAILED: {failure}", file=sys.stderr)
            return 1
    title("Proved")
    say("A vault that holds two clients' backups holds no key, name or content of theirs; clients with wrong keys are")
    say("refused in plain words; a destroyed client came back from its file, which needed two of three custodians.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
