"""`keystead hsm | ssh | client-certificate | settings`: asking a running node at its local door.

Source: design.md section 6 ("first door of the administrator"); requirements KS-HSM-016 to 020, 026, 050 to 053.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keystead.core.errors import Invalid, WrongState
from keystead.core.secret import Secret
from keystead.node.commands.answers import Answers
from keystead.node.commands.approvers import ask_approved
from keystead.node.folder import make_file, read_config, unix_address
from keystead.protocols.local.client import ask
from keystead.settings.all import SECTIONS, parse
from keystead.trust.role_tokens import RoleToken, unlock
from keystead.trust.root import Role


def ask_node(words: argparse.Namespace, operation: str, /, **fields: Any) -> Any:
    """Run an operation at the local door of the node that the words name; see `approvers.ask_approved`."""
    config = read_config(Path(words.data).absolute())
    return ask_approved(words, unix_address(config.local_socket), operation, fields)


def day(at_s: float) -> str:
    """Return the day of a time since 1970, as people read it."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d")


def hsm_status(words: argparse.Namespace) -> int:
    """Print the three lines of KS-HSM-020."""
    status = ask_node(words, "module.show")
    state = "Activated" if status["activated"] else "Initialised, locked" if status["initialised"] else "Uninitialised"
    print(f"HSM Status: {state} ({status['kind']} module)")
    print(f"Crypto-user logged in: {'yes' if status['crypto_user_logged_in'] else 'no'}")
    print(f"Secure key cache: {'Enabled' if status['key_cache'] else 'Disabled'}")
    return 0


def hsm_login(words: argparse.Namespace) -> int:
    """Say which token is needed, unmask its secret with the PIN, log the role in (KS-HSM-026)."""
    role = Role(words.role)
    answers = Answers(words.answers)
    presented = []
    for index, file in enumerate(words.token, start=1):
        token = RoleToken.from_bytes(Path(file).read_bytes())
        name = role.value if len(words.token) == 1 else f"{role.value}-{index}"
        presented.append((token, answers.pin(name, f"{role.value} token {token.describe()}")))
    config = read_config(Path(words.data).absolute())  # straight to the key process: nobody between sees the secret
    ask(unix_address(config.keys_socket), "module.login", role=role.value, secret=unlock(role, presented).reveal())
    print(f"{role.value}: logged in")
    return 0


def hsm_logout(words: argparse.Namespace) -> int:
    """Log a role out; the crypto user's logout locks the node."""
    ask_node(words, "module.logout", role=words.role)
    print(f"{words.role}: logged out")
    return 0


def hsm_switch(words: argparse.Namespace) -> int:
    """Activate, deactivate, enable or disable the secure key cache; says so when it was so already (KS-HSM-053)."""
    operation, fields, done = {
        "activate": ("module.activate", {}, "activated"),
        "deactivate": ("module.deactivate", {}, "deactivated"),
        "enable-key-cache": ("module.set_key_cache", {"enabled": True}, "secure key cache enabled"),
        "disable-key-cache": ("module.set_key_cache", {"enabled": False}, "secure key cache disabled"),
    }[words.verb]
    changed = ask_node(words, operation, **fields)["changed"]
    print(done if changed else f"already in this state: {done}")
    return 0


def ssh_fingerprint(words: argparse.Namespace) -> int:
    """Print what people compare at the first connection over SSH."""
    print(ask_node(words, "ssh.show")["fingerprint"])
    return 0


def client_certificate(words: argparse.Namespace) -> int:
    """Certify a user's client; without a request the key is made and written to OUT.key, once."""
    request = Path(words.request).read_text() if words.request else None
    told = {"request_pem": request, "validity_days": words.days, "addresses": ",".join(words.address)}
    issued = ask_node(words, "certificate.issue", user=words.user, **told)
    out = Path(words.out)
    make_file(out.with_suffix(".pem"), issued["certificate"].encode())
    if issued["key"] is not None:
        make_file(out.with_suffix(".key"), Secret(issued["key"]).reveal())
        print(f"private key: {out.with_suffix('.key')} (kept nowhere else)")
    print(f"certificate: {out.with_suffix('.pem')}")
    if words.ca:
        Path(words.ca).write_text(issued["authority"])
        print(f"CA certificate: {words.ca}")
    return 0


def settings_show(words: argparse.Namespace) -> int:
    """Print settings, one a line."""
    for section, fields in ask_node(words, "settings.read", section=words.section or "").items():
        for name, value in fields.items():
            print(f"{section}.{name}={str(value).lower() if isinstance(value, bool) else value}")
    return 0


def settings_set(words: argparse.Namespace) -> int:
    """Change one setting."""
    place, equals, value = words.assignment.partition("=")
    section, dot, field = place.partition(".")
    if not equals or not dot:
        raise Invalid(f"write SECTION.FIELD=VALUE, not {words.assignment!r}", "invalid.field")
    parsed = parse(section, field, value)
    if SECTIONS[section].own:
        _set_own(words, section, {field: parsed})
    else:
        caution = ask_node(words, "settings.change", section=section, field=field, value=parsed)["caution"]
        if caution:
            print(f"Note: {caution}", file=sys.stderr)
    print(f"{place} is now {value}")
    return 0


def settings_preset(words: argparse.Namespace) -> int:
    """Set everything that a preset recommends, together."""
    applied = ask_node(words, "preset.apply", name=words.name)
    for line in applied["changed"] or ["everything was so already"]:
        print(line)
    if applied["caution"]:
        print(f"Note: {applied['caution']}", file=sys.stderr)
    return 0


def _set_own(words: argparse.Namespace, section: str, changed: dict[str, Any]) -> None:
    """Change a section of the node's own, with the node stopped: it counts from the next start."""
    from keystead.node.creation import change_own_settings  # noqa: PLC0415  # schema tools are slow to import

    config = read_config(Path(words.data).absolute())
    if config.local_socket.exists():
        raise WrongState(f"{section} is read when the node starts: stop the node, then set it", "wrong_state.module")
    change_own_settings(config, section, changed)
