"""Checks of what lies on disk: space, permissions, leftovers, the write-ahead log, the last verification."""

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from keystead.node.doctor.findings import DAY_S, Examined, Finding, Severity
from keystead.node.folder import UNFINISHED

MIB = 1024 * 1024
STORES = ("store.db", "node.db")
PUBLIC = {"ca.pem"}  # clients get it


def disk_space(node: Examined) -> Iterator[Finding]:
    """A full disk stops every change."""
    free_bytes = shutil.disk_usage(node.config.data).free
    for limit_bytes, severity in (
        (node.thresholds.free_bytes, Severity.ERROR),
        (node.thresholds.free_soon_bytes, Severity.WARNING),
    ):
        if free_bytes < limit_bytes:
            yield Finding(
                severity,
                "disk_space",
                f"Only {free_bytes // MIB} MiB are free where the data folder is.",
                "Make room or move the folder to a larger disk: without space no key can be made or changed.",
            )
            return


def permissions(node: Examined) -> Iterator[Finding]:
    """Nobody but the node's account may read what is in the data folder, nor the node key."""
    data = node.config.data
    owner = data.stat().st_uid
    guarded = [data, *(path for path in sorted(data.rglob("*")) if not path.is_symlink())]
    key = node.config.node_key
    for path in [*guarded, *(secret for secret in (key, node.config.witness) if secret.exists())]:
        status = path.stat()
        forbidden = 0o022 if path.name in PUBLIC else 0o077
        if stat.S_IMODE(status.st_mode) & forbidden:
            private = "700" if path.is_dir() else "600"
            yield Finding(
                Severity.ERROR,
                "permissions",
                f"{path} can be used by other accounts of this machine.",
                f"Run `chmod {private} {path}`"
                + (", and make a new node if a stranger may have read the key." if path == key else "."),
            )
        elif status.st_uid != owner:
            yield Finding(
                Severity.WARNING,
                "permissions",
                f"{path} belongs to another account than the data folder.",
                f"Run `chown --reference={data} {path}`, or the node cannot use it.",
            )
    if not key.exists():
        yield Finding(
            Severity.ERROR,
            "permissions",
            f"The node key is not at {key}.",
            "Mount or restore it; nothing opens without.",
        )


def leftovers(node: Examined) -> Iterator[Finding]:
    """Files that a run which was killed has left."""
    places = [*node.config.data.rglob("*.new"), *node.config.node_key.parent.glob("*.new")]
    for path in sorted(set(places)):
        if node.now_s - path.lstat().st_mtime > node.thresholds.leftover_s:
            yield Finding(
                Severity.WARNING,
                "leftovers",
                f"{path} was left behind by a run that was killed.",
                f"Remove it with `rm {path}`; what it was to become is untouched.",
            )
    mark = node.config.data / UNFINISHED
    if mark.exists() and node.now_s - mark.lstat().st_mtime > node.thresholds.leftover_s:
        yield Finding(
            Severity.WARNING,
            "leftovers",
            f"This throw-away node was not finished: {mark} is still there.",
            "Leave the file there and start `keystead dev` on the folder again: it makes the node anew.",
        )
    if node.state is None:
        for path in (node.config.local_socket, node.config.keys_socket):
            if path.exists():
                yield Finding(
                    Severity.NOTE,
                    "leftovers",
                    f"{path.name} is there although nobody answers.",
                    "Nothing to do: the next start replaces it.",
                )


def write_ahead_log(node: Examined) -> Iterator[Finding]:
    """A log that only grows is held back by a reader, and makes every start and every read slower."""
    for name in STORES:
        path = node.config.data / f"{name}-wal"
        size_bytes = path.stat().st_size if path.exists() else 0
        if size_bytes > node.thresholds.wal_bytes:
            yield Finding(
                Severity.WARNING,
                "write_ahead_log",
                f"{path.name} has {size_bytes // MIB} MiB: something keeps it from being written back.",
                "Look for programs that have the store open (`fuser`), such as a backup or a long `keystead verify`; "
                "a restart of the node writes it back.",
            )


def last_verification(node: Examined) -> Iterator[Finding]:
    """A row that somebody has altered shows only when it is used, or when every row is walked."""
    advice = f"Run `keystead verify --data {node.config.data}`, and regularly, such as once a week."
    path = node.config.verified
    try:
        told = json.loads(path.read_text())
        at_s, findings_count = float(told["at_s"]), int(told["findings"])
    except FileNotFoundError:
        age_s = node.now_s - (node.config.data / "keystead.toml").stat().st_mtime
        severity = Severity.WARNING if age_s > node.thresholds.verify_days * DAY_S else Severity.NOTE
        yield Finding(severity, "last_verification", "The stores were never verified row by row.", advice)
        return
    except (ValueError, KeyError, TypeError):
        yield Finding(Severity.WARNING, "last_verification", f"{path.name} cannot be understood.", advice)
        return
    days = int((node.now_s - at_s) / DAY_S)
    if findings_count:
        what = f"The last verification, {days} days ago, named {findings_count} findings."
        yield Finding(
            Severity.ERROR,
            "last_verification",
            what,
            f"Run `keystead verify --data {node.config.data}` again and do what it advises.",
        )
    elif days > node.thresholds.verify_days:
        yield Finding(Severity.WARNING, "last_verification", f"The stores were last verified {days} days ago.", advice)


def note_verification(path: Path, at_s: float, findings_count: int) -> bool:
    """Note that the stores were walked, for `last_verification`; False when that cannot be written."""
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            owner = path.parent.stat()
            if os.geteuid() == 0:  # root verifies, the node's account goes on
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            json.dump({"at_s": at_s, "findings": findings_count}, file)
    except OSError:
        return False
    return True
