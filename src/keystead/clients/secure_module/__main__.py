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

from keystead.clients.languages import begin, say, warn
from keystead.clients.secure_module import folders, frames, process, progress
from keystead.clients.secure_module.secrets_in import secret_from
from keystead.core.errors import Exists, KeysteadError
from keystead.core.translation import tr
from keystead.custody.modules.manufacture import IDENTITY_DAYS
from keystead.custody.modules.state import SLOTS, Mode, Slot
from keystead.trust.durable_files import flush_folder


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command."""
    begin()
    options = _parser().parse_args(argv)
    try:
        options.run(options)
    except KeysteadError as error:
        print(tr(error.message), file=sys.stderr)
        return 1
    except OSError as error:
        print(error.filename or tr("the module"), error.strerror, sep=": ", file=sys.stderr)
        return 1
    return 0


def _now() -> int:
    return time.time_ns() // 1000


# -------------------------------------------------------------------------------------------------------- manufacture


def _found(options: argparse.Namespace) -> None:
    folders.found_manufacturer(options.folder, options.name, _now())
    say("Made a manufacturing root. Keep its folder offline; modules carry its public half.")


def _manufacture(options: argparse.Namespace) -> None:
    root = folders.manufacturer(options.root)
    validity = (_now() - options.days_ago * 86_400_000_000, options.days)
    folders.make_module(root, options.folder, options.device_key, options.serial, validity)
    say(
        "Manufactured module {serial}. Its device key lies in {key}: keep it apart from the module's folder.",
        serial=options.serial,
        key=options.device_key,
    )


def _revoke(options: argparse.Namespace) -> None:
    path = folders.write_revocations(folders.manufacturer(options.root), options.root, options.serials)
    say("Wrote {file}. Bring it to coordinators; they pass it on to every module.", file=path)


def _plug(options: argparse.Namespace) -> None:
    def tell(report: object) -> None:
        serial = json.loads((options.folder / "module.json").read_text())["serial"]
        say(
            "{serial}: plugged in; {report}. "
            "It is software: whoever controls this machine can take its key while it is unlocked.",
            serial=serial,
            report=report,
        )

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
        shown = tr(str(value)) if name == "state" else "-" if value is None else value
        if isinstance(value, bool):
            shown = tr("yes") if value else tr("no")
        print(f"{tr(process.STATUS.get(name, name)):28} {shown}")


def _set_up(options: argparse.Namespace) -> None:
    pin = secret_from(options.pin_file, tr("New PIN ({slot})", slot=tr(SLOTS[Slot.ADMINISTRATOR])), twice=True)
    told = _ask(options, {"do": "set-up", "pin": pin.reveal()})
    say(
        "{serial}: set up with a new key. Set the user's PIN and switch cloning on if others are to become its clones.",
        serial=told["serial"],
    )


def _unlock(options: argparse.Namespace) -> None:
    serial = str(_ask(options, {"do": "status"})["serial"])
    pin = secret_from(options.pin_file, tr("PIN of module {serial}", serial=serial))
    who = Slot(_ask(options, {"do": "unlock", "pin": pin.reveal()})["who"])
    if who is Slot.SELF_DESTRUCT:
        say("The module destroyed its key and all PINs. What it encrypted can be read with a clone only.")
    else:
        say("{serial}: unlocked by the {who}.", serial=serial, who=tr(SLOTS[who]))


def _lock(options: argparse.Namespace) -> None:
    say("{serial}: locked.", serial=_ask(options, {"do": "lock"})["serial"])


def _unplug(options: argparse.Namespace) -> None:
    _ask(options, {"do": "unplug"})
    say("Unplugged.")


def _set_pin(options: argparse.Namespace) -> None:
    message: dict[str, Any] = {"do": "set", "what": "pin", "slot": options.slot}
    if options.slot == Slot.SELF_DESTRUCT:
        warn("Entering this PIN will destroy the key and all other PINs at once, without a question.")
    if not options.off:
        pin = secret_from(options.pin_file, tr("New PIN ({slot})", slot=tr(SLOTS[Slot(options.slot)])), twice=True)
        message["pin"] = pin.reveal()
    _ask(options, message)
    say("Done.")


def _set(options: argparse.Namespace) -> None:
    if options.what == "mode" and options.value == Mode.ECB:
        warn("WARNING: AES-ECB shows which blocks of a file are equal. Go back to AES-XTS as soon as you can.")
    legacy = getattr(options, "legacy", False)
    _ask(options, {"do": "set", "what": options.what, "value": options.value, "legacy": legacy})
    say("Done.")


def _crypt(options: argparse.Namespace) -> None:
    """Let the module write beside the place, and release the result only when it says that all is well."""
    target: Path = options.target
    if target.exists() and not options.force:
        raise Exists(tr("{name} exists; choose another name, or say --force", name=target.name))
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
    if options.way == "encrypt":
        say("{count} bytes encrypted.", count=told["length"])
    else:
        say("{count} bytes decrypted; nobody changed them.", count=told["length"])


# ---------------------------------------------------------------------------------------------------------- arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="keystead-module", description=tr("A secure module in software."))
    commands = parser.add_subparsers(required=True, metavar=tr("COMMAND"))
    _manufacturers(commands)
    plug = _command(commands, "plug", _plug, tr("be the module in FOLDER until it is unplugged"))
    plug.add_argument("--device-key", type=Path, required=True, help=tr("outside of FOLDER"))
    plug.add_argument("--hub", type=Path, required=True, help=tr("folder in which coordinators find modules"))
    status = _command(commands, "status", _status, tr("tell its state"))
    status.add_argument("--json", action="store_true")
    _with_pin(_command(commands, "set-up", _set_up, tr("make a new key under an administrator's PIN")))
    _with_pin(_command(commands, "unlock", _unlock, tr("enter a PIN")))
    _command(commands, "lock", _lock, tr("forget the key in memory"))
    _command(commands, "unplug", _unplug, tr("end the module's process"))
    pin = _command(commands, "set-pin", _set_pin, tr("set a PIN of 7 to 15 digits"))
    pin.add_argument("slot", choices=[str(slot) for slot in Slot])
    pin.add_argument("--off", action="store_true", help=tr("take the self-destruct PIN away"))
    _with_pin(pin)
    _settings(commands)
    for way, text in (("encrypt", tr("encrypt a file")), ("decrypt", tr("decrypt a file"))):
        crypt = _command(commands, way, _crypt, text)
        crypt.add_argument("source", type=Path)
        crypt.add_argument("target", type=Path)
        crypt.add_argument("--force", action="store_true", help=tr("replace TARGET if it exists"))
        crypt.set_defaults(way=way)
    return parser


def _manufacturers(commands: Any) -> None:
    found = commands.add_parser("found", help=tr("make a manufacturing root in a folder"))
    found.add_argument("folder", type=Path)
    found.add_argument("--name", default="Manufacturing root")
    found.set_defaults(run=_found)
    make = _command(commands, "manufacture", _manufacture, tr("make a module into FOLDER"))
    make.add_argument("--root", type=Path, required=True, help=tr("folder of the manufacturing root"))
    make.add_argument("--device-key", type=Path, required=True, help=tr("file to make, outside of FOLDER"))
    make.add_argument("--serial", required=True)
    make.add_argument("--days", type=int, default=IDENTITY_DAYS, help=tr("how long its identity is valid"))
    make.add_argument("--days-ago", type=int, default=0, help=tr("when its validity began"))
    revoke = commands.add_parser("revoke", help=tr("write the next revocation list"))
    revoke.add_argument("--root", type=Path, required=True)
    revoke.add_argument("serials", nargs="+", metavar=tr("SERIAL"))
    revoke.set_defaults(run=_revoke)


def _settings(commands: Any) -> None:
    policy = _command(commands, "policy", _set, tr("what users' PINs have to be"), what="policy")
    policy.add_argument("--digits", type=int, default=7, help=tr("at least so many, 7 to 15"))
    policy.add_argument("--allow-patterns", action="store_true")
    policy.add_argument("--off", action="store_true")
    policy.set_defaults(run=_policy)
    auto_lock = _command(commands, "auto-lock", _set, tr("lock after so many minutes without use"), what="auto-lock")
    auto_lock.add_argument("value", type=lambda text: None if text == "off" else int(text), metavar=tr("MINUTES|off"))
    mode = _command(commands, "mode", _set, tr("how files are encrypted from now on"), what="mode")
    mode.add_argument("value", choices=[str(mode) for mode in Mode])
    mode.add_argument("--legacy", action="store_true", help=tr("allow AES-ECB"))
    cloning = _command(commands, "cloning", _set, tr("let others be cloned from it"), what="cloning")
    cloning.add_argument("value", type=lambda text: {"on": True, "off": False}[text], metavar="on|off")


def _policy(options: argparse.Namespace) -> None:
    options.value = None if options.off else [options.digits, not options.allow_patterns]
    _set(options)


def _command(commands: Any, name: str, run: Any, text: str, **defaults: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("folder", type=Path, help=tr("the module's folder"))
    parser.set_defaults(run=run, **defaults)
    return parser


def _with_pin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pin-file", type=Path, help=tr("file of mode 0600 with the PIN; without it you are asked"))


if __name__ == "__main__":
    sys.exit(main())
