"""A client with its vault folder and a tree to back up, as tests need them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from keystead.clients.backup import restoring, scanning
from keystead.clients.backup.backing_up import Client, Result, back_up, look
from keystead.clients.backup.progress import Progress
from keystead.clients.backup.restoring import Restored, Selection
from keystead.clients.backup.sealing import BackupKeys
from keystead.clients.backup.snapshots import Sealed
from keystead.clients.backup.state import ClientState
from keystead.core.secret import Secret
from keystead.custody.safeguard.client_keys import ClientIdentity, ClientKeys, EncryptionType
from keystead.custody.safeguard.depot import Depot
from keystead.custody.safeguard.folder_depot import FolderDepot

NOW_US = 1_800_000_000_000_000
PRIVATE = hashlib.sha256(b"the planted private key").digest()
ACCOUNT = hashlib.sha256(b"the planted account key").digest()


@dataclass
class Rig:
    """One client; `other` gives another one of the same vault."""

    folder: Path
    who: ClientIdentity = ClientIdentity("acme", "alice")
    kind: EncryptionType = EncryptionType.AES_256
    private: bytes = PRIVATE
    account: bytes | None = ACCOUNT
    told: list[str] = field(default_factory=list)

    @property
    def vault(self) -> Path:
        return self.folder / "vault"

    @property
    def state(self) -> Path:
        return self.folder / f"state-{self.who.client}"

    def depot(self) -> Depot:
        account = self.vault / self.who.account
        return FolderDepot(account / "clients" / self.who.client, account / "shared")

    def client(self, depot: Depot | None = None) -> Client:
        account = None if self.account is None else Secret(self.account)
        keys = BackupKeys(ClientKeys(self.kind, Secret(self.private), account), self.who)
        return Client(depot or self.depot(), keys, ClientState(self.state), self.told.append, lambda: NOW_US)

    def other(self, **changes: object) -> Rig:
        return replace(self, told=[], **changes)  # type: ignore[arg-type]  # names are the fields'

    def back_up(
        self, *own: Path, common: tuple[Path, ...] = (), depot: Depot | None = None, reuse: bool = True
    ) -> Result:
        roots = scanning.roots_of([*own], [*common]) if own or common else ()
        return back_up(self.client(depot), roots, Progress("", quiet=True), reuse=reuse)

    def newest(self, depot: Depot | None = None) -> Sealed:
        found = look(self.client(depot))
        assert found is not None
        return found

    def restore(
        self,
        target: Path,
        *paths: Path,
        depot: Depot | None = None,
        sealed: Sealed | None = None,
        replace: bool = False,
    ) -> Restored:
        selection = Selection(tuple(os.fsencode(path) for path in paths), replace)
        chosen = sealed or self.newest(depot)
        return restoring.restore(self.client(depot), chosen, target, selection, Progress("", quiet=True))


def plant(root: Path, files: int = 40) -> Path:
    """A tree with everything a file system has that a backup must bring back."""
    for number in range(files):
        path = root / f"folder {number % 7}" / f"file {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"content of file {number}\n".encode() * (number * 20))
    (root / "large").write_bytes(os.urandom(3_000_000))
    (root / "zeros").write_bytes(bytes(9_000_000))
    (root / "empty folder").mkdir()
    (root / "link").symlink_to("folder 0/file 0")
    (root / "broken link").symlink_to("/no/such/place")
    (root / "private").write_bytes(b"for me")
    (root / "private").chmod(0o600)
    os.utime(root / "private", ns=(1_000_000_001, 1_234_567_890_123_456_789))
    Path(os.fsdecode(os.fsencode(root) + b"/name \xff\xfe")).write_bytes(b"not UTF-8")
    os.link(root / "private", root / "hard link")
    (root / "empty folder").chmod(0o750)
    os.utime(root / "empty folder", ns=(1, 999_999_999))
    return root


def picture(root: Path) -> dict[bytes, tuple[object, ...]]:
    """What a tree is: path -> form, mode, time and content of everything below it."""
    seen: dict[bytes, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        what: object = None
        if path.is_symlink():
            what = path.readlink()
        elif path.is_file():
            what = hashlib.sha256(path.read_bytes()).hexdigest()
        seen[os.fsencode(path.relative_to(root))] = (status.st_mode, status.st_mtime_ns, what)
    return seen


def inside(target: Path, tree: Path) -> Path:
    """Where a tree stands below the folder it was restored to."""
    return target / tree.resolve().relative_to("/")
