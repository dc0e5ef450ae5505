"""`keystead ca | ca-profile`: whose client certificates count, asked of a running node at its local door.

Source: requirements KS-KMIP-013, 014; KS-CAU-010 to 013; KS-CRL-001, 003 (by hand); KS-AUTH-014.
"""

import argparse
from pathlib import Path
from typing import Any

from keystead.core.errors import Invalid, NotFound
from keystead.node.commands.local import ask_node, day
from keystead.trust.issuers import AUTHORITY_BYTES_MAX, REVOCATION_LIST_BYTES_MAX


def ca_list(words: argparse.Namespace) -> int:
    """List the CAs that are known."""
    for found in ask_node(words, "authority.list"):
        _print_authority(found)
    return 0


def ca_show(words: argparse.Namespace) -> int:
    """Print the certificate of a CA in PEM form."""
    print(ask_node(words, "authority.show", name=words.name).strip())
    return 0


def ca_install(words: argparse.Namespace) -> int:
    """Make a foreign CA known; no profile trusts it yet."""
    pem = _read(words.file, AUTHORITY_BYTES_MAX)
    try:
        text = pem.decode("ascii")
    except UnicodeDecodeError:
        raise Invalid(f"{words.file} is not in PEM form; convert it with `openssl x509 -inform der`") from None
    _print_authority(ask_node(words, "authority.install", name=words.name, certificate=text))
    return 0


def ca_remove(words: argparse.Namespace) -> int:
    """Forget a CA and its revocation list."""
    ask_node(words, "authority.remove", name=words.name)
    print(f"CA {words.name} removed")
    return 0


def ca_install_crl(words: argparse.Namespace) -> int:
    """Take over what a CA has revoked."""
    content = _read(words.file, REVOCATION_LIST_BYTES_MAX)
    _print_authority(ask_node(words, "authority.install_list", revocation_list=content))
    return 0


def profile_list(words: argparse.Namespace) -> int:
    """List trust profiles with their CAs."""
    for profile in ask_node(words, "trust_profile.list"):
        _print_profile(profile)
    return 0


def profile_create(words: argparse.Namespace) -> int:
    """Create a profile without CAs."""
    _print_profile(ask_node(words, "trust_profile.create", name=words.name))
    return 0


def profile_change(words: argparse.Namespace) -> int:
    """Put a CA into a profile, or take it out."""
    _print_profile(ask_node(words, f"trust_profile.{words.verb}", profile=words.name, authority=words.ca))
    return 0


def profile_delete(words: argparse.Namespace) -> int:
    """Delete a profile."""
    ask_node(words, "trust_profile.delete", name=words.name)
    print(f"profile {words.name} deleted")
    return 0


def _read(file: str, bytes_max: int) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(bytes_max + 1)
    except OSError as error:
        raise NotFound(f"{file}: {error.strerror}") from None
    if len(content) > bytes_max:
        raise Invalid(f"{file} has more than {bytes_max} bytes")
    return content


def _print_authority(found: dict[str, Any]) -> None:
    count, due_s = found["revoked_count"], found["list_due_s"]
    revoked = "no revocation list" if count is None else f"{count} revoked"
    due = "" if due_s is None else f", next list {day(due_s)}"
    kind = "local" if found["is_local"] else "known"
    print(f"{found['name']}  {kind}  until {day(found['not_after_s'])}  {revoked}{due}  {found['subject']}")


def _print_profile(profile: dict[str, Any]) -> None:
    use = "  used by the key server" if profile["is_used"] else ""
    print(f"{profile['name']}  trusts: {', '.join(profile['authorities']) or 'nobody'}{use}")
