"""What each process of the node shows to monitoring (docs/node-contract.md, "Metrics").

Nothing is counted for this on the path of a request but the request itself and, once a turn, the time; everything else
is looked up when somebody asks.

Source: requirements KS-STAT-003, 004, 007, 020, 040.
"""

import os
import resource
import time
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from cryptography import x509

import keystead
from keystead.gate.activity import ActivityLog
from keystead.gate.committer import GroupCommitter
from keystead.gate.objects import Objects
from keystead.node.opening import Parts
from keystead.operations.measurements import Family, distribution, many, one
from keystead.protocols.listener import TlsListener
from keystead.trust.root import RootOfTrust

_PAGE_BYTES = resource.getpagesize()
_STARTED_S = time.time()

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Serving:
    """What is measured of the process that serves keys."""

    activity: ActivityLog
    committer: GroupCommitter
    objects: Objects
    listener: TlsListener
    module: RootOfTrust

    def families(self) -> tuple[Family, ...]:
        """Return what the process counts, as it stands now."""
        return (
            *process_families("keys", self.activity, self.committer),
            *self._connections(),
            *self._module(),
            one("keystead_objects_at_hand", "gauge", "Objects held in memory, sealed.", len(self.objects.at_hand)),
            one("keystead_objects_at_hand_bytes", "gauge", "Memory they take, about.", self.objects.held_bytes),
        )

    def _connections(self) -> tuple[Family, ...]:
        listener = self.listener
        all_count, unproven_count = listener.counts()
        states: dict[Labels, float] = {
            (("state", "proven"),): all_count - unproven_count,
            (("state", "handshaking"),): unproven_count,
        }
        refusals: dict[Labels, float] = {(("cause", cause),): n for cause, n in sorted(listener.refusals.items())}
        latency = listener.turn.latency
        return (
            many("keystead_connections", "gauge", "Open KMIP connections.", states),
            one("keystead_connections_limit", "gauge", "As many there can be.", listener.count_max),
            one("keystead_connections_total", "counter", "KMIP connections since start.", listener.accepted_count),
            many("keystead_connections_refused_total", "counter", "Peers turned away, by cause.", refusals),
            distribution("keystead_answer_seconds", "From taking up a message to its answer, of some.", latency),
        )

    def _module(self) -> tuple[Family, ...]:
        status = self.module.status()
        states: dict[Labels, float] = {
            (("state", name),): float(getattr(status, name))
            for name in ("initialised", "activated", "crypto_user_logged_in", "security_officer_logged_in", "key_cache")
        }
        left: dict[Labels, float] = {(("role", role.value),): count for role, count in status.attempts_left.items()}
        return (
            many("keystead_module_state", "gauge", "State of the security module, 1 = yes.", states),
            many("keystead_module_attempts_left", "gauge", "Failed logins left before a role is blocked.", left),
        )


def node_families(parts: Parts, certificates: dict[str, str], *, is_serving: bool) -> tuple[Family, ...]:
    """Return what the process without keys knows of the node.

    Args:
        parts: The opened node.
        certificates: What each is for -> PEM.
        is_serving: The process that serves keys has answered.
    """
    up: dict[Labels, float] = {(("process", "admin"),): 1, (("process", "keys"),): float(is_serving)}
    sequences: dict[Labels, float] = {
        (("store", name),): store.anchor().sequence for name, store in (("shared", parts.shared), ("own", parts.own))
    }
    ends: dict[Labels, float] = {(("certificate", name),): expiry_s(pem) for name, pem in certificates.items()}
    return (
        one("keystead_info", "gauge", "Which keystead this is.", 1, version=keystead.__version__),
        many("keystead_up", "gauge", "Processes that answer, 1 = yes.", up),
        many("keystead_journal_sequence", "gauge", "Newest change in the journal of a store.", sequences),
        many("keystead_store_bytes", "gauge", "Size of the files of the stores.", _sizes(parts.config.data)),
        many("keystead_certificate_expiry_timestamp_seconds", "gauge", "When a certificate expires, since 1970.", ends),
    )


def process_families(name: str, activity: ActivityLog, committer: GroupCommitter) -> tuple[Family, ...]:
    """Return what every process of the node has.

    Args:
        name: Of the process, "keys" or "admin".
        activity: Of the process.
        committer: Of the process.
    """
    process = ("process", name)
    requests: dict[Labels, float] = {
        (process, ("origin", origin), ("operation", _operation(title)), ("result", result)): count
        for (origin, title, result), count in sorted(activity.outcomes().items())
    }
    usage = resource.getrusage(resource.RUSAGE_SELF)
    flushes = committer.flushes
    return (
        many("keystead_requests_total", "counter", "Requests answered, by origin, operation and result.", requests),
        one("keystead_activity_lines_lost_total", "counter", "Not written.", activity.lost_count, process=name),
        one("keystead_transactions_total", "counter", "Made durable.", committer.stored_count, process=name),
        distribution("keystead_commit_seconds", "Making a group durable.", flushes, process=name),
        one("keystead_memory_bytes", "gauge", "Resident memory.", _resident_bytes(), process=name),
        one("keystead_cpu_seconds_total", "counter", "CPU time.", usage.ru_utime + usage.ru_stime, process=name),
        one("keystead_open_files", "gauge", "Open files.", len(os.listdir("/proc/self/fd")), process=name),  # noqa: PTH208  # names only
        one("keystead_start_timestamp_seconds", "gauge", "When it began, since 1970.", _STARTED_S, process=name),
    )


def expiry_s(pem: str) -> float:
    """Return when a certificate expires, in seconds since 1970."""
    return x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc.astimezone(UTC).timestamp()


def _operation(title: str) -> str:
    return "unreadable" if title == "-" else title


def _sizes(data: Path) -> dict[Labels, float]:
    sizes: dict[Labels, float] = {}
    for store in ("store.db", "node.db"):
        for name in (store, f"{store}-wal"):
            try:
                sizes[(("file", name),)] = (data / name).stat().st_size
            except FileNotFoundError:
                sizes[(("file", name),)] = 0
    return sizes


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
