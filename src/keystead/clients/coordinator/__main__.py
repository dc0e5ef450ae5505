"""keystead-coordinator: enrol it, then clone a secure module to others; `--help` lists the commands.

Exit status 0 when all of it worked (every target is cloned), 1 when something was refused, 2 for wrong arguments.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keystead.clients.coordinator import page, relay
from keystead.clients.coordinator.registry import ENROLMENT_DAYS, Desk, Registry
from keystead.clients.languages import begin, say
from keystead.clients.secure_module.secrets_in import secret_from
from keystead.core.errors import KeysteadError
from keystead.core.translation import tr
from keystead.custody.modules.messages import Options
from keystead.custody.modules.store import read_file


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command."""
    begin()
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options) or 0)
    except KeysteadError as error:
        print(tr(error.message), file=sys.stderr)
    except OSError as error:
        print(error.filename or tr("the coordinator"), error.strerror, sep=": ", file=sys.stderr)
    return 1


def now_us() -> int:
    """Return the time, microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def _issue(options: argparse.Namespace) -> None:
    issued = Desk(options.desk, now_us).issue(options.days)
    link = f"keystead-coordinator confirm {options.desk} {issued.token}"
    pin = issued.pin.reveal().decode()
    say(
        "Enrolment number {number}\nPIN {pin}\nConfirm it within {days} days: {link}",
        number=issued.number,
        pin=pin,
        days=options.days,
        link=link,
    )


def _confirm(options: argparse.Namespace) -> None:
    say(
        "Enrolment {number} is confirmed; the coordinator can be registered with its number and PIN now.",
        number=Desk(options.desk, now_us).confirm(options.token),
    )


def _register(options: argparse.Namespace) -> None:
    pin = secret_from(options.pin_file, tr("PIN of the enrolment"))
    Registry(options.state).register(Desk(options.desk, now_us), options.number, pin)
    say("Registered with number {number}. Change its PIN before anybody else learns it.", number=options.number)


def _opened(options: argparse.Namespace) -> Registry:
    """Open the coordinator with its PIN, as at each start (CA-011)."""
    registry = Registry(options.state)
    _ = registry.number
    registry.open(secret_from(options.pin_file, tr("PIN of the coordinator")))
    return registry


def _status(options: argparse.Namespace) -> None:
    _opened(options)
    hub = relay.Hub(options.hub)
    for serial in hub.serials():
        told = hub.status(serial)
        parts = [tr(str(told["state"])), tr("cloning on") if told["cloning"] else tr("cloning off")]
        if told["copied_from"]:
            parts.append(tr("clone of {serial}", serial=told["copied_from"]))
        print(f"{serial}: {', '.join(parts)}")


def _start(options: argparse.Namespace) -> int:
    kept = _opened(options).settings()
    hub = relay.Hub(options.hub)
    if options.revocations is not None:
        hub.bring_revocations(read_file(options.revocations, tr("the revocation list")))
    chosen = Options(
        kept["auto_lock"] if options.auto_lock is None else options.auto_lock,
        kept["policy"] if options.policy is None else options.policy,
        options.disable_source,
    )
    targets = options.target or [serial for serial in hub.serials() if serial != options.source]
    run = relay.Run(options.source, targets, chosen, options.replace, options.at_most)
    outcomes = relay.clone(hub, run, lambda line: print(line, flush=True))
    failed = [outcome for outcome in outcomes if outcome.why]
    say("{cloned} of {all} cloned.", cloned=len(outcomes) - len(failed), all=len(outcomes))
    if failed:
        say(
            "Those that failed hold what they held before, unless they say that they are clones; "
            "start again when mended."
        )
    return 1 if failed else 0


def _change_pin(options: argparse.Namespace) -> None:
    registry = Registry(options.state)
    say("Enrolment number {number}", number=registry.number)
    current = secret_from(options.pin_file, tr("PIN of the coordinator"))
    new = secret_from(options.new_pin_file, tr("New PIN of the coordinator"), twice=True)
    registry.change_pin(current, new, new)
    say("The new PIN counts from the next start.")


def _export(options: argparse.Namespace) -> None:
    _opened(options).export(options.file)
    say("Wrote the two settings to {file}; there is no secret in it.", file=options.file)


def _import(options: argparse.Namespace) -> None:
    _opened(options).bring(options.file)
    say("Took over the two settings.")


def _page(options: argparse.Namespace) -> None:
    served = page.Page(Registry(options.state), relay.Hub(options.hub), options.port)
    say("The page is at {link} (this link works once). End it with Ctrl-C.", link=served.link)
    served.serve()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="keystead-coordinator", description=tr("Clone a secure module to others."))
    commands = parser.add_subparsers(required=True, metavar=tr("COMMAND"))
    issue = _desk(commands, "issue", _issue, tr("for administrators: issue an enrolment"))
    issue.add_argument("--days", type=int, default=ENROLMENT_DAYS, help=tr("until when it has to be confirmed"))
    confirm = _desk(commands, "confirm", _confirm, tr("confirm an enrolment by its one-time link"))
    confirm.add_argument("token")
    register = _command(commands, "register", _register, tr("register this coordinator with an enrolment"))
    register.add_argument("--desk", type=Path, required=True)
    register.add_argument("--number", required=True)
    _with_hub(_command(commands, "status", _status, tr("tell what is plugged in")))
    _starting(_with_hub(_command(commands, "start", _start, tr("clone a source to targets, one after the other"))))
    change = _command(commands, "change-pin", _change_pin, tr("change the coordinator's PIN"))
    change.add_argument("--new-pin-file", type=Path)
    for name, run, text in (
        ("export", _export, tr("write the two settings")),
        ("import", _import, tr("take them over")),
    ):
        _command(commands, name, run, text).add_argument("file", type=Path)
    served = _with_hub(_command(commands, "page", _page, tr("serve a small page on this machine")))
    served.add_argument("--port", type=int, default=0)
    return parser


def _starting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", required=True, metavar=tr("SERIAL"))
    parser.add_argument(
        "--target", action="append", metavar=tr("SERIAL"), help=tr("repeat; default: all others in the hub")
    )
    parser.add_argument("--auto-lock", action=argparse.BooleanOptionalAction, help=tr("copy the auto-lock setting"))
    parser.add_argument("--policy", action=argparse.BooleanOptionalAction, help=tr("copy the policy for users' PINs"))
    parser.add_argument("--disable-source", action="store_true", help=tr("switch cloning off in the source afterwards"))
    parser.add_argument("--replace", action="store_true", help=tr("targets may lose what they hold"))
    parser.add_argument("--at-most", type=int, default=relay.TARGETS_COUNT, help=tr("targets at a time, 9 unless said"))
    parser.add_argument("--revocations", type=Path, help=tr("revocation list to bring to every module first"))


def _desk(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("desk", type=Path, help=tr("the administrator's folder of enrolments"))
    parser.set_defaults(run=run)
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("state", type=Path, help=tr("the coordinator's folder"))
    parser.add_argument("--pin-file", type=Path, help=tr("file of mode 0600 with the PIN; without it you are asked"))
    parser.set_defaults(run=run)
    return parser


def _with_hub(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--hub", type=Path, required=True, help=tr("folder that modules are plugged into"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
