"""keystead-module: make, plug in and use secure modules. `keystead-module --help` lists the commands.

Exit status 0 when all of it worked, 1 when something was refused (it says what to do), 2 for wrong arguments.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keystead.clients.secure_module import folders, frames, process, progress, texts
from keystead.clients.secure_module.secrets_in import secret_from
from keystead.core.errors import Exists, KeysteadError
from keystead.custody.modules.manufacture import IDENTITY_DAYS
from keystead.custody.modules.state import Mode, Slot
from keystead.trust.durable_files import flush_folder


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command."""
    options = _parser().parse_args(argv)
    try:
        options.run(options)
    except KeysteadError as error:
        print(error.message, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or 'the module'}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _now() -> int:
    return time.time_ns() // 1000


# -------------------------------------------------------------------------------------------------------- manufacture


def _found(options: argparse.Namespace) -> None:
    folders.found_manufacturer(options.folder, options.name, _now())
    print(texts.FOUNDED)


def _manufacture(options: argparse.Namespace) -> None:
    root = folders.manufacturer(options.root)
    validity = (_now() - options.days_ago * 86_400_000_000, options.days)
    folders.make_module(root, options.folder, options.device_key, options.serial, validity)
    print(texts.MANUFACTURED.format(serial=options.serial, key=options.device_key))


def _revoke(options: argparse.Namespace) -> None:
    path = folders.write_revocations(folders.manufacturer(options.root), options.root, options.serials)
    print(texts.REVOKED.format(file=path))


def _plug(options: argparse.Namespace) -> None:
    def tell(report: object) -> None:
        serial = json.loads((options.folder / "module.json").read_text())["serial"]
        print(texts.PLUGGED.format(serial=serial, report=report), flush=True)

    process.run(
        lambda: folders.open_module(options.folder, options.device_key, _now), options.folder, options.hub, tell
    )


# -------------------------------------------------------------------------------------------------------------- owner


def _ask(options: argparse.Namespace, message: dict[str, Any], files: Sequence[int] = ()) -> dict[str, Any]:
    with frames.connect(options.folder / folders.SOCKET) as connection:
        connection.settimeout(None if files else frames.TIMEOUT_S)  # a long file takes its time
        return frames.ask(connection, message, files)


def _status(options: argparse.Namespace) -> None:
    told = _ask(options, {"do": "status"})
    if options.json:
        print(json.dumps(told))
        return
    for name, value in told.items():
        print(f"{name.replace('_', ' '):16} {'-' if value is None else value}")


def _set_up(options: argparse.Namespace) -> None:
    pin = secret_from(options.pin_file, texts.ASK_NEW_PIN.format(slot=Slot.ADMINISTRATOR), twice=True)
    told = _ask(options, {"do": "set-up", "pin": pin.reveal()})
    print(texts.SET_UP.format(serial=told["serial"]))


def _unlock(options: argparse.Namespace) -> None:
    serial = str(_ask(options, {"do": "status"})["serial"])
    pin = secret_from(options.pin_file, texts.ASK_PIN.format(serial=serial))
    who = Slot(_ask(options, {"do": "unlock", "pin": pin.reveal()})["who"])
    print(texts.DESTROYED if who is Slot.SELF_DESTRUCT else texts.UNLOCKED.format(serial=serial, who=who))


def _lock(options: argparse.Namespace) -> None:
    print(texts.LOCKED.format(serial=_ask(options, {"do": "lock"})["serial"]))


def _unplug(options: argparse.Namespace) -> None:
    _ask(options, {"do": "unplug"})
    print(texts.UNPLUGGED)


def _set_pin(options: argparse.Namespace) -> None:
    message: dict[str, Any] = {"do": "set", "what": "pin", "slot": options.slot}
    if options.slot == Slot.SELF_DESTRUCT:
        print(texts.SELF_DESTRUCT_WARNING, file=sys.stderr)
    if not options.off:
        pin = secret_from(options.pin_file, texts.ASK_NEW_PIN.format(slot=options.slot), twice=True)
        message["pin"] = pin.reveal()
    _ask(options, message)
    print(texts.DONE)


def _set(options: argparse.Namespace) -> None:
    if options.what == "mode" and options.value == Mode.ECB:
        print(texts.ECB_WARNING, file=sys.stderr)
    legacy = getattr(options, "legacy", False)
    _ask(options, {"do": "set", "what": options.what, "value": options.value, "legacy": legacy})
    print(texts.DONE)


