"""`keystead-backup setup` and `configure`: keys, vault and safeguarding of a client.

Source: requirements DS-003 to DS-008, DS-014, DS-016, DS-020; docs/vault.md.
"""

import argparse
import getpass
import os
import stat
import sys
import time
import tomllib
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from keystead.clients.backup.key_store import Kept, KeyStore
from keystead.clients.backup.key_texts import RAW_WARNING, master_of, raw_master_of
from keystead.clients.backup.remote_depot import Line, RemoteDepot, offer
from keystead.core.errors import Exists, Invalid, Refused
from keystead.core.secret import Secret
from keystead.custody.safeguard.client_keys import ClientIdentity, ClientKeys, EncryptionType
from keystead.custody.safeguard.deposits import Bundle
from keystead.custody.safeguard.quorums import CustodyQuorum, spoken
from keystead.custody.safeguard.registrations import REGISTRATION_BYTES_MAX, Receipt, open_registration

TEXT_FILE_BYTES_MAX = 4096


def add_setup(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `setup`."""
    _add_common(parser)
    parser.add_argument("--vault", metavar="URL", help="https://HOST:PORT")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="ca.pem of the vault")
    parser.add_argument("--name", metavar="ACCOUNT/CLIENT")
    types = [kind.value for kind in EncryptionType]
    parser.add_argument("--type", choices=types, default="AES-256", help="encryption type, final; DES is refused")
    parser.add_argument("--code-file", type=Path, metavar="FILE", help="enrolment code (mode 0600); else asked")
    parser.add_argument("--private-key-file", type=Path, metavar="FILE", help="private key text; else asked")
    parser.add_argument("--raw-key-text", action="store_true", help="use key texts as they are; for old clients only")
    parser.add_argument("--registration", type=Path, metavar="FILE.ckr", help="rebuild a client from this file")
    parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help="of the registration file; else asked")


def add_configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `configure`."""
    _add_common(parser)
    parser.add_argument("--update", type=Path, metavar="FILE", help="config-update.toml: read once, then destroyed")


def _add_common(parser: argparse.ArgumentParser) -> None:
    usual = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "keystead-backup"
    parser.add_argument("--client", type=Path, metavar="FOLDER", default=usual, help="the client's own folder")
    parser.add_argument("--secret-file", type=Path, metavar="FILE", help="opens the client's keys; outside its folder")
    parser.add_argument("--account-key-file", type=Path, metavar="FILE", help="account key text")
    parser.add_argument("--safeguard", metavar="FINGERPRINT", help="deposit keys for the custody quorum of this name")


def setup(options: argparse.Namespace) -> None:
    """Set a client up; it connects for the first time at its first command.

    Raises:
        Exists: it is set up and has connected. Others: see `master_of`, `open_registration`.
    """
    store = KeyStore(options.client, options.secret_file)
    if store.is_there and not store.load().code:
        raise Exists("this client is set up, and its keys are final; use `keystead-backup configure`")
    if options.registration is not None:
        data = options.registration.read_bytes()[: REGISTRATION_BYTES_MAX + 1]
        bundle = open_registration(data, Secret(_text(options.passphrase_file, "Passphrase").encode()))
        store.save(Kept(bundle))
        print(f"Client {bundle.who.account}/{bundle.who.client} is rebuilt from its registration file.")
        return
    if not (options.vault and options.ca and options.name):
        raise Invalid("setup needs --vault, --ca and --name, or --registration")
    account, _, client = options.name.partition("/")
    who, kind = ClientIdentity(account, client), EncryptionType(options.type)
    code, ca = _text(options.code_file, "Enrolment code").encode(), options.ca.read_text()
    with closing(Line(options.vault, ca)) as line:
        asked = {"account": account, "client": client, "code": code}
        salts = line.ask("salts", asked, {"private": bytes, "account": bytes})
        quorum = _confirmed(line, options.safeguard) if options.safeguard else b""
    private = _master(_text(options.private_key_file, "Private key"), kind, salts["private"], options.name, options)
    account_key = None
    if options.account_key_file is not None:
        text = _text(options.account_key_file, "Account key")
        account_key = _master(text, kind, salts["account"], account, options)
    keys = ClientKeys(kind, private, account_key)
    store.save(Kept(Bundle(who, keys, options.vault, ca, quorum, (), salts["account"]), code, bool(quorum)))
    print(f"Client {options.name} is set up with {kind.value}. Keep a copy of your keys: nobody can replace them.")


def configure(options: argparse.Namespace) -> None:
    """Add an account key or safeguarding to a client that is set up.

    Raises:
        Refused: the account key is there already.
    """
    store = KeyStore(options.client, options.secret_file)
    kept = store.load()
    bundle = kept.bundle
    text = None if options.account_key_file is None else _text(options.account_key_file, "Account key")
    if options.update is not None:
        text = _update(options.update)
    needs = kept.needs_deposit
    if text is not None:
        if bundle.keys.account is not None:
            raise Refused("this client has an account key, and keys are final")
        master = master_of(text, bundle.keys.kind, bundle.salt, bundle.who.account)
        bundle = replace(bundle, keys=replace(bundle.keys, account=master))
        needs = needs or bool(bundle.quorum)
    if options.safeguard:
        with closing(Line(bundle.url, bundle.ca)) as line:
            bundle = replace(bundle, quorum=_confirmed(line, options.safeguard))
        needs = True
    store.save(replace(kept, bundle=bundle, needs_deposit=needs))
    if options.update is not None:
        _destroy(options.update)
    print("The client is configured; the vault judges at the next connection.")


def connected(store: KeyStore) -> RemoteDepot:
    """Return the vault of a client that is set up, connected; shows receipts that are new.

    Raises:
        NotFound: not set up. Others: see `RemoteDepot.connect`.
    """
    kept = store.load()

    def saw(receipts: list[Receipt]) -> None:
        now = store.load()
        for receipt in receipts[len(now.bundle.receipts) :]:
            print(f"keystead-backup: {told(receipt)}", file=sys.stderr)
        digests = tuple(receipt.digest for receipt in receipts)
        if digests != now.bundle.receipts or now.code or now.needs_deposit:
            store.save(Kept(replace(now.bundle, receipts=digests)))

    depot = RemoteDepot(kept.bundle, kept.code, saw, _now_us, needs_deposit=kept.needs_deposit)
    try:
        depot.connect()
    except BaseException:
        depot.line.close()
        raise
    return depot


def told(receipt: Receipt) -> str:
    """Return a receipt as a sentence."""
    made = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(receipt.made_us // 1_000_000))
    return (
        f"a registration file with this client's keys was made: asked on {made} by {receipt.requester}, "
        f"reason: {receipt.reason}, approved by {', '.join(receipt.approvers)} (receipt {receipt.number})"
    )


def _now_us() -> int:
    return time.time_ns() // 1000


def _master(text: str, kind: EncryptionType, salt: bytes, context: str, options: argparse.Namespace) -> Secret:
    if options.raw_key_text:
        print(f"keystead-backup: warning: {RAW_WARNING}", file=sys.stderr)
        return raw_master_of(text, kind)
    return master_of(text, kind, salt, context)


def _confirmed(line: Line, fingerprint: str) -> bytes:
    """Return the vault's quorum if it is the one whose fingerprint the customer has confirmed.

    Raises:
        Refused: it is another one, or there is none.
    """
    quorum: CustodyQuorum | None = offer(line).quorum
    if quorum is None:
        raise Refused("this vault offers no key safeguarding")
    if "".join(fingerprint.split()).lower() != quorum.fingerprint.hex():
        raise Refused(f"the vault shows another custody quorum: {spoken(quorum.fingerprint)}; ask your provider")
    return quorum.encoded()


def _text(path: Path | None, what: str) -> str:
    """Return a secret text from a file of mode 0600, or from the terminal."""
    if path is None:
        return getpass.getpass(f"{what}: ")
    with path.open("rb") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise Invalid(f"others may read {path}; run `chmod 600` on it")
        try:
            return file.read(TEXT_FILE_BYTES_MAX).decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise Invalid(f"{path} is no text") from None


def _update(path: Path) -> str:
    try:
        return str(tomllib.loads(_text(path, "Update"))["account_key"])
    except (tomllib.TOMLDecodeError, KeyError):
        raise Invalid(f'{path} is no configuration update: it has one line, account_key = "…"') from None


def _destroy(path: Path) -> None:
    """Overwrite and remove a file; on flash and copy-on-write file systems old blocks may remain."""
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
