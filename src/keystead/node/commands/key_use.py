"""`keystead key-use`: who used a key, asked of a running node at its local door.

Source: requirements KS-LOG-012, 031; docs/key-use.md.
"""

import argparse
import sys
from datetime import UTC, datetime
from typing import Any

from keystead.node.commands.admin_keys import moment_us
from keystead.node.commands.audit import escaped
from keystead.node.commands.local import ask_node
from keystead.operations.key_use import UNREADABLE

PAGE_COUNT = 1_000


def key_use_list(words: argparse.Namespace) -> int:
    """Print uses, newest last."""
    uses: list[dict[str, Any]] = []
    after = ""
    while len(uses) < words.last:
        limit = min(PAGE_COUNT, words.last - len(uses))
        page = ask_node(words, "key_use.list", **_chosen(words), after=after, limit_count=limit)
        uses += page["uses"]
        after = page["next"]
        if not after:
            break
    for use in reversed(uses):
        print(shown_use(use))
    return 0


def key_use_count(words: argparse.Namespace) -> int:
    """Print counts, newest last; what several pages count of one hour or day is added up."""
    rows: dict[tuple[int, str, str], list[int]] = {}
    after = ""
    while True:
        asked = {"per": words.per, "by": words.by, "after": after, "limit_count": PAGE_COUNT}
        page = ask_node(words, "key_use.count", **_chosen(words), **asked)
        for one in page["counts"]:
            row = rows.setdefault((one["begin_us"], one["key_name"], one["name"]), [0, 0])
            row[0] += one["uses_count"]
            row[1] += one["failed_count"]
        after = page["next"]
        if not after or len(rows) >= words.last:
            break
    if after:
        print(f"Note: the {words.last} latest rows; --last says how many", file=sys.stderr)
    newest = sorted(rows.items(), reverse=True)[: words.last]
    for (begin_us, key_name, name), (uses_count, failed_count) in reversed(newest):
        called = escaped(key_name or name)
        failed = f", {failed_count} failed" if failed_count else ""
        print(f"{_time(begin_us)}  {called + '  ' if called else ''}{uses_count} uses{failed}")
    return 0


def shown_use(use: dict[str, Any]) -> str:
    """Return a use as people read it; whatever text is in it stays on this line."""
    if use["result"] == UNREADABLE:
        return f"{'?':19}  {use['message']}"
    key = use["key_name"] or use["key"]
    failure = "" if use["result"] == "success" else f"  failed: {use['result']} ({use['message']})"
    detail = "" if use["detail"] == "-" else f" ({use['detail']})"
    words = f"{use['user']} from {use['address']}  {use['operation']}{detail}  {key}{failure}"
    return f"{_time(use['at_us'])}  {escaped(words)}"


def _chosen(words: argparse.Namespace) -> dict[str, Any]:
    chosen = {"key": words.key or "", "user": words.user or "", "operation": words.operation or ""}
    return {**chosen, "from_us": moment_us(words.since), "until_us": moment_us(words.until)}


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
