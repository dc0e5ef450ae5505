"""`keystead init`, `serve`, `verify`, `selftest`: a production node from nothing, and whether it is sound.

Source: requirements KS-GEN-010, KS-HSM-002, 006, 012, 024; chapter HSM.
"""

import argparse
import logging
import sys
import time
from pathlib import Path

from keystead.appliance.hardening import harden
from keystead.core.errors import Invalid, Refused
from keystead.core.secret import Secret
from keystead.gate.operation import REGISTRY
from keystead.node.commands.answers import Answers
from keystead.node.doctor.folders import note_verification
from keystead.node.folder import NodeConfig, make_file, read_config, unix_address
from keystead.node.opening import OWN, SHARED, open_parts
from keystead.node.supervisor import Supervisor
from keystead.node.witness import Witness
from keystead.protocols.local.client import ask
from keystead.storage.verify import verify_store
from keystead.trust import software
from keystead.trust.pkcs11 import modules as pkcs11
from keystead.trust.role_tokens import imprint, new_role_secret
from keystead.trust.root import Role
from keystead.trust.selftest import run_selftests

TITLES = {
    Role.SECURITY_OFFICER: "security officer's token",
    Role.DOMAIN: "domain token",
    Role.CRYPTO_USER: "crypto user's token",
}


def init(words: argparse.Namespace) -> int:
    """Make a production node: three sets of role tokens, node key, stores; it starts locked."""
    from keystead.node.creation import Beginning, RoleSecrets, check_place, create_node  # noqa: PLC0415  # schema tools are slow to import

    data, tokens = Path(words.data).absolute(), Path(words.tokens).absolute()
    node_key = Path(words.node_key).absolute()
    for outside in (tokens, node_key):
        if outside.is_relative_to(data):
            raise Refused(f"{outside} lies inside the data folder; a copied folder would carry its own keys")
    config = NodeConfig(data, node_key, store=words.store or "")
    check_place(config)
    answers = Answers(words.answers)
    print(software.NOTICE if words.pkcs11 is None else pkcs11.NOTICE)
    tokens.mkdir(mode=0o700, parents=True, exist_ok=True)
    secrets = {role: _make_tokens(role, words, answers, tokens) for role in Role}
    node_key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = tuple(words.name or ())
    beginning = Beginning(
        RoleSecrets(secrets[Role.SECURITY_OFFICER], secrets[Role.DOMAIN], secrets[Role.CRYPTO_USER]),
        names,
        _settings(words),
        answers.pin("token-maker", "PKCS#11 token, as its maker set it") if words.token_maker_pin else None,
    )
    password = create_node(config, beginning)
    print(f"Node made in {data}. Node key: {node_key} (keep a copy apart from backups of the data).")
    print(f"Role tokens: {tokens} (move them to removable drives; one spare set belongs elsewhere).")
    print(f"Crypto user's password, shown once: {password.reveal().decode()}")
    print(f"Next: keystead serve --data {data}, then in another terminal")
    print(f"      keystead hsm login crypto-user --data {data} --token {tokens}/crypto-user-1.token")
    return 0


def _settings(words: argparse.Namespace) -> dict[str, dict[str, object]]:
    places: dict[str, dict[str, object]] = {"kmip": {"address": words.address, "port": words.port}}
    if words.health_port is not None:
        places["health"] = {"enabled": True, "port": words.health_port}
    if words.pkcs11 is not None:
        library = str(Path(words.pkcs11).absolute())
        place = {"library": library, "token_label": words.token_label, "token_slot": words.token_slot}
        places["module"] = {"kind": "pkcs11", **place}
    if words.metrics_port is not None:
        places["metrics"] = {"enabled": True, "port": words.metrics_port}
    return places


def _make_tokens(role: Role, words: argparse.Namespace, answers: Answers, folder: Path) -> Secret:
    threshold, count = _split(getattr(words, role.value.replace("-", "_")) or "1/1")
    secret = new_role_secret()
    pins = []
    for index in range(1, count + 1):
        suffix = f" {index} of {count}" if count > 1 else ""
        name = role.value if count == 1 else f"{role.value}-{index}"
        pins.append(answers.new_pin(name, TITLES[role] + suffix))
    for index, token in enumerate(imprint(role, secret, pins, threshold), start=1):
        make_file(folder / f"{role.value}-{index}.token", token.to_bytes())
    return secret


def _split(text: str) -> tuple[int, int]:
    threshold, _, count = text.partition("/")
    if not (threshold.isdigit() and count.isdigit()):
        raise Invalid("M of N is written M/N, for example 2/3", "invalid.field")
    return int(threshold), int(count)


def serve(words: argparse.Namespace) -> int:
    """Serve a production node in the foreground; it is locked until the crypto user logs in."""
    config = read_config(Path(words.data).absolute())
    harden()
    _check(config, accept_rollback=words.accept_rollback)
    credentials = Path(words.credentials).absolute() if words.credentials else None
    if credentials is not None and credentials.is_relative_to(config.data):
        raise Refused("the credentials lie inside the data folder; a copied folder would unlock itself")
    supervisor = Supervisor(config, credentials, serving=True)
    supervisor.start()
    logging.getLogger("keystead").info("serving: %s", supervisor.ports())
    print(
        "keystead serves: " + ", ".join(f"{name} on port {port}" for name, port in supervisor.ports().items()),
        flush=True,
    )
    if not ask(unix_address(config.keys_socket), "module.show")["activated"]:
        print("The node is locked. Unlock it with `keystead hsm login crypto-user`.", flush=True)
    return supervisor.run()


def _check(config: NodeConfig, *, accept_rollback: bool) -> None:
    """Say what is wrong before any process starts; nothing that is opened here outlives the call."""
    parts = open_parts(config, serving=True)
    if accept_rollback:
        Witness(parts).forget()
    Witness(parts).compare()


def verify(words: argparse.Namespace) -> int:
    """Walk both stores and name every row that was altered, moved, deleted, inserted or rolled back."""
    config = read_config(Path(words.data).absolute())
    parts = open_parts(config, check=False)
    findings = []
    seen = Witness(parts).read()
    shared = "shared store" if parts.config.store else "store.db"
    for name, store, anchor in (("node.db", parts.own, seen.get(OWN)), (shared, parts.shared, seen.get(SHARED))):
        started = time.monotonic()

        def progress(done: int, total: int, name: str = name) -> None:
            if sys.stderr.isatty():
                print(f"\r{name}: {done} of {total} rows", end="", file=sys.stderr)

        report = verify_store(store, progress, anchor)
        print(
            f"{name}: {report.rows_count} rows checked in {time.monotonic() - started:.1f} s, "
            f"{len(report.findings) + report.omitted_count} findings; {report.note}"
        )
        findings += [(name, finding) for finding in report.findings]
    for name, finding in findings:
        print(f"{name}: {finding.kind} {finding.id}: {finding.what}; {finding.advice}")
    note_verification(config.verified, time.time(), len(findings))
    return 1 if findings else 0


def selftest(_words: argparse.Namespace) -> int:
    """Run the known-answer self-tests."""
    results = run_selftests()
    for result in results:
        print(f"{'ok    ' if result.ok else 'FAILED'} {result.name}")
    print(f"{sum(r.ok for r in results)} of {len(results)} self-tests passed; {len(REGISTRY)} operations declared")
    return 0 if all(r.ok for r in results) else 1
