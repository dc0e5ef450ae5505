"""`keystead drives | hsm-backup | hsm-restore`: keys of tokens on sets of drives, asked of a running node.

PINs go straight to the `keys` process: nobody between sees them.

Source: requirements CB-004, 013, 016, 017; docs/drives.md.
"""

import argparse
import getpass
import sys
import time
from pathlib import Path
from typing import Any

from keystead.core.errors import NotFound
from keystead.node.commands.answers import read_answers
from keystead.node.commands.local import ask_node, day
from keystead.node.folder import make_file, read_config, unix_address
from keystead.protocols.local.client import ask

LOOK_EVERY_S = 0.2
FAILED = 1


def drives_register(words: argparse.Namespace) -> int:
    """Give a drive its identity."""
    drive = ask_node(words, "drive.register", place=words.place, name=words.name)
    print(f"{drive['name']} is registered as {drive['id']}")
    if drive["caution"]:
        print(f"Note: {drive['caution']}", file=sys.stderr)
    return 0


def drives_list(words: argparse.Namespace) -> int:
    """Print the registered drives, one a line."""
    for drive in ask_node(words, "drive.list"):
        print(f"{drive['name']}  {drive['id']}  here {_day(drive['visited_us'])}  set {drive['set_id'] or '-'}")
    return 0


def drives_challenge(words: argparse.Namespace) -> int:
    """Have a drive prove itself."""
    drive = ask_node(words, "drive.challenge", place=words.place)
    print(f"{drive['name']} is itself; it holds set {drive['set_id'] or '-'}")
    return 0


def drives_origin(words: argparse.Namespace) -> int:
    """Write the public half of what signs this node's sets, for a new node that shall trust it."""
    shown = ask_node(words, "key_backup.show_origin")
    make_file(Path(words.out), shown["key"])
    print(f"{words.out}: {shown['fingerprint']}")
    return 0


def drives_status(words: argparse.Namespace) -> int:
    """Print how the last backup or restore is, and what is due."""
    shown = ask_node(words, "key_backup.show")
    if not shown["kind"]:
        print("there was no backup or restore yet")
    else:
        for number, step in enumerate(shown["steps"], start=1):
            print(f"{number}. {step}")
        _print_end(shown)
    for line in shown["due"]:
        print(f"due: {line}")
    return 0


def hsm_backup(words: argparse.Namespace) -> int:
    """Back tokens up, and tell each step."""
    labels = words.partition
    return _run(words, "key_backup.start", labels, partitions=labels)


def hsm_restore(words: argparse.Namespace) -> int:
    """Bring keys back, and tell each step."""
    labels = [word.partition("=")[2] or word for word in words.partition]
    return _run(words, "key_restore.start", labels, targets=words.partition, set_id=words.set or "")


def _run(words: argparse.Namespace, operation: str, labels: list[str], **fields: Any) -> int:
    given = None if words.answers is None else read_answers(words.answers)
    pins = {
        f"{role}_pins": "\n".join(_pin(given, role, label) for label in dict.fromkeys(labels)).encode()
        for role in ("officer", "user")
    }
    socket = unix_address(read_config(Path(words.data).absolute()).keys_socket)
    ask(socket, operation, drives=words.drive, officer=words.officer, **fields, **pins)
    shown, told_count = ask(socket, "key_backup.show"), 0
    while True:
        for number, step in enumerate(shown["steps"][told_count:], start=told_count + 1):
            print(f"[{number}] {step}", flush=True)
        told_count = len(shown["steps"])
        if shown["state"] != "running":
            return _print_end(shown)
        if sys.stderr.isatty():
            print(f"\r{shown['doing']}: {shown['number']} of {shown['total']}   ", end="", file=sys.stderr, flush=True)
        time.sleep(LOOK_EVERY_S)
        shown = ask(socket, "key_backup.show")


def _print_end(shown: dict[str, Any]) -> int:
    """Print what came of it; returns the exit status."""
    print(f"{shown['kind']} {shown['state']}: {shown['message']}")
    if shown["state"] == "done":
        print(f"set {shown['set_id']} on {', '.join(shown['drives'])}")
    for line in shown["unsaved"]:
        print(f"NOT saved: {line}")
    for line in shown["hints"]:
        print(f"drive {line}")
    return 0 if shown["state"] in ("done", "running") else FAILED


def _pin(given: dict[str, str] | None, role: str, label: str) -> str:
    """Return a PIN: from lines `ROLE LABEL = PIN`, or `ROLE = PIN` for all tokens, or typed."""
    title = "security officer" if role == "officer" else role
    if given is None:
        return getpass.getpass(f"PIN of the {title} of {label}: ")
    for name in (f"{role} {label}", role):
        if name in given:
            return given[name]
    raise NotFound(f"the answers lack a line `{role} {label} = PIN`")


def _day(at_us: int) -> str:
    return day(at_us / 1_000_000)
