"""One error class per cause that a caller can act on; each protocol maps `reason` to its own codes in one table.

Law: an error says what to do next and never carries a secret, a path of the host or another user's data.

Source: design.md law 10; examples.md section 7.
"""

from typing import ClassVar


class KeysteadError(Exception):
    """Base of all errors that may reach a client.

    Args:
        message: One sentence for a person; says what to do next.
        reason: Stable public code, one of `reasons`; the first of them when not given.

    Attributes:
        target: Id of the object that the asker sees and was refused; "" = whatever the request was about.

    Raises:
        ValueError: `reason` is not declared by the class (a mistake of ours, found by tests).
    """

    reasons: ClassVar[tuple[str, ...]] = ("internal",)
    target = ""

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        if reason is not None and reason not in self.reasons:
            raise ValueError(f"{type(self).__name__} has no reason {reason!r}")
        self.message = message
        self.reason = reason or self.reasons[0]


class Invalid(KeysteadError):
    """The request cannot be understood or contradicts itself; sending it again will not help."""

    reasons = (
        "invalid.field",
        "invalid.message",
        "invalid.missing",
        "invalid.attribute",
        "invalid.attribute_value",
        "invalid.attribute_index",
        "invalid.attribute_single",
        "invalid.attribute_multiple",
        "invalid.attribute_read_only",
        "invalid.algorithm",
        "invalid.key",
        "invalid.object_type",
        "invalid.namespace",
        "invalid.cryptographic_parameters",
        "invalid.missing_iv",
        "invalid.not_quantum_safe",
    )


class NotFound(KeysteadError):
    """The named thing does not exist, or the asker may not know that it does."""

    reasons = ("not_found.item", "not_found.attribute", "not_found.attribute_instance")


class Exists(KeysteadError):
    """The name or identifier is taken."""

    reasons = ("exists", "exists.attribute")


class Unauthenticated(KeysteadError):
    """Who is asking is not proven."""

    reasons = ("unauthenticated",)


class Refused(KeysteadError):
    """The asker is known and may not do this."""

    reasons = (
        "refused.permission",
        "refused.switched_off",
        "refused.usage_mask",
        "refused.not_extractable",
        "refused.sensitive",
        "refused.usage_limit",
        "refused.feature",
        "refused.wrong_secret",
        "refused.policy_rate",
        "refused.policy_period",
    )


class Limited(KeysteadError):
    """Too much at once; the same request may succeed after `retry_after_s`."""

    reasons = ("limited",)

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Pending(KeysteadError):
    """The request waits for other people's approval."""

    reasons = ("pending.approval",)


class WrongState(KeysteadError):
    """The object's life-cycle state (or the module's) does not allow the operation."""

    reasons = ("wrong_state.object", "wrong_state.destroyed", "wrong_state.archived", "wrong_state.module")


class NotSupported(KeysteadError):
    """Understood, but not offered by this server."""

    reasons = (
        "not_supported.operation",
        "not_supported.key_format",
        "not_supported.wrapping",
        "not_supported.compression",
        "not_supported.cryptography",
        "not_supported.version",
        "not_supported.asynchronous",
        "not_supported.critical_extension",
    )


class Undone(KeysteadError):
    """The request was run, and taken back because another one of its batch failed."""

    reasons = ("undone",)


class TooLarge(KeysteadError):
    """A request or answer exceeds a limit of ours or of the asker."""

    reasons = ("too_large.request", "too_large.response")


class Conflict(KeysteadError):
    """Somebody else changed the same record first; running again may succeed."""

    reasons = ("conflict",)


class Unavailable(KeysteadError):
    """The server cannot serve now: locked, stopping, store out of reach."""

    reasons = (
        "unavailable.locked",
        "unavailable.stopping",
        "unavailable.store",
        "unavailable.self_test",
        "unavailable.directory",
    )


class Tampered(KeysteadError):
    """Stored data fails its authentication; nothing of it is used."""

    reasons = ("tampered",)


class CryptographicFailure(KeysteadError):
    """The cryptographic operation failed; says no more, so that it is no oracle."""

    reasons = ("cryptography",)


class DeviceFault(KeysteadError):
    """A security module, token or drive did not answer as it must."""

    reasons = ("device",)


class Internal(KeysteadError):
    """A mistake of ours; details are in the system log under the request id."""

    reasons = ("internal",)


ERROR_CLASSES: tuple[type[KeysteadError], ...] = (
    Invalid,
    NotFound,
    Exists,
    Unauthenticated,
    Refused,
    Limited,
    Pending,
    WrongState,
    NotSupported,
    TooLarge,
    Undone,
    Conflict,
    Unavailable,
    Tampered,
    CryptographicFailure,
    DeviceFault,
    Internal,
)

REASONS: frozenset[str] = frozenset(reason for cls in ERROR_CLASSES for reason in cls.reasons)
"""Every reason that an answer can carry; protocols' tables must be total over it (tested)."""

LAST_WORDS: frozenset[str] = frozenset({"refused.policy_rate", "refused.policy_period"})
"""Reasons after which a client's connection is closed, once the answer is sent (KS-POL-007, 011; KS-NAE-027)."""
