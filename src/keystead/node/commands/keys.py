"""`keystead key`: whose keys are whose and who else may use them, asked of a running node at its local door.

Source: requirements KS-KEY-001, 003 to 006, 021, 022, 059.
"""

import argparse
import sys
from functools import reduce
from operator import or_

from keystead.core.errors import Invalid
from keystead.core.key_names import RIGHTS, right_words
from keystead.node.commands.local import ask_node


def key_list(words: argparse.Namespace) -> int:
    """List keys: of a user, granted to a group, or of nobody."""
    offset = 0
    while keys := ask_node(words, "key.list", user=words.user or "", group=words.group or "", offset=offset):
        for key in keys:
            names = ", ".join(key["names"]) or "-"
            what = f"{key['kind']} {key['algorithm']} {key['length_bits']}".removesuffix(" - 0")
            print(f"{key['id']}  {key['owner'] or '(nobody)'}  {what}  {key['state']}  names: {names}")
        offset += len(keys)
    return 0


def key_grants(words: argparse.Namespace) -> int:
    """Show to whom a key belongs and what others may do with it."""
    _print_grants(ask_node(words, "key.grants", target=words.id))
    return 0


def key_change(words: argparse.Namespace) -> int:
    """Give rights on a key to a group or a user, or take them."""
    unknown = [word for word in words.right if word not in RIGHTS]
    if unknown:
        raise Invalid(f"there is no right {unknown[0]}; there are {', '.join(RIGHTS)}", "invalid.field")
    rights = int(reduce(or_, (RIGHTS[word] for word in words.right)))
    whom = {"group": words.group or "", "user": words.user or ""}
    if words.verb == "give":
        whom["policy"] = words.policy or ""
    _print_grants(ask_node(words, f"key.{words.verb}", target=words.id, rights=rights, **whom))
    return 0


def key_owner(words: argparse.Namespace) -> int:
    """Give a key to another user, or to nobody."""
    _print_grants(ask_node(words, "key.set_owner", target=words.id, owner=None if words.nobody else words.to))
    return 0


def _print_grants(told: dict[str, object]) -> None:
    print(f"{told['id']}  owner: {told['owner'] or '(nobody)'}")
    grants = told["grants"]
    for grant in grants if isinstance(grants, list) else ():
        whom = f"group {grant['group']}" if grant["group"] else f"user {grant['user']}"
        narrowed = f" under policy {grant['policy']}" if grant["policy"] else ""
        print(f"  {whom}: {', '.join(right_words(grant['rights']))}{narrowed}")
    if told["caution"]:
        print(f"Note: {told['caution']}", file=sys.stderr)
