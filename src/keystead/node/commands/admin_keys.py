"""`keystead key`: making, finding, changing and erasing keys of anybody, asked of a running node at its local door.

Law: key bytes come from a file or a pipe, never from the command line, and never go out again.

Source: requirements KS-KEY-001 to 003, 007 to 011, 036, 041, 042; KS-LIFE-001 to 007.
"""

import argparse
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keystead.core.errors import Invalid, NotFound
from keystead.node.commands.local import ask_node
from keystead.protocols.local.wire import FRAME_BYTES_MAX

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PAGE_COUNT = 1_000
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d.*")


def key_generate(words: argparse.Namespace) -> int:
    """Make a key or a key pair."""
    _print_made(ask_node(words, "key.generate", **_of_new(words)))
    return 0


def key_import(words: argparse.Namespace) -> int:
    """Take a key from a file or from standard input."""
    told = {**_of_new(words), "encoding": words.encoding, "material": text_of(words.file)}
    _print_made(ask_node(words, "key.import", **told))
    return 0


def key_show(words: argparse.Namespace) -> int:
    """Print everything about a key but its bytes."""
    _print_details(ask_node(words, "key.show", target=words.key))
    return 0


def key_public(words: argparse.Namespace) -> int:
    """Print a public key as PEM."""
    print(ask_node(words, "key.public_key", target=words.key)["pem"], end="")
    return 0


def key_rename(words: argparse.Namespace) -> int:
    """Give a key another name."""
    _print_details(ask_node(words, "key.rename", target=words.key, name=words.name))
    return 0


def key_flags(words: argparse.Namespace) -> int:
    """Say whether clients may delete and export a key."""
    given = {name: getattr(words, name) for name in ("deletable", "exportable") if getattr(words, name) is not None}
    if not given:
        raise Invalid("say --deletable or --exportable", "invalid.missing")
    ask_node(words, "key.set_flags", target=words.key, **{name: word == "yes" for name, word in given.items()})
    return key_show(words)


def key_clone(words: argparse.Namespace) -> int:
    """Make another key with the same bytes."""
    told = {"name": words.name, "versioned": words.versioned}
    told |= {"copy_grants": not words.without_grants, "copy_attributes": not words.without_attributes}
    _print_made(ask_node(words, "key.clone", target=words.key, **told))
    return 0


def key_set_state(words: argparse.Namespace) -> int:
    """Move a key to another state."""
    told = {"state": words.state, "message": words.message, "occurrence_us": moment_us(words.occurred)}
    _print_details(ask_node(words, "key.set_state", target=words.key, **told))
    return 0


def key_change(words: argparse.Namespace) -> int:
    """Change dates, description and attributes of a key."""
    dates = ("activation", "process_start", "protect_stop", "deactivation")
    told: dict[str, Any] = {f"{name}_us": moment_us(getattr(words, name)) for name in dates}
    told |= {"description": words.description, "attributes": words.attribute, "without": words.without}
    _print_details(ask_node(words, "key.change", target=words.key, **told))
    return 0


def key_erase(words: argparse.Namespace) -> int:
    """Erase a key, after its name or id was typed again."""
    confirm = words.confirm
    if confirm is None:
        confirm = input(f"Everything that {words.key} protects will be lost. Type its name or id again to erase it: ")
    ask_node(words, "key.erase", target=words.key, confirm=confirm)
    print(f"{words.key} erased")
    return 0


def key_find(words: argparse.Namespace) -> int:
    """List keys, page after page, until there are as many as wanted."""
    dates = ("created_from", "created_until", "changed_from", "changed_until")
    told: dict[str, Any] = {f"{name}_us": moment_us(getattr(words, name)) for name in dates}
    told |= {"kind": words.kind, "state": words.state, "order": words.order}
    told |= {"owner": "" if words.nobody else words.owner, "name_part": words.name or ""}
    told |= {name: getattr(words, name) or "" for name in ("group", "algorithm", "attribute")}
    left_count, after = words.limit, ""
    while left_count > 0:
        count = min(left_count, PAGE_COUNT)
        page = ask_node(words, "key.find", **told, after=after, limit_count=count)
        for key in page["keys"]:
            print(_line(key))
        left_count -= len(page["keys"])
        after = page["next"]
        if not after:
            return 0
    print("There are more; ask for them with --limit.", file=sys.stderr)
    return 0


