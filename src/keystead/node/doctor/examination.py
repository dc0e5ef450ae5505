"""All checks, in the order in which they are told, and how a node is looked at for them."""

import time
from collections.abc import Iterator

from keystead.core.errors import KeysteadError
from keystead.node.doctor import audit, drives, folders, processes, trust
from keystead.node.doctor.findings import Check, Examined, Finding, Severity, Thresholds
from keystead.node.folder import NodeConfig, unix_address
from keystead.node.opening import Parts, open_parts
from keystead.protocols.local.client import ask

CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        processes.running,
        trust.module,
        processes.ports,
        processes.cleartext,
        folders.disk_space,
        folders.permissions,
        trust.clock,
        trust.certificates,
        trust.client_certificates,
        trust.trusted_authorities,
        trust.witness,
        audit.audit_log,
        drives.key_backups,
        folders.last_verification,
        folders.write_ahead_log,
        folders.leftovers,
        processes.memory,
        processes.open_files,
        processes.compiled,
    )
}


def examine(config: NodeConfig, thresholds: Thresholds | None = None, now_s: float | None = None) -> list[Finding]:
    """Run every check.

    Args:
        config: Of the node.
        thresholds: From where on something is worth a finding.
        now_s: What the clock says; None = ask it.
    """
    now_s = time.time() if now_s is None else now_s
    parts, findings = _opened(config)
    module, state = _asked(config, "module.show"), _asked(config, "node.show")
    node = Examined(config, thresholds or Thresholds(), now_s, parts, module, state)
    for name, check in CHECKS.items():
        findings += _found(name, check, node)
    return findings


def _opened(config: NodeConfig) -> tuple[Parts | None, list[Finding]]:
    try:
        return open_parts(config), []
    except KeysteadError as error:
        advice = "Restore what is missing; `keystead verify` says more about stores that can still be opened."
        return None, [Finding(Severity.ERROR, "stores", f"The node cannot be opened: {error.message}.", advice)]


def _asked(config: NodeConfig, operation: str) -> dict[str, object] | None:
    try:
        answer: dict[str, object] = ask(unix_address(config.keys_socket), operation)
    except KeysteadError:
        return None
    return answer


def _found(name: str, check: Check, node: Examined) -> Iterator[Finding]:
    try:
        yield from check(node)
    except (OSError, KeysteadError) as error:
        advice = "Run `keystead doctor` as root or as the node's own account."
        yield Finding(Severity.WARNING, name, f"This could not be looked at: {error}.", advice)