def _crypt(options: argparse.Namespace) -> None:
    """Let the module write beside the place, and release the result only when it says that all is well."""
    target: Path = options.target
    if target.exists() and not options.force:
        raise Exists(f"{target.name} exists; choose another name, or say --force")
    beside = target.with_name(target.name + ".part")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with options.source.open("rb") as source, progress.shown(descriptor, os.fstat(source.fileno()).st_size):
            told = _ask(options, {"do": "crypt", "way": options.way}, (source.fileno(), descriptor))
        os.fsync(descriptor)
        beside.replace(target)
        flush_folder(target.absolute().parent)
    finally:
        os.close(descriptor)
        beside.unlink(missing_ok=True)
    print((texts.ENCRYPTED if options.way == "encrypt" else texts.DECRYPTED).format(count=told["length"]))


# ---------------------------------------------------------------------------------------------------------- arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="keystead-module", description="A secure module in software.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _manufacturers(commands)
    plug = _command(commands, "plug", _plug, "be the module in FOLDER until it is unplugged")
    plug.add_argument("--device-key", type=Path, required=True, help="outside of FOLDER")
    plug.add_argument("--hub", type=Path, required=True, help="folder in which coordinators find modules")
    status = _command(commands, "status", _status, "tell its state")
    status.add_argument("--json", action="store_true")
    _with_pin(_command(commands, "set-up", _set_up, "make a new key under an administrator's PIN"))
    _with_pin(_command(commands, "unlock", _unlock, "enter a PIN"))
    _command(commands, "lock", _lock, "forget the key in memory")
    _command(commands, "unplug", _unplug, "end the module's process")
    pin = _command(commands, "set-pin", _set_pin, "set a PIN of 7 to 15 digits")
    pin.add_argument("slot", choices=[str(slot) for slot in Slot])
    pin.add_argument("--off", action="store_true", help="take the self-destruct PIN away")
    _with_pin(pin)
    _settings(commands)
    for way in ("encrypt", "decrypt"):
        crypt = _command(commands, way, _crypt, f"{way} a file")
        crypt.add_argument("source", type=Path)
        crypt.add_argument("target", type=Path)
        crypt.add_argument("--force", action="store_true", help="replace TARGET if it exists")
        crypt.set_defaults(way=way)
    return parser


def _manufacturers(commands: Any) -> None:
    found = commands.add_parser("found", help="make a manufacturing root in a folder")
    found.add_argument("folder", type=Path)
    found.add_argument("--name", default="Manufacturing root")
    found.set_defaults(run=_found)
    make = _command(commands, "manufacture", _manufacture, "make a module into FOLDER")
    make.add_argument("--root", type=Path, required=True, help="folder of the manufacturing root")
    make.add_argument("--device-key", type=Path, required=True, help="file to make, outside of FOLDER")
    make.add_argument("--serial", required=True)
    make.add_argument("--days", type=int, default=IDENTITY_DAYS, help="how long its identity is valid")
    make.add_argument("--days-ago", type=int, default=0, help="when its validity began")
    revoke = commands.add_parser("revoke", help="write the next revocation list")
    revoke.add_argument("--root", type=Path, required=True)
    revoke.add_argument("serials", nargs="+", metavar="SERIAL")
    revoke.set_defaults(run=_revoke)


def _settings(commands: Any) -> None:
    policy = _command(commands, "policy", _set, "what users' PINs have to be", what="policy")
    policy.add_argument("--digits", type=int, default=7, help="at least so many, 7 to 15")
    policy.add_argument("--allow-patterns", action="store_true")
    policy.add_argument("--off", action="store_true")
    policy.set_defaults(run=_policy)
    auto_lock = _command(commands, "auto-lock", _set, "lock after so many minutes without use", what="auto-lock")
    auto_lock.add_argument("value", type=lambda text: None if text == "off" else int(text), metavar="MINUTES|off")
    mode = _command(commands, "mode", _set, "how files are encrypted from now on", what="mode")
    mode.add_argument("value", choices=[str(mode) for mode in Mode])
    mode.add_argument("--legacy", action="store_true", help="allow AES-ECB")
    cloning = _command(commands, "cloning", _set, "let others be cloned from it", what="cloning")
    cloning.add_argument("value", type=lambda text: {"on": True, "off": False}[text], metavar="on|off")


def _policy(options: argparse.Namespace) -> None:
    options.value = None if options.off else [options.digits, not options.allow_patterns]
    _set(options)


def _command(commands: Any, name: str, run: Any, text: str, **defaults: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("folder", type=Path, help="the module's folder")
    parser.set_defaults(run=run, **defaults)
    return parser


def _with_pin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pin-file", type=Path, help="file of mode 0600 with the PIN; without it you are asked")


if __name__ == "__main__":
    sys.exit(main())