def moment_us(typed: str | None) -> int | None:
    """Return a time as UTC microseconds: a whole one, in ISO 8601 or as mm/dd/yyyy hh:mm:ss (KS-LIFE-007).

    Raises:
        Invalid: not a time, or only a part of one.
    """
    if typed is None:
        return None
    try:
        if _ISO.fullmatch(typed):
            moment = datetime.fromisoformat(typed)
        else:
            moment = datetime.strptime(typed, "%m/%d/%Y %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise Invalid(
            f"{typed!r} is no time; write it as 2006-07-06T09:15:02 or 07/06/2006 09:15:02", "invalid.field"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round((moment - EPOCH).total_seconds() * 1_000_000)


def time_of(moment_us: int) -> str:
    """Return a moment as people read it, UTC."""
    return datetime.fromtimestamp(moment_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _of_new(words: argparse.Namespace) -> dict[str, Any]:
    told = {
        "name": words.name,
        "owner": words.owner,
        "deletable": words.deletable,
        "exportable": words.exportable,
        "active": not words.pre_active,
        "activation_us": moment_us(words.activation),
        "description": words.description or "",
        "attributes": words.attribute,
        "versioned": words.versioned,
    }
    return told if words.algorithm is None else {**told, "algorithm": words.algorithm}


def text_of(file: str) -> bytes:
    """Return what is in a file, or "-" comes from standard input. Raises NotFound."""
    if file == "-":
        return sys.stdin.buffer.read(FRAME_BYTES_MAX)
    try:
        with Path(file).open("rb") as opened:
            return opened.read(FRAME_BYTES_MAX)
    except OSError as error:
        raise NotFound(f"{file}: {error.strerror}") from None


def _line(key: dict[str, Any]) -> str:
    what = f"{key['kind']} {key['algorithm']} {key['length_bits']}".removesuffix(" - 0")
    count = key["versions_count"]
    what += f" in {count} version{'s' if count > 1 else ''}" if count else ""
    names = ", ".join(name for name in key["names"] if name != key["name"])
    words = (key["id"], key["name"], key["owner"] or "(nobody)", what, key["state"], time_of(key["created_us"]))
    return "  ".join([*words, f"names: {names}"] if names else words)


def _print_made(made: dict[str, Any]) -> None:
    print(_line(made["key"]))
    if made["public_id"]:
        print(f"  public half: {made['public_id']}")
    remind()


def remind() -> None:
    """Remind to back up what was just made (KS-KEY-053)."""
    print("Back it up: without a backup, a key that is lost cannot be had again.", file=sys.stderr)


def _print_details(shown: dict[str, Any]) -> None:
    print(_line(shown["key"]))
    flags = [name for name in ("deletable", "exportable", "sensitive", "extractable") if shown[name]]
    told = {"flags": ", ".join(flags) or "-", "usage": ", ".join(shown["usage"]) or "-"}
    told |= {"changed": f"{time_of(shown['key']['changed_us'])}, revision {shown['revision']}"}
    for name, at_us in shown["dates"].items():
        if at_us is not None:
            told[name.removesuffix("_us").replace("_", " ")] = time_of(at_us)
    told |= {"can become": ", ".join(shown["moves"]) or "-"}
    told |= {title: shown[name] for title, name in (("other half", "other_half"), ("SHA-256", "digest")) if shown[name]}
    for title, text in told.items():
        print(f"  {title}: {text}")
    for one in shown["attributes"]:
        print(f"  {one['name']}[{one['index']}]: {one['value']}")
    for one in shown["grants"]:
        whom = f"group {one['group']}" if one["group"] else f"user {one['user']}"
        narrowed = f" under policy {one['policy']}" if one["policy"] else ""
        print(f"  {whom} may: {', '.join(one['rights'])}{narrowed}")
