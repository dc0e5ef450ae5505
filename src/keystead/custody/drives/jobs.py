"""What a backup or a restore needs, and the durable record of how far one came.

Source: requirements CB-004 to 007, 017, 018, 020; SM-16; docs/adr/0083.
"""

import fcntl
import ipaddress
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import cbor2

from keystead.core.errors import Conflict, Refused, WrongState
from keystead.core.secret import Secret
from keystead.custody.drives import files
from keystead.custody.drives.registry import Registry
from keystead.trust.origins import Origin, OriginKey
from keystead.trust.pkcs11.processes import ERRAND_S_MAX, TokenProcess
from keystead.trust.root import RootOfTrust

OFFICER_FAILURES_COUNT_MAX = 5
LOCKED_S = 900
PARTITIONS_COUNT_MAX = 64
_US_PER_S = 1_000_000
JOB_FILE, LOCK_FILE, OFFICERS_FILE = "job", "lock", "officers"


class Step(StrEnum):
    """The steps of a backup, in their order (CB-017)."""

    RECEIVED = "request received"
    ADDRESS = "address checked"
    DETAILS = "details verified"
    METADATA = "metadata fetched"
    KEYS = "keys backed up"
    COLLECTED = "collected"
    DRIVES = "drives verified"
    WRITTEN = "written"


class RestoreStep(StrEnum):
    """The steps of a restore, in their order (CB-014)."""

    RECEIVED = "request received"
    ADDRESS = "address checked"
    FETCHED = "drives fetched"
    VERIFIED = "set verified and decrypted"
    DETAILS = "details verified"
    PLACED = "keys placed"
    SETTLED = "keys ready for use"


class State(StrEnum):
    """How far a job came."""

    RUNNING = "running"
    COMMITTED = "committed"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Job:
    """The durable record of the last backup or restore.

    Attributes:
        kind: "backup" or "restore".
        set_id: Of the set.
        state: See `State`; committed = the new state holds, and the next run finishes what is left.
        step: The last that was done.
        user: Who asked.
        officer: Security officer.
        partitions: Labels; of a restore, those that keys go to.
        drives: Names.
        message: Why it failed.
    """

    kind: str
    set_id: bytes
    state: State
    step: str
    user: str
    officer: str
    partitions: tuple[str, ...]
    drives: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class Pins:
    """PINs of one partition, never stored: its security officer's and its user's."""

    officer: Secret
    user: Secret


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and from where.

    Attributes:
        user: The administrator's name.
        officer: The security officer's id.
        address: Where the request comes from; empty = the local door.
    """

    user: str
    officer: str
    address: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What the node lends to a backup or a restore.

    Attributes:
        origin: The node's own, signs sets.
        origins: Those that are trusted, with the node's own, by id.
        root: The node's security module; must be activated.
        registry: Of drives.
        tokens: Starts the process that reads and fills tokens.
        folder: Of the node, for the job's record and its working file.
        clock: Microseconds since 1970, UTC.
        progress: Told each step and, with how many of how many, each object; what it raises ends the job.
        allowed: Networks that requests may come from; empty = anywhere. The local door is always allowed.
        two_persons: The security officer must be somebody else than who asks.
    """

    origin: Origin
    origins: Mapping[bytes, OriginKey]
    root: RootOfTrust
    registry: Registry
    tokens: Callable[[], TokenProcess]
    folder: Path
    clock: Callable[[], int]
    progress: Callable[[str, int, int], None]
    allowed: Sequence[str] = ()
    two_persons: bool = False


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder: one backup or restore at a time.

    Raises:
        Conflict: another is running.
    """
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("another backup or restore of keys is running; wait for it") from None
        yield
    finally:
        os.close(descriptor)


def load(folder: Path) -> Job | None:
    """Return the last job."""
    try:
        fields: dict[str, Any] = cbor2.loads((folder / JOB_FILE).read_bytes())
    except FileNotFoundError:
        return None
    fields |= {name: tuple(fields[name]) for name in ("partitions", "drives")}
    return Job(**{**fields, "state": State(fields["state"])})


def save(folder: Path, job: Job) -> None:
    """Make a job's record durable."""
    fields = {**asdict(job), "state": str(job.state), "step": str(job.step)}
    files.replace(folder / JOB_FILE, cbor2.dumps(fields))


def check_address(asker: Asker, allowed: Sequence[str]) -> None:
    """Check where the request comes from, before anything else of it is looked at (CB-005, CB-020).

    Raises:
        Refused: not from an allowed network.
    """
    if not allowed or not asker.address:
        return
    try:
        address = ipaddress.ip_address(asker.address)
    except ValueError:
        raise Refused("key backups are not allowed from this address") from None
    if not any(address in ipaddress.ip_network(network) for network in allowed):
        raise Refused("key backups are not allowed from this address")


def check_persons(asker: Asker, *, two_persons: bool) -> None:
    """Check that there is a security officer, and where it is demanded, that it is another person (CB-018).

    Raises:
        Refused: it is the same person, or nobody.
    """
    if not asker.officer:
        raise Refused("a security officer is needed beside the login")
    if two_persons and asker.officer == asker.user:
        raise Refused("the security officer must be somebody else than the administrator who asks")


def judge_officer(around: Surroundings, tokens: TokenProcess, label: str, pin: Secret) -> None:
    """Have a token judge its security officer's PIN; a failure is counted before it is judged (CB-004).

    Raises:
        Refused: wrong. WrongState: locked after 5 failures in a row, for 15 minutes since the last.
    """
    path, now = around.folder / OFFICERS_FILE, around.clock()
    failures: dict[str, list[int]] = cbor2.loads(path.read_bytes()) if path.exists() else {}
    count, last = failures.get(label, [0, 0])
    if count >= OFFICER_FAILURES_COUNT_MAX and now < last + LOCKED_S * _US_PER_S:
        raise WrongState(f"the security officer of {label} is locked for {LOCKED_S // 60} minutes after wrong PINs")
    if count >= OFFICER_FAILURES_COUNT_MAX:
        count = OFFICER_FAILURES_COUNT_MAX - 1  # one more try; each failure locks again
    files.replace(path, cbor2.dumps({**failures, label: [count + 1, now]}))
    tokens.ask("judge_officer", ERRAND_S_MAX, label=label, pin=pin.reveal().decode())
    failures.pop(label, None)
    files.replace(path, cbor2.dumps(failures))
