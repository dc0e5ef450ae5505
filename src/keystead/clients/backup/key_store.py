"""What a client that was set up keeps: its keys and its vault, sealed in one file of its folder.

The file opens with a secret that lies elsewhere: the service manager's credential `keystead-backup` if there is one
($CREDENTIALS_DIRECTORY), otherwise a file of mode 0600 outside the client's folder. A copy of the folder alone gives
nothing away; who is root on a running client can use both.

Source: requirements DS-011, DS-012.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from keystead.core.errors import Invalid, NotFound, Tampered
from keystead.core.secret import Secret
from keystead.custody.safeguard.deposits import Bundle
from keystead.custody.safeguard.messages import packed, unpacked
from keystead.trust.sealing import KEY_BYTES, derive, seal, unseal

STORE_BYTES_MAX = 262_144
CREDENTIAL = "keystead-backup"
_CONTEXT = b"keystead-backup/client.sealed/1"


@dataclass(frozen=True)
class Kept:
    """What the file holds.

    Attributes:
        bundle: Client, keys, vault, pinned quorum and receipts seen.
        code: Enrolment code until the first connection; b"" after it.
        needs_deposit: Keys have to be deposited at the next connection.
    """

    bundle: Bundle
    code: bytes = b""
    needs_deposit: bool = False


class KeyStore:
    """The sealed file of one client.

    Args:
        folder: The client's folder.
        secret_file: File with the secret that opens it; None = the credential, or the usual place.
    """

    def __init__(self, folder: Path, secret_file: Path | None) -> None:
        self._path = folder / "client.sealed"
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        usual = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "keystead-backup" / "secret"
        self._is_given = secret_file is None and credentials is not None
        self._secret = Path(credentials) / CREDENTIAL if self._is_given and credentials else secret_file or usual
        if self._secret.resolve().is_relative_to(folder.resolve()):
            raise Invalid("the secret lies in the client's folder, which it protects; put it elsewhere")

    @property
    def is_there(self) -> bool:
        """Tell whether the client was set up."""
        return self._path.is_file()

    def load(self) -> Kept:
        """Open the file.

        Raises:
            NotFound: not set up, or no secret. Tampered: another secret, or the file was changed.
        """
        if not self.is_there:
            raise NotFound("this client is not set up; run `keystead-backup setup`")
        with self._path.open("rb") as file:
            data = file.read(STORE_BYTES_MAX)
        opened = unseal(self._key(), data, _CONTEXT).reveal()
        found = unpacked(opened, {"bundle": bytes, "code": bytes, "needs_deposit": bool}, "client's key file")
        return Kept(Bundle.read(Secret(found["bundle"])), found["code"], found["needs_deposit"])

    def save(self, kept: Kept) -> None:
        """Replace the file whole, flushed; makes the secret if there is none yet."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._secret.exists() and not self._is_given:
            self._secret.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(self._secret, os.urandom(KEY_BYTES).hex().encode())
        fields = {"bundle": kept.bundle.encoded().reveal(), "code": kept.code, "needs_deposit": kept.needs_deposit}
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        _write(fresh, seal(self._key(), Secret(packed(fields)), _CONTEXT))
        fresh.rename(self._path)
        _flush(self._path.parent)

    def _key(self) -> bytes:
        try:
            with self._secret.open("rb") as file:
                if not self._is_given and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                    raise Invalid(f"others may read {self._secret}; run `chmod 600` on it")
                secret = bytes.fromhex(file.read(2 * KEY_BYTES).decode())
        except FileNotFoundError:
            raise NotFound("the secret that opens the client's keys is missing; name it with --secret-file") from None
        except ValueError:
            raise Tampered("the secret that opens the client's keys is damaged") from None
        if len(secret) != KEY_BYTES:
            raise Tampered("the secret that opens the client's keys is damaged")
        return derive(secret, "backup/client-at-rest")


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _flush(path.parent)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
