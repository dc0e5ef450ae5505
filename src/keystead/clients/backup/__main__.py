"""`keystead-backup`: set up, configure, back up, list, restore, verify, status.

Exit status 0 only if all worked; 1 if something was left out or refused; 2 if it was called in a wrong way.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from keystead.clients.backup import restoring, scanning, snapshots
from keystead.clients.backup.backing_up import Client, back_up, look
from keystead.clients.backup.entries import Entry, Form, shown
from keystead.clients.backup.opening import add_place, opened
from keystead.clients.backup.progress import Progress
from keystead.clients.backup.reading import Reader
from keystead.clients.backup.restoring import Selection
from keystead.clients.backup.sealing import BackupKeys
from keystead.clients.backup.setting_up import add_configure, add_setup, configure, setup
from keystead.clients.backup.snapshots import Sealed
from keystead.clients.backup.state import ClientState
from keystead.core.errors import KeysteadError, NotFound
from keystead.custody.safeguard.depot import Area

_MIB = 1024 * 1024


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(argv)
    try:
        if options.command in SETTING_UP:
            SETTING_UP[options.command].run(options)
            return 0
        with opened(options) as found:
            keys = BackupKeys(found.keys, found.who)
            client = Client(found.depot, keys, ClientState(found.state), _tell, _now_us)
            return COMMANDS[options.command].run(options, client)
    except KeysteadError as error:
        _tell(error.message)
    except OSError as error:
        _tell(f"{error.strerror}: {error.filename}")
    return 1


def _tell(text: str) -> None:
    print(f"keystead-backup: {text}", file=sys.stderr)


def _now_us() -> int:
    return time.time_ns() // 1000


# ------------------------------------------------------------------------------------------------------------ commands


def _backup_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="what to back up; none = as last time")
    parser.add_argument(
        "--common", action="append", default=[], type=Path, metavar="PATH", help="files common to the account"
    )
    parser.add_argument("--read-all", action="store_true", help="read unchanged files, too")


def _backup(options: argparse.Namespace, client: Client) -> int:
    roots = scanning.roots_of(options.paths, options.common) if options.paths or options.common else ()
    progress = Progress("backing up", quiet=options.quiet)
    if not options.quiet and roots:
        there = scanning.count(roots)
        progress.total_files, progress.total_bytes = there.files, there.bytes
    done = back_up(client, roots, progress, reuse=not options.read_all)
    print(
        f"Backup number {done.ref.sequence} is complete: {done.files} files, {done.content_bytes / _MIB:.1f} MiB; "
        f"{done.unchanged} files unchanged, {done.moved_bytes / _MIB:.2f} MiB moved."
    )
    if done.skipped:
        _tell(f"{done.skipped} could not be read and were left out; they are named above")
    return 1 if done.skipped else 0


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--snapshot", type=int, metavar="NUMBER", help="the files in this snapshot")


def _list(options: argparse.Namespace, client: Client) -> int:
    if options.snapshot is not None:
        for entry in Reader(client.depot, client.keys).entries(_chosen(client, options.snapshot).content):
            print(_line(entry))
        return 0
    last = look(client)
    for sealed in reversed(snapshots.walk(client.keys, client.depot, last, 1) if last else []):
        content = sealed.content
        roots = ", ".join(shown((root.path[1:],)) for root in content.roots)
        left_out = f", {content.skipped} left out" if content.skipped else ""
        size = f"{content.files} files, {content.content_bytes / _MIB:.1f} MiB{left_out}"
        print(f"{sealed.ref.sequence:6}  {_time(content.made_us)}  {size}  {roots}")
    return 0


def _line(entry: Entry) -> str:
    target = f" -> {shown((entry.target,))[1:]}" if entry.form is Form.LINK else ""
    common = "  (account)" if entry.form is Form.FILE and entry.area is Area.ACCOUNT else ""
    when = _time(entry.stamp.mtime_ns // 1000)
    return f"{entry.form.value} {entry.mode:04o} {entry.stamp.size:14}  {when}  {shown(entry.path)}{target}{common}"


def _restore_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", type=Path, metavar="FOLDER", help="where to restore to")
    parser.add_argument("--snapshot", type=int, metavar="NUMBER", help="which; the newest unless told")
    parser.add_argument(
        "--path", action="append", default=[], type=os.fsencode, metavar="PATH", help="only this, with all below it"
    )
    parser.add_argument("--replace", action="store_true", help="write into a folder that is not empty")


def _restore(options: argparse.Namespace, client: Client) -> int:
    sealed = _chosen(client, options.snapshot)
    content = sealed.content
    progress = Progress("restoring", quiet=options.quiet)
    if not options.path:
        progress.total_files, progress.total_bytes = content.files, content.content_bytes
    selection = Selection(tuple(options.path), options.replace)
    done = restoring.restore(client, sealed, options.target, selection, progress)
    kept = f"; {done.kept} were there already" if done.kept else ""
    print(f"Restored {done.files - done.failed} files of snapshot number {sealed.ref.sequence}{kept}.")
    if done.failed:
        _tell(f"{done.failed} could not be restored; they are named above")
    return 1 if done.failed else 0


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--snapshot", type=int, metavar="NUMBER", help="which; the newest unless told")


def _verify(options: argparse.Namespace, client: Client) -> int:
    sealed = _chosen(client, options.snapshot)
    chain = snapshots.walk(client.keys, client.depot, sealed, 1)
    progress = Progress("verifying", quiet=options.quiet)
    progress.total_files, progress.total_bytes = sealed.content.files, sealed.content.content_bytes
    done = restoring.prove(client, sealed, progress)
    if done.failed:
        _tell(f"{done.failed} of {done.files} files cannot be restored: what the vault keeps of them is damaged")
        return 1
    print(
        f"Snapshot number {sealed.ref.sequence} is whole: {done.files} files proven, "
        f"and the chain of {len(chain)} snapshots behind it."
    )
    return 0


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def _status(options: argparse.Namespace, client: Client) -> int:
    del options
    last = look(client)
    if last is None:
        print("There is no backup yet.")
        return 0
    content = last.content
    print(f"Newest backup: number {last.ref.sequence}, {_time(content.made_us)}, {content.files} files.")
    print(f"Encryption: {client.keys.kind.value}, for {client.keys.who.account}/{client.keys.who.client}.")
    return 0


def _chosen(client: Client, sequence: int | None) -> Sealed:
    """Return a snapshot by its number, the newest without one, proven.

    Raises:
        NotFound: there is none.
    """
    last = look(client)
    if last is None:
        raise NotFound("there is no backup yet")
    if sequence is None or sequence == last.ref.sequence:
        return last
    return snapshots.at(client.keys, client.depot, last.ref, sequence)


def _time(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


class Command(NamedTuple):
    """One command: what it does, its arguments, how it runs, and whether it talks to the vault first."""

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Client], int]


class SettingUp(NamedTuple):
    """One command that needs no vault that is open."""

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


SETTING_UP = {
    "setup": SettingUp("set this client up with a vault, or rebuild it", add_setup, setup),
    "configure": SettingUp("add an account key or key safeguarding", add_configure, configure),
}
COMMANDS: dict[str, Command] = {
    "backup": Command("back up folders", _backup_arguments, _backup),
    "list": Command("show snapshots, or the files in one", _list_arguments, _list),
    "restore": Command("restore files into a folder", _restore_arguments, _restore),
    "verify": Command("prove that a snapshot can be restored", _verify_arguments, _verify),
    "status": Command("say what is backed up", _status_arguments, _status),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keystead-backup", description="Backs up to a vault that sees ciphertext only."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, setting in SETTING_UP.items():
        setting.arguments(commands.add_parser(name, help=setting.help, description=setting.help))
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.help, description=command.help)
        add_place(one)
        one.add_argument("--quiet", action="store_true", help="show no progress")
        command.arguments(one)
    return parser


if __name__ == "__main__":
    sys.exit(main())
