"""Backups and restores of tokens' keys in the `keys` process: one at a time, on a thread of its own.

The serving thread only starts them and asks how they are; what was told last is kept in the folder's record of jobs.

Source: docs/adr/0093; requirements CB-004, 005, 013, 017, 018, 020, 022.
"""

import ipaddress
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from pathlib import Path

from keystead.core.errors import Conflict, Invalid, KeysteadError, NotFound, Refused, Unavailable
from keystead.custody.drives import jobs
from keystead.custody.drives.backup import BackupOrder, run_backup
from keystead.custody.drives.entries import Unsaved
from keystead.custody.drives.jobs import Asker, Job, Surroundings
from keystead.custody.drives.registry import Books, FileRegistry, Registered, challenge, due, register
from keystead.custody.drives.restore import RestoreOrder, run_restore
from keystead.node.opening import Parts, own_section
from keystead.node.transfer_process import COMMAND
from keystead.operations.key_backup_service import Ended, Progress, WantedBackup, WantedRestore
from keystead.settings.key_backups import KeyBackups
from keystead.trust.durable_files import write_private
from keystead.trust.origins import Origin, OriginKey
from keystead.trust.pkcs11.processes import TokenPlace, TokenProcess
from keystead.trust.root import RootOfTrust

PURPOSE = "key-backups"
FOLDER, ORIGIN_FILE, DRIVES_FILE, TRUSTED_FOLDER = "key-backups", "origin.sealed", "drives.sealed", "origins"
STOP_S_MAX = 1.5
UNSAVED_SHOWN_COUNT = 200
NOT_MOUNTED = "nothing is mounted at {place}: what is saved there lies on the disk of the folder above"
_DRIVE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DAY_S = 86_400

log = logging.getLogger("keystead.key_backups")


def now_us() -> int:
    """Return the time, microseconds since 1970, UTC."""
    return time.time_ns() // 1_000


def registry_of(parts: Parts) -> FileRegistry:
    """Return a node's books of drives, in a folder that its first backup makes."""
    return FileRegistry(parts.config.data / FOLDER / DRIVES_FILE, parts.node_key.derive(f"{PURPOSE}/drives"))


