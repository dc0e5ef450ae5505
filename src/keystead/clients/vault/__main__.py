"""`keystead-vault`: serve backup clients; accounts and clients; safeguarding, custodians and registration files.

Exit status 0 only if all worked. Passphrases come from the terminal, or from a file of mode 0600.
"""

import argparse
import asyncio
import getpass
import io
import os
import secrets
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from keystead.clients.vault.ledger import Ledger
from keystead.clients.vault.server import make_server
from keystead.core.errors import Exists, Invalid, KeysteadError, NotFound
from keystead.core.secret import Secret
from keystead.custody.safeguard.client_keys import ClientIdentity
from keystead.custody.safeguard.quorums import Card, Custodian, CustodyQuorum, spoken
from keystead.custody.safeguard.registrations import (
    REQUEST_BYTES_MAX,
    Request,
    approve,
    collect,
    seal_registration,
)
from keystead.trust import envelope, x509
from keystead.trust.envelope import Sealing
from keystead.trust.origins import Origin, OriginKey
from keystead.trust.recipients import Passphrase, RecipientSecret

PASSPHRASE_CHARACTERS_MIN = 12
SECRET_FILE_BYTES_MAX = 65_536
PASSPHRASE_FILE_BYTES_MAX = 1024


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(argv)
    options.ledger = None
    try:
        run: Callable[[argparse.Namespace], None] = options.run
        run(options)
    except KeysteadError as error:
        print(f"keystead-vault: {error.message}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"keystead-vault: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    finally:
        if options.ledger is not None:
            options.ledger.close()
    return 0


def _now_us() -> int:
    return time.time_ns() // 1000


# -------------------------------------------------------------------------------------------------------------- vault


def _init(options: argparse.Namespace) -> None:
    state: Path = options.state
    if (state / "ca.pem").exists():
        raise Exists("there is a vault in this folder")
    Ledger(state).close()
    authority_key, authority = x509.make_authority("keystead vault CA")
    key, certificate = x509.issue_server(authority_key, authority, options.name)
    _write(state / "ca.key", authority_key.reveal())
    _write(state / "server.key", key.reveal())
    _write(state / "server.pem", certificate.encode())
    _write(state / "ca.pem", authority.encode())
    print(f"The vault is made. Give clients {state / 'ca.pem'} with their enrolment codes.")


def _serve(options: argparse.Namespace) -> None:
    ledger = _ledger(options)
    listening = socket.create_server((options.address, options.port))
    server = make_server(ledger, options.state / "server.pem", options.state / "server.key")
    port = listening.getsockname()[1]
    server.told = lambda: print(f"keystead-vault serves: https on port {port}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        asyncio.run(server.serve(sockets=[listening]))


def _account(options: argparse.Namespace) -> None:
    ClientIdentity(options.account, "x")
    _ledger(options).add_account(options.account, _now_us())
    print(f"Account {options.account} is added.")


def _client(options: argparse.Namespace) -> None:
    code = secrets.token_urlsafe(18)
    types = "AES-128" if options.mobile else "AES-256,AES-192,AES-128"
    _ledger(options).add_client(ClientIdentity(options.account, options.client), types, code.encode(), _now_us())
    print(f"Enrolment code, good for the first connection: {code}")


def _log(options: argparse.Namespace) -> None:
    for row in _ledger(options).log():
        made = datetime.fromtimestamp(row["made"] // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        print(f"{row['number']:6} {made} {row['text']}")


def _safeguard(options: argparse.Namespace) -> None:
    quorum = None
    if options.card:
        cards = tuple(Card.read(path.read_bytes()) for path in options.card)
        quorum = CustodyQuorum(options.threshold, cards)
    ledger = _ledger(options)
    ledger.set_policy(options.mode, quorum, _now_us())
    _, kept = ledger.policy()
    print(f"Safeguarding is {options.mode}.")
    if kept is not None:
        print(f"{kept.threshold} of {len(kept.cards)} custodians; fingerprint: {spoken(kept.fingerprint)}")


# ---------------------------------------------------------------------------------------------------------- custodians


def _custodian_new(options: argparse.Namespace) -> None:
    custodian = Custodian.generate()
    card = custodian.card(options.custodian)
    _seal_secret(options.folder / f"{options.custodian}.custodian", custodian.secret, custodian.origin, options)
    _write(options.folder / f"{options.custodian}.card", card.encoded())
    print(f"Give {options.custodian}.card to the provider; keep {options.custodian}.custodian to yourself.")


def _custodian_approve(options: argparse.Namespace) -> None:
    request = Request.read(options.request.read_bytes())
    card = Card.read(options.custodian.with_suffix(".card").read_bytes())
    print(f"Client {request.who.account}/{request.who.client}, asked by {request.requester}: {request.reason}")
    if not options.yes and input("Approve? Type yes: ") != "yes":
        raise Invalid("not approved")
    custodian = Custodian(_open_secret(options.custodian, card.origin, options))
    _write(options.out, approve(request, custodian, _now_us()))
    print(f"Approved by {card.name}.")


def _request(options: argparse.Namespace) -> None:
    ledger, who = _ledger(options), ClientIdentity(options.account, options.client)
    row, deposit, (_, quorum) = ledger.client(who), ledger.deposit(who), ledger.policy()
    if deposit is None or quorum is None:
        raise NotFound("this client has deposited no keys; nobody can make a registration file for it")
    secret, number = RecipientSecret.generate(), len(ledger.receipts(who)) + 1
    words = options.reason, options.requester, _now_us(), number
    request = Request(who, *words, secret.key, OriginKey(row["origin"]), quorum, deposit)
    origin = Origin.generate()
    _seal_secret(options.out.with_suffix(".secret"), secret.secret, origin, options)
    _write(options.out.with_suffix(".origin"), origin.key.encoded)
    with ledger.changing():
        ledger.note(_now_us(), f"{options.requester} asks for a registration file of {who.account}/{who.client}")
    _write(options.out, request.encoded())
    print(f"{quorum.threshold} of {len(quorum.cards)} custodians have to approve {options.out}.")


def _finish(options: argparse.Namespace) -> None:
    ledger = _ledger(options)
    request = Request.read(options.request.read_bytes())
    passphrase = _passphrase(options)
    origin = OriginKey(options.request.with_suffix(".origin").read_bytes())
    secret = RecipientSecret(_open_secret(options.request.with_suffix(".secret"), origin, options, passphrase))
    approvals = [path.read_bytes()[:REQUEST_BYTES_MAX] for path in options.approval]
    bundle, receipt = collect(request, approvals, secret)
    who = f"{request.who.account}/{request.who.client}"
    text = f"registration file of {who} made for {request.requester}: {request.reason}"
    ledger.keep_receipt(request.who, receipt, text, _now_us())
    _write(options.out, seal_registration(bundle, ledger.receipts(request.who), passphrase, _now_us()))
    for suffix in (".secret", ".origin"):
        options.request.with_suffix(suffix).unlink()
    print(f"{options.out} is made; it opens with the passphrase. The client shows the receipt at its next connection.")


# --------------------------------------------------------------------------------------------------------------- parts


def _ledger(options: argparse.Namespace) -> Ledger:
    if not (options.state / "ca.pem").is_file():
        raise NotFound("there is no vault in this folder; run `keystead-vault init`")
    options.ledger = ledger = Ledger(options.state)
    return ledger


def _passphrase(options: argparse.Namespace) -> Secret:
    if options.passphrase_file is not None:
        with options.passphrase_file.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise Invalid(f"others may read {options.passphrase_file}; run `chmod 600` on it")
            text = file.read(PASSPHRASE_FILE_BYTES_MAX).decode().rstrip("\n")
    else:
        text = getpass.getpass("Passphrase: ")
    if len(text) < PASSPHRASE_CHARACTERS_MIN:
        raise Invalid(f"a passphrase has at least {PASSPHRASE_CHARACTERS_MIN} characters")
    return Secret(text.encode())


def _seal_secret(path: Path, secret: Secret, origin: Origin, options: argparse.Namespace) -> None:
    target = io.BytesIO()
    sealing = Sealing("custody-secret", [Passphrase(_passphrase(options))], origin, _now_us(), {})
    envelope.seal([secret.reveal()], target, sealing)
    _write(path, target.getvalue())


def _open_secret(
    path: Path, origin: OriginKey, options: argparse.Namespace, passphrase: Secret | None = None
) -> Secret:
    found = envelope.verify(io.BytesIO(path.read_bytes()), {origin.id: origin}, "custody-secret")
    return found.read([Passphrase(passphrase or _passphrase(options))], SECRET_FILE_BYTES_MAX)


def _write(path: Path, data: bytes) -> None:
    """Make a file of mode 0600, flushed; refuses to replace one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="keystead-vault", description="Keeps backups that it cannot read.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        within: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str, run: object
    ) -> argparse.ArgumentParser:
        one = within.add_parser(name, help=text, description=text)
        one.set_defaults(run=run)
        return one

    def group(name: str, text: str) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
        return commands.add_parser(name, help=text, description=text).add_subparsers(required=True, metavar="COMMAND")

    made = command(commands, "init", "make a vault with its own CA", _init)
    made.add_argument("--name", action="append", default=[], help="host name or address of the vault")
    serve = command(commands, "serve", "serve backup clients", _serve)
    serve.add_argument("--address", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8643)
    account = command(group("account", "accounts"), "add", "add an account", _account)
    client = command(group("client", "clients"), "add", "add a client; prints its enrolment code", _client)
    client.add_argument("--mobile", action="store_true", help="a client that can use AES-128 only")
    log = command(commands, "log", "show what was done", _log)
    safeguard = command(commands, "safeguard", "set whether and for whom clients deposit their keys", _safeguard)
    safeguard.add_argument("--mode", choices=("off", "optional", "mandatory"), required=True)
    safeguard.add_argument("--threshold", type=int, default=2, help="M: how many custodians are needed")
    safeguard.add_argument("--card", type=Path, action="append", help="card of a custodian; the quorum is set once")
    custodians = group("custodian", "custodians")
    new = command(custodians, "new", "make a custodian's key and card", _custodian_new)
    new.add_argument("custodian", metavar="NAME")
    new.add_argument("--folder", type=Path, default=Path())
    approving = command(custodians, "approve", "approve a request for a registration file", _custodian_approve)
    approving.add_argument("request", type=Path)
    approving.add_argument("--custodian", type=Path, required=True, metavar="FILE", help="the .custodian file")
    approving.add_argument("--out", type=Path, required=True)
    approving.add_argument("--yes", action="store_true", help="do not ask")
    registrations = group("registration", "registration files")
    request = command(registrations, "request", "ask custodians for a client's registration file", _request)
    request.add_argument("--reason", required=True)
    request.add_argument("--requester", required=True)
    request.add_argument("--out", type=Path, required=True)
    finish = command(registrations, "finish", "make the registration file from approvals", _finish)
    finish.add_argument("request", type=Path)
    finish.add_argument("--approval", type=Path, action="append", default=[])
    finish.add_argument("--out", type=Path, required=True, metavar="FILE.ckr")
    for one in (made, serve, account, client, log, safeguard, request, finish):
        one.add_argument("--state", type=Path, required=True, metavar="FOLDER", help="the vault's folder")
    for one in (account, client, request):
        one.add_argument("account")
    for one in (client, request):
        one.add_argument("client")
    for one in (new, approving, request, finish):
        one.add_argument("--passphrase-file", type=Path, metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
