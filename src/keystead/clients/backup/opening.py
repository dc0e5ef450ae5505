"""From the command line to an open vault: which folder, which keys, who.

The vault is one that the client was set up with, or, with `--folder`, a folder of this machine: then `--keys` names a
file of mode 0600 with `type`, `private` and, if there is one, `account` (64 hex digits each) as TOML.

Source: requirements DS-003, DS-005, DS-006; docs/backup-client.md.
"""

import argparse
import os
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keystead.clients.backup.key_store import KeyStore
from keystead.clients.backup.setting_up import connected
from keystead.core.errors import Invalid
from keystead.core.secret import Secret
from keystead.custody.safeguard.client_keys import ClientIdentity, ClientKeys, EncryptionType
from keystead.custody.safeguard.depot import Depot
from keystead.custody.safeguard.folder_depot import FolderDepot

KEY_FILE_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Opened:
    """A vault, ready to be used.

    Attributes:
        depot: The vault.
        keys: The client's keys.
        who: The client.
        state: Folder of what the client remembers.
    """

    depot: Depot
    keys: ClientKeys
    who: ClientIdentity
    state: Path


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where the client and its vault are."""
    parser.add_argument("--client", type=Path, metavar="FOLDER", default=_usual(), help="the client's own folder")
    parser.add_argument("--secret-file", type=Path, metavar="FILE", help="opens the client's keys; outside its folder")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="keep backups in this folder instead of a vault")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="with --folder: file of mode 0600 with the keys")
    parser.add_argument("--name", default="local/client", metavar="ACCOUNT/CLIENT", help="with --folder: who this is")


def _usual() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "keystead-backup"


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[Opened]:
    """Open the vault that the options name.

    Raises:
        NotFound: the client is not set up. Refused: the vault's words.
        Invalid: the key file cannot be used.
    """
    if options.folder is None:
        store = KeyStore(options.client, options.secret_file)
        remote = connected(store)
        try:
            bundle = store.load().bundle
            yield Opened(remote, bundle.keys, bundle.who, options.client / "state")
        finally:
            remote.line.close()
        return
    if options.keys is None:
        raise Invalid("--folder needs --keys FILE")
    account, _, client = options.name.partition("/")
    who = ClientIdentity(account, client)
    place = options.folder / who.account
    depot = FolderDepot(place / "clients" / who.client, place / "shared")
    yield Opened(depot, read_keys(options.keys), who, options.client / "state")


def read_keys(path: Path) -> ClientKeys:
    """Return the keys of a key file.

    Raises:
        Invalid: others than its owner may read it, or it holds something else.
    """
    with path.open("rb") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise Invalid(f"others may read {path}; run `chmod 600 {path}`")
        data = file.read(KEY_FILE_BYTES_MAX)
    try:
        found = tomllib.loads(data.decode())
        kind = EncryptionType(found.get("type", EncryptionType.AES_256))
        account = Secret(bytes.fromhex(found["account"])) if "account" in found else None
        return ClientKeys(kind, Secret(bytes.fromhex(found["private"])), account)
    except (ValueError, KeyError, TypeError):
        raise Invalid(f"{path} is no key file: it has `private`, and may have `account` and `type`") from None
