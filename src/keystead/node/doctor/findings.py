"""What `keystead doctor` looks at, and what it may find.

Law: a finding says in plain words what is wrong and what to do next; it holds no secret and no name of a key.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from keystead.core.records import KIND_AUTHORITY, KIND_SERVER_KEY
from keystead.node.folder import NodeConfig
from keystead.node.opening import Parts, record_of
from keystead.operations.certificates import CLIENT_AUTHORITY

DAY_S = 86_400


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"  # clients are not served, or something is at stake now
    WARNING = "warning"  # it will go wrong, or protects less than it could
    NOTE = "note"  # good to know; does not change the exit status


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        severity: How bad it is.
        check: Which check found it.
        what: What is wrong, a sentence.
        advice: What to do, a sentence.
    """

    severity: Severity
    check: str
    what: str
    advice: str


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on something is worth a finding.

    Attributes:
        free_bytes: Less free space is an error.
        free_soon_bytes: Less free space is a warning.
        clock_behind_s: So far may the clock be behind the newest change.
        expiry_days: A certificate that ends sooner is a warning.
        attempts_left: So many login attempts or fewer are a warning; of the security officer, who has three, one.
        wal_bytes: A larger write-ahead log is a warning.
        verify_days: So long may the last `keystead verify` be ago.
        leftover_s: A temporary file that is older was left behind.
    """

    free_bytes: int = 256 * 1024 * 1024
    free_soon_bytes: int = 2 * 1024 * 1024 * 1024
    clock_behind_s: float = 2.0
    expiry_days: int = 30
    attempts_left: int = 4
    wal_bytes: int = 256 * 1024 * 1024
    verify_days: int = 30
    leftover_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Examined:
    """A node as the checks see it.

    Attributes:
        config: Of the node.
        thresholds: From where on something is worth a finding.
        now_s: What the clock says, since 1970.
        parts: The opened stores; None when they could not be opened.
        module: Result of module.show of the running node; None when it does not run.
        state: Result of node.show of the running node; None when it does not run.
    """

    config: NodeConfig
    thresholds: Thresholds
    now_s: float
    parts: Parts | None
    module: dict[str, Any] | None
    state: dict[str, Any] | None

    def certificates(self) -> dict[str, str]:
        """Return what each certificate of the node is for -> PEM."""
        if self.parts is None:
            return {}
        found = {
            "CA": record_of(self.parts.shared, KIND_AUTHORITY, CLIENT_AUTHORITY),
            "server": record_of(self.parts.own, KIND_SERVER_KEY, "kmip"),
        }
        return {name: str(record.fields["certificate"]) for name, record in found.items() if record is not None}


Check = Callable[[Examined], Iterator[Finding]]
