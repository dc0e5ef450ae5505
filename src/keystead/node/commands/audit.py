"""`keystead audit`: showing, exporting, verifying and proving the audit log, and taking a name out of it.

Verifying needs no node: an export, or a proof, and the key that was noted before.

Source: requirements KS-LOG-010, 011, 033; docs/adr/0060-audit-tree.md; attacks.md class 31.
"""

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keystead.core.errors import Invalid, KeysteadError, NotFound, Unavailable
from keystead.node.auditing import audit_folder, verifier_key
from keystead.node.commands.local import ask_node
from keystead.node.folder import make_file, read_config
from keystead.node.opening import open_parts
from keystead.operations.audit import LISTED_COUNT_MAX
from keystead.storage.audit_tree import reading
from keystead.storage.audit_tree.files import KEY, read_whole
from keystead.storage.audit_tree.verify import verify
from keystead.trust.notes import (
    KEY_TEXT_CHARACTERS_MAX,
    NOTE_BYTES_MAX,
    PROOF_BYTES_MAX,
    Checkpoint,
    Proof,
    VerifierKey,
    checkpoint_of,
)

EXIT_FOUND = 1
LAST_COUNT = 100
SETTLED_S_MAX = 3.0
POLL_S = 0.05


def audit_show(words: argparse.Namespace) -> int:
    """Print entries, newest last."""
    _settled(words)
    wanted = words.last if words.last is not None or words.since else LAST_COUNT
    since_us = _moment_us(words.since) if words.since else 0
    chosen = {"since_us": since_us, "named": words.operation or "", "user": words.user or ""}
    lines: list[dict[str, Any]] = []
    before = -1
    while before and (wanted is None or len(lines) < wanted):
        limit = LISTED_COUNT_MAX if wanted is None else min(LISTED_COUNT_MAX, wanted - len(lines))
        page = ask_node(words, "audit.show", before=before, limit=limit, **chosen)
        lines += page["lines"]
        before = page["before"]
    for line in reversed(lines):
        print(shown_line(line))
    return 0


def audit_key(words: argparse.Namespace) -> int:
    """Print the key that verifies the node's checkpoints."""
    print(_key_of(words).text)
    return 0


def audit_export(words: argparse.Namespace) -> int:
    """Copy the tree with its checkpoints; the node may run."""
    _settled(words)
    config = read_config(Path(words.data).absolute())
    out, with_personal = Path(words.out), not words.without_personal
    key = _key_of(words)
    head = reading.export(
        audit_folder(config), key, out, with_personal=with_personal, progress=_progress("entries copied")
    )
    print(f"{head.size} entries{'' if with_personal else ' without personal parts'} copied to {out}")
    print(f"verifier key: {key.text}")
    return 0


def audit_verify(words: argparse.Namespace) -> int:
    """Verify an export; status 1 when something is wrong."""
    folder = Path(words.folder)
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder}")
    key = _given_key(words.key) or _key_beside(folder)
    older = _older(words.against, key)
    begun_s = time.monotonic()
    told = verify(folder, key, older, _progress("entries checked"))
    for finding in told.findings:
        print(f"WRONG   {finding}")
    for note in told.notes:
        print(f"note    {note}")
    if words.key is None:
        print("note    the key came with the export; compare it with `keystead audit key`, or give it with --key")
    print(
        f"{told.entries_count} entries and {told.checkpoints_count} checkpoints of {key.name} checked in "
        f"{time.monotonic() - begun_s:.1f} s, " + (f"{len(told.findings)} findings" if told.findings else "all sound")
    )
    return EXIT_FOUND if told.findings else 0


def audit_prove(words: argparse.Namespace) -> int:
    """Write the proof that an entry is in the log."""
    _settled(words)
    proof = ask_node(words, "audit.prove", number=words.entry)
    make_file(Path(words.out), str(proof).encode())
    print(f"proof of entry {words.entry}: {words.out}")
    return 0


