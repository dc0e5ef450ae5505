"""`keystead key new-version`, `versions`, `set-version`: versions of keys, asked of a running node at its local door.

Law: key bytes come from a file or a pipe, never from the command line.

Source: requirements KS-KEY-012, 014, 015, 053, 056.
"""

import argparse
import sys
from typing import Any

from keystead.node.commands.admin_keys import PAGE_COUNT, remind, text_of, time_of
from keystead.node.commands.local import ask_node


def version_create(words: argparse.Namespace) -> int:
    """Make the next version of a key."""
    if words.file is None:
        made = ask_node(words, "key_version.create", target=words.key)
    else:
        told = {"material": text_of(words.file), "encoding": words.encoding}
        made = ask_node(words, "key_version.import", target=words.key, **told)
    print(_line(made))
    remind()
    return 0


def version_list(words: argparse.Namespace) -> int:
    """Print versions, newest first."""
    after, left_count = "", words.limit
    while left_count > 0:
        count = min(left_count, PAGE_COUNT)
        page = ask_node(words, "key_version.list", target=words.key, after=after, limit_count=count)
        for version in page["versions"]:
            print(_line(version))
        after, left_count = page["next"], left_count - count
        if not after:
            return 0
    print("There are more; ask for them with --limit.", file=sys.stderr)
    return 0


def version_set_state(words: argparse.Namespace) -> int:
    """Say what an older version may be used for."""
    told = {"version": words.version, "state": words.state}
    print(_line(ask_node(words, "key_version.set_state", target=words.key, **told)))
    return 0


def _line(version: dict[str, Any]) -> str:
    words = [version["key"], str(version["version"]), version["id"], version["state"], time_of(version["created_us"])]
    words += [f"default IV {version['default_iv']}"] if version["default_iv"] else []
    return "  ".join([*words, "(default)"] if version["is_default"] else words)