class KeyBackupService:
    """What operations on drives and key backups need (operations.key_backup_service.Service).

    Args:
        parts: Of the node; its settings count as they are now.
        root: The node's security module.
        ended: Told on the job's thread what came of a job.
    """

    def __init__(self, parts: Parts, root: RootOfTrust, ended: Callable[[Ended], None]) -> None:
        self._parts = parts
        self._folder = parts.config.data / FOLDER
        self._node_key = parts.node_key
        self._root = root
        self._settings = own_section(parts.own, KeyBackups)
        self._ended = ended
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(1, "key-backup")
        self._running: Future[Ended] | None = None
        self._progress = Progress()
        self._is_stopping = False

    # Called on the serving thread: looks at memory alone.

    def check(self, user: str, officer: str, address: str) -> None:
        """Judge where a request comes from, before anything else of it, and then who asks (CB-005, 018, 020).

        Raises:
            Refused: the address, or one person alone.
        """
        asker = Asker(user, officer, address)
        jobs.check_address(asker, self._networks())
        jobs.check_persons(asker, two_persons=self._settings.two_persons)

    def check_address(self, address: str) -> None:
        """Judge where a request comes from. Raises Refused."""
        jobs.check_address(Asker("", "", address), self._networks())

    def progress(self) -> Progress:
        """Return how the running job is, or what came of the last one since the process started."""
        with self._lock:
            return self._progress

    # Called on a thread of the workshop: reads and writes drives.

    def last(self) -> Job | None:
        """Return the record of the last job, which outlives the process."""
        return jobs.load(self._folder) if self._folder.is_dir() else None

    def books(self) -> Books:
        """Return what is known of drives. Raises Tampered."""
        return self._registry().load()

    def due(self) -> tuple[str, ...]:
        """Say what has to be redone (CB-019)."""
        return tuple(due(self.books(), now_us(), self._settings.reminder_days * _DAY_S))

    def origin(self) -> OriginKey:
        """Return the public half of what signs sets."""
        return self._origin().key

    def register(self, place: str, name: str) -> tuple[Registered, str]:
        """Register the drive that is mounted at a place; see custody.drives.registry.register.

        Returns: the drive, and a caution where the place is a plain folder, so that nobody saves keys on the disk that
            they are to be saved from.
        """
        path = self._drive(place)
        with jobs.alone(self._made_folder()):
            identity = register(self._registry(), path, name, self._origin(), now_us())
            return self.books().drives[identity.id], "" if path.is_mount() else NOT_MOUNTED.format(place=place)

    def challenge(self, place: str) -> Registered:
        """Have a drive prove itself; see custody.drives.registry.challenge."""
        with jobs.alone(self._made_folder()):
            return challenge(self._registry(), self._drive(place), self._origins(), now_us())

    def back_up(self, wanted: WantedBackup) -> Progress:
        """Start a backup; returns once it runs.

        Raises:
            Conflict: one is running. Invalid: a drive's name. NotFound: nothing is set up.
        """
        drives = [self._drive(place) for place in wanted.drives]
        order = BackupOrder(wanted.asker, wanted.pins, drives)

        def work() -> Ended:
            report = run_backup(self._around(), order)
            told = tuple(f"{name}: {what}" for name, what in report.unfinished.items())
            return Ended(
                "backup",
                wanted.asker,
                tuple(wanted.pins),
                report.drives,
                True,
                _hint(report.manifest.keys_count, report.unsaved),
                report.manifest.keys_count,
                _named(report.unsaved),
                told,
                report.manifest.set_id.hex(),
            )

        return self._start(Ended("backup", wanted.asker, tuple(wanted.pins), wanted.drives), work)

    def restore(self, wanted: WantedRestore) -> Progress:
        """Start a restore; returns once it runs. Raises as `back_up`."""
        drives = [self._drive(place) for place in wanted.drives]
        order = RestoreOrder(wanted.asker, wanted.targets, wanted.pins, drives, wanted.set_id)

        def work() -> Ended:
            report = run_restore(self._around(), order)
            count, present = report.restored_count, report.present_count
            return Ended(
                "restore",
                wanted.asker,
                tuple(wanted.targets.values()),
                (report.drive,),
                True,
                f"{count} objects are ready for use, {present} were there already",
                count,
                _named(report.unsaved),
                tuple(f"{name}: {what}" for name, what in report.wrong.items()),
                report.manifest.set_id.hex(),
            )

        return self._start(Ended("restore", wanted.asker, tuple(wanted.targets.values()), wanted.drives), work)

    def stop(self) -> None:
        """End a running job at its next object; drives and tokens are brought back to the old state."""
        self._is_stopping = True
        if self._running is not None:
            wait([self._running], STOP_S_MAX)
        self._executor.shutdown(wait=False)

    def _start(self, failed: Ended, work: Callable[[], Ended]) -> Progress:
        with self._lock:
            if self._progress.running:
                raise Conflict("another backup or restore of keys is running; wait for it")
            begun = self._progress = Progress(failed.kind, running=True, ended=failed)
        self._running = self._executor.submit(work)
        self._running.add_done_callback(partial(self._over, failed))
        return begun

    def _over(self, failed: Ended, future: "Future[Ended]") -> None:
        error = future.exception()
        if error is None:
            ended = future.result()
        elif isinstance(error, KeysteadError):
            ended = replace(failed, message=error.message)
        else:
            log.error("a %s of keys failed for a reason of ours", failed.kind, exc_info=error)
            ended = replace(failed, message="a mistake of ours, told in the node's log; nothing counts as saved")
        with self._lock:
            self._progress = replace(self._progress, running=False, ended=ended)
        self._ended(ended)

    def _told(self, what: str, number: int, total: int) -> None:
        if self._is_stopping:
            raise Unavailable("the node stops; nothing of the backup or restore counts")
        with self._lock:
            is_step = isinstance(what, jobs.Step | jobs.RestoreStep)
            steps = (*self._progress.steps, str(what)) if is_step else self._progress.steps
            self._progress = replace(self._progress, steps=steps, doing=str(what), number=number, total=total)

    def _around(self) -> Surroundings:
        return Surroundings(
            origin=self._origin(),
            origins=self._origins(),
            root=self._root,
            registry=self._registry(),
            tokens=self._tokens,
            folder=self._folder,
            clock=now_us,
            progress=self._told,
            allowed=self._networks(),
            two_persons=self._settings.two_persons,
        )

    def _tokens(self) -> TokenProcess:
        library = self._settings.library
        if not Path(library).is_absolute():
            raise NotFound(
                "set key_backups.library to the absolute path of the PKCS#11 library, and start the node again"
            )
        return TokenProcess(TokenPlace(library, "", None, COMMAND))

    def _networks(self) -> tuple[str, ...]:
        """Return who may ask.

        Raises:
            Refused: the setting cannot be read, and then nobody may, not even at the local door.
        """
        named = [word.strip() for word in self._settings.allowed_addresses.split(",") if word.strip()]
        for word in named:
            try:
                ipaddress.ip_network(word)
            except ValueError:
                raise Refused(
                    f"key_backups.allowed_addresses holds {word!r}, which is no network such as 192.0.2.0/24; "
                    "stop the node, mend the setting, start it"
                ) from None
        return tuple(named)

    def _drive(self, place: str) -> Path:
        """Return where a drive is mounted; it is named by its folder alone, so that nobody names another place."""
        if not Path(self._settings.folder).is_absolute():
            raise NotFound(
                "set key_backups.folder to the folder below which drives are mounted, and start the node again"
            )
        if not _DRIVE.fullmatch(place):
            raise Invalid(
                "a drive is named by its folder: letters, digits, dots, dashes and underscores", "invalid.field"
            )
        path = Path(self._settings.folder) / place
        if path.is_symlink():
            raise Refused(f"{place} is a link; drives are mounted below {self._settings.folder}")
        return path

    def _made_folder(self) -> Path:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        return self._folder

    def _registry(self) -> FileRegistry:
        self._made_folder()
        return registry_of(self._parts)

    def _origin(self) -> Origin:
        """Return the node's own origin, made when it is first needed; sealed under the node's key."""
        path = self._made_folder() / ORIGIN_FILE
        with self._lock:  # nobody may make another meanwhile
            try:
                return Origin(self._node_key.unseal(PURPOSE, b"origin", path.read_bytes()))
            except FileNotFoundError:
                origin = Origin.generate()
                write_private(path, self._node_key.seal(PURPOSE, b"origin", origin.secret))
                return origin

    def _origins(self) -> Mapping[bytes, OriginKey]:
        """Return the origins that are trusted: the node's own, and those an operator put into the folder `origins`."""
        keys = [self._origin().key]
        trusted = self._folder / TRUSTED_FOLDER
        if trusted.is_dir():
            keys += map(_origin_in, sorted(trusted.iterdir()))
        return {key.id: key for key in keys}


def _origin_in(path: Path) -> OriginKey:
    try:
        return OriginKey(path.read_bytes())
    except (Invalid, OSError):
        told = (
            f"{FOLDER}/{TRUSTED_FOLDER}/{path.name} is no public key of an origin; put there what `drives origin` wrote"
        )
        raise Invalid(told) from None


def _hint(count: int, unsaved: tuple[Unsaved, ...]) -> str:
    return f"{count} objects are saved" + (f", {len(unsaved)} are NOT saved" if unsaved else "")


def _named(unsaved: tuple[Unsaved, ...]) -> tuple[str, ...]:
    told = [f"{each.label} of {each.partition}: {each.reason}" for each in unsaved[:UNSAVED_SHOWN_COUNT]]
    more = len(unsaved) - len(told)
    return (*told, f"and {more} more") if more else tuple(told)
