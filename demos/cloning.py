"""A secure module is cloned to nine others, and to none that is not genuine: ./dev demo cloning"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from demos.story import Failure, check, say, title
from keystead.clients.coordinator import relay
from keystead.custody.modules.messages import Options

WAIT_S = 30
ADMINISTRATOR, USER, DESTROY = "7340182659", "40917356", "958203174650321"
TEXT = b"The recipe of the house, which nine branches may read and nobody else.\n" * 4000


class Table:
    """A table with a hub on it.

    Args:
        folder: Where all of it lies.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.hub = folder, folder / "hub"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.pins = {pin: self.pin_file(pin) for pin in (ADMINISTRATOR, USER, DESTROY)}

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `keystead-module` or `keystead-coordinator`."""
        command = [sys.executable, "-m", f"keystead.clients.{program}", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def must(self, program: str, *words: str) -> str:
        """Run it; it has to work."""
        done = self.run(program, *words)
        if done.returncode:
            raise Failure(f"{program} {words[0]}: {done.stderr.strip()}")
        return done.stdout

    def make(self, serial: str, *words: str, root: str = "manufacturer") -> None:
        """Manufacture a module and plug it in."""
        key = str(self.folder / f"{serial}.key")
        place = (str(self.folder / serial), "--serial", serial.removesuffix(".twin"), "--device-key", key)
        self.must("secure_module", "manufacture", *place, "--root", str(self.folder / root), *words)
        self.plug(serial)

    def plug(self, serial: str) -> None:
        """Plug it in."""
        command = [sys.executable, "-m", "keystead.clients.secure_module", "plug", str(self.folder / serial)]
        command += ["--device-key", str(self.folder / f"{serial}.key"), "--hub", str(self.hub)]
        with (self.folder / f"{serial}.log").open("ab") as log:
            self.processes[serial] = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + WAIT_S
        while not (self.hub / f"{serial}.sock").exists():
            if self.processes[serial].poll() is not None or time.monotonic() > deadline:
                raise Failure(f"{serial} does not start: {(self.folder / f'{serial}.log').read_text()}")
            time.sleep(0.05)

    def own(self, serial: str, *words: str, pin: str = "") -> str:
        """Do something as the owner of a module."""
        more = ("--pin-file", self.pins[pin]) if pin else ()
        return self.must("secure_module", words[0], str(self.folder / serial), *words[1:], *more)

    def pin_file(self, pin: str) -> str:
        path = self.folder / f"{len(list(self.folder.glob('*.pin')))}.pin"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(pin)
        return str(path)


@contextlib.contextmanager
def table() -> Iterator[Table]:
    """Lay a table; clear it at the end."""
    with tempfile.TemporaryDirectory(prefix="ks-") as name:
        made = Table(Path(name))
        try:
            yield made
        finally:
            for process in made.processes.values():
                process.terminate()
            for process in made.processes.values():
                process.wait(10)


def main() -> int:
    """Tell the story; status 0 only if all of it worked."""
    os.environ["LANGUAGE"] = "en"  # its words are read below
    try:
        with table() as made:
            nine = prepare(made)
            file = encrypt(made)
            refused = clone(made)
            prove(made, nine, refused, file)
            watch(made)
    except Failure as failure:
        print(f"\n  This did not work: {failure}", file=sys.stderr)
        return 1
    return 0


def prepare(made: Table) -> list[str]:
    """Manufacture a source, nine targets, and some that are not as they should be."""
    title("1. Modules are manufactured, and one is prepared")
    made.must("secure_module", "found", str(made.folder / "manufacturer"))
    made.must("secure_module", "found", str(made.folder / "forger"))
    made.make("HEAD-OFFICE")
    made.own("HEAD-OFFICE", "set-up", pin=ADMINISTRATOR)
    made.own("HEAD-OFFICE", "policy", "--digits", "8")
    made.own("HEAD-OFFICE", "set-pin", "user", pin=USER)
    made.own("HEAD-OFFICE", "set-pin", "self-destruct", pin=DESTROY)
    made.own("HEAD-OFFICE", "auto-lock", "15")
    made.own("HEAD-OFFICE", "cloning", "on")
    say("HEAD-OFFICE makes its own random key. Its administrator sets user PIN, policy, self-destruct PIN, auto-lock.")
    nine = [f"BRANCH-{number}" for number in range(1, 10)]
    for serial in nine:
        made.make(serial)
    say("Nine empty modules are on the hub, each a process of its own with a certificate of the manufacturer.")
    return nine


def encrypt(made: Table) -> Path:
    """Encrypt a file with the source."""
    plain, secret = made.folder / "recipe", made.folder / "recipe.secret"
    plain.write_bytes(TEXT)
    made.own("HEAD-OFFICE", "encrypt", str(plain), str(secret))
    check(TEXT[:16] not in secret.read_bytes(), f"HEAD-OFFICE encrypts a file of {len(TEXT):,} bytes with AES-XTS.")
    return secret


def clone(made: Table) -> list[str]:
    """Enrol a coordinator and clone; then try those that must be refused."""
    title("2. A coordinator clones it to nine, one after the other")
    state, desk, hub = str(made.folder / "coordinator"), str(made.folder / "desk"), str(made.hub)
    issued = made.must("coordinator", "issue", desk).split()
    made.must("coordinator", "confirm", desk, issued[-1])
    made.pins["coordinator"] = made.pin_file(issued[4])
    pin = ("--pin-file", made.pins["coordinator"])
    made.must("coordinator", "register", state, "--desk", desk, "--number", issued[2], *pin)
    say("An administrator issues an enrolment; number, PIN and a link that works once register the coordinator.")
    start = ("start", state, "--hub", hub, "--source", "HEAD-OFFICE", *pin)
    for line in made.must("coordinator", *start).splitlines():
        if line.startswith(("Source", "✓")) or "cloned." in line:
            say(line)
    title("3. And to none that must not have it")
    made.make("FORGED", root="forger")
    made.make("EXPIRED", "--days-ago", "20", "--days", "10")
    made.make("STOLEN")
    refused = ["FORGED", "EXPIRED", "STOLEN"]
    told = made.must("secure_module", "revoke", "--root", str(made.folder / "manufacturer"), "STOLEN")
    for serial in ("HEAD-OFFICE", "STOLEN", "EXPIRED"):
        with contextlib.ExitStack() as stack:
            ask = relay.Hub(made.hub).connect(serial, stack)
            ask({"do": "revocations", "list": Path(told.split()[1].rstrip(".")).read_bytes()})
    wanted = [word for serial in refused for word in ("--target", serial)]
    done = made.run("coordinator", *start, *wanted)
    failures = [line for line in done.stdout.splitlines() if line.startswith("✗")]
    check(done.returncode == 1 and len(failures) == len(refused), "Three more are plugged in; all are refused:")
    for line in failures:
        say(f"  {line}")
    return refused


def prove(made: Table, nine: list[str], refused: list[str], file: Path) -> None:
    """Open the file on each clone, and on nothing else."""
    title("4. Who can read the file?")
    for serial in nine:
        clear = made.folder / f"{serial}.clear"
        made.own(serial, "unlock", pin=USER)
        made.own(serial, "decrypt", str(file), str(clear))
        if clear.read_bytes() != TEXT:
            raise Failure(f"{serial} reads something else")
    say("All nine branches: each is unlocked by the head office's user PIN and gives the file back, byte for byte.")
    for serial in refused:
        place = str(made.folder / serial)
        made.own(serial, "set-up", pin=ADMINISTRATOR)  # the same PIN, but a key of its own
        done = made.run("secure_module", "decrypt", place, str(file), str(made.folder / f"{serial}.clear"))
        check(done.returncode == 1, f"{serial}: {done.stderr.strip()}")
    made.own("BRANCH-9", "lock")
    told = made.own("BRANCH-9", "unlock", pin=DESTROY)
    done = made.run("secure_module", "unlock", str(made.folder / "BRANCH-9"), "--pin-file", made.pins[USER])
    check(done.returncode == 1, f"BRANCH-9 enters the self-destruct PIN: {told.strip()}")


def watch(made: Table) -> None:
    """Clone once more with everything recorded that the coordinator sees."""
    title("5. What did the coordinator see?")
    seen: list[bytes] = []
    hub = relay.Hub(made.hub, lambda _where, data: seen.append(data))
    outcomes = relay.clone(hub, relay.Run("HEAD-OFFICE", ["BRANCH-9"], Options(disable_source=True)), say)
    everything = b"".join(seen)
    hits = [pin for pin in (ADMINISTRATOR, USER, DESTROY) if pin.encode() in everything]
    check(not outcomes[0].why and not hits, f"{len(everything):,} bytes recorded; none of the three PINs is in them.")
    sizes = sorted({len(data) for data in seen if len(data) > 20_000})
    check(max(sizes) - min(sizes) < 2000, f"Messages have fixed sizes ({', '.join(map(str, sizes))} bytes with TLS).")
    title("Proved")
    say(
        "One file, nine clones that open it, three refused that cannot, a coordinator that carried what it cannot read."
    )
    say("What a software module cannot do, docs/cloning.md says: it is not tamper-proof.")


if __name__ == "__main__":
    sys.exit(main())