def audit_verify_proof(words: argparse.Namespace) -> int:
    """Judge a proof; status 1 when it shows nothing."""
    data = read_whole(Path(words.file), PROOF_BYTES_MAX)
    if data is None:
        raise NotFound(f"there is no file {words.file}")
    proof = Proof.from_text(data.decode(errors="replace"))
    found = reading.proven(proof, _given_key(words.key))
    entry = found.entry
    print(f"entry {found.number} is in the log {found.key.name} of {found.size} entries:")
    print(f"{_time(entry.at_us)} {escaped(entry.operation)} {escaped(entry.target)}: {escaped(entry.outcome)}")
    if words.key is None:
        print("note: the key came with the proof; compare it with `keystead audit key`, or give it with --key")
        print(f"verifier key: {found.key.text}")
    return 0


def audit_pseudonymise(words: argparse.Namespace) -> int:
    """Replace a person's name in the personal parts of all entries."""
    _settled(words)
    done = ask_node(words, "audit.pseudonymise", name=words.user)
    print(f"{done['pseudonym']} stands for the name in {done['entries_count']} of {done['size']} entries")
    return 0


def shown_line(line: dict[str, Any]) -> str:
    """Return an entry as people read it (KS-LOG-010); whatever text is in it stays on this line."""
    done = escaped(line["detail"]) if line["detail"] else "done"
    text = done if line["outcome"] == "done" else f"{escaped(line['outcome'])}: {done}"
    place = "" if line["origin"] == "-" else f", from {escaped(line['origin'])}"
    target = "" if line["target"] == "-" else f" {escaped(line['target'])}"
    who = escaped(line["name"] or line["kind"]).replace("]", r"\x5d")
    return f"{_time(line['at_us'])} [{who}]: {text} ({escaped(line['operation'])}{target}{place})"


def escaped(text: str) -> str:
    r"""Return text that cannot leave its line or turn it round: what is not printable as \x.. or \u...., \ doubled."""
    return "".join(c if c.isprintable() and c != "\\" else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if character == "\\":
        return r"\\"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _time(at_us: int) -> str:
    try:
        return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):  # in a proof that somebody else has signed
        return f"at {at_us}"


def _moment_us(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"write a moment as 2006-07-06T09:15:02, not {text!r}", "invalid.field") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6)


def _settled(words: argparse.Namespace) -> None:
    """Wait for a moment until the running node has taken over what is there; say so when it does not."""
    deadline_s = time.monotonic() + SETTLED_S_MAX
    try:
        state = ask_node(words, "audit.state")
        while state["behind_count"] and time.monotonic() < deadline_s:
            time.sleep(POLL_S)
            state = ask_node(words, "audit.state")
    except Unavailable:
        return  # who needs the node is told so by what they ask next
    if state["behind_count"]:
        why = f": {state['trouble']}" if state["trouble"] else ""
        print(f"note: {state['behind_count']} entries are not taken over yet{why}", file=sys.stderr)


def _key_of(words: argparse.Namespace) -> VerifierKey:
    """Return the node's key: of the running node, or from its own store."""
    try:
        text = str(ask_node(words, "audit.state")["key"])
        key = VerifierKey.from_text(text) if text else None
    except Unavailable:
        key = verifier_key(open_parts(read_config(Path(words.data).absolute())).own)
    if key is None:
        raise NotFound("the audit log was not begun yet; serve the node first")
    return key


def _given_key(text: str | None) -> VerifierKey | None:
    return None if text is None else VerifierKey.from_text(text)


def _key_beside(folder: Path) -> VerifierKey:
    data = read_whole(folder / KEY, KEY_TEXT_CHARACTERS_MAX)
    if data is None:
        raise NotFound(f"{folder} holds no key; give the verifier key with --key")
    return VerifierKey.from_text(data.decode(errors="replace"))


def _older(file: str | None, key: VerifierKey) -> Checkpoint | None:
    if file is None:
        return None
    data = read_whole(Path(file), NOTE_BYTES_MAX)
    if data is None:
        raise NotFound(f"there is no file {file}")
    try:
        return checkpoint_of(data.decode(errors="replace"), key)
    except KeysteadError as error:
        raise Invalid(f"{file} holds no checkpoint of this log: {error.message}", "invalid.field") from None


def _progress(what: str) -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done} of {total} {what}", end="\n" if done >= total else "", file=sys.stderr)

    return show
