"""From the reason of an error to a number, a fixed text, and whether the connection ends; for every reason.

Laws: what a key's name gives away is one answer: unknown, or not yours; what a login gives away is one, too. An error is
fatal when the stream can no longer be trusted, or the peer must not go on. Numbers and texts are ours.

Source: requirements KS-NAE-026, 027, KS-LOG-012; docs/xml-interface.md.
"""

from typing import NamedTuple

from keystead.core.errors import KeysteadError


class Told(NamedTuple):
    """How a reason is told.

    Attributes:
        number: Stable.
        text: Fixed, so that it can be searched for in logs.
        fatal: The connection is closed after it.
        explained: The error's own sentence goes with it, for people.
    """

    number: int
    text: str
    fatal: bool = False
    explained: bool = True


_BAD_VALUE = Told(1004, "Bad value")
_CRYPTOGRAPHY = Told(1601, "Cryptographic operation failed", explained=False)
_UNKNOWN_KEY = Told(1401, "Unknown key name or insufficient permissions", explained=False)
_NOT_NOW = Told(1701, "Server unavailable, try again later")
_INTERNAL = Told(1799, "Internal error", fatal=True, explained=False)

TOLD: dict[str, Told] = {
    "invalid.message": Told(1001, "Malformed request", fatal=True),
    "not_supported.operation": Told(1002, "Unknown request", fatal=True),
    "invalid.missing": Told(1003, "Missing element"),
    "invalid.field": _BAD_VALUE,
    "invalid.attribute": _BAD_VALUE,
    "invalid.attribute_value": _BAD_VALUE,
    "invalid.attribute_index": _BAD_VALUE,
    "invalid.attribute_single": _BAD_VALUE,
    "invalid.attribute_multiple": _BAD_VALUE,
    "invalid.attribute_read_only": _BAD_VALUE,
    "invalid.namespace": _BAD_VALUE,
    "too_large.request": Told(1005, "Request too large", fatal=True),
    "too_large.response": Told(1006, "Answer too large"),
    "not_supported.version": Told(1007, "Unsupported version"),
    "refused.feature": Told(1008, "Not offered"),
    "not_supported.asynchronous": Told(1008, "Not offered"),
    "not_supported.critical_extension": Told(1008, "Not offered"),
    "unauthenticated": Told(1201, "Authentication failed", fatal=True, explained=False),
    "refused.permission": Told(1301, "Insufficient permissions"),
    "refused.switched_off": Told(1302, "Switched off on this server"),
    "refused.usage_limit": Told(1303, "Usage limit reached"),
    "refused.wrong_secret": Told(1301, "Insufficient permissions"),
    "pending.approval": Told(1304, "Approval pending"),
    "refused.policy_rate": Told(1305, "Hourly limit exceeded", fatal=True),
    "refused.policy_period": Told(1306, "Outside the usage periods", fatal=True),
    "not_found.item": _UNKNOWN_KEY,
    "not_found.attribute": _UNKNOWN_KEY,
    "not_found.attribute_instance": _UNKNOWN_KEY,
    "exists": Told(1402, "Name in use"),
    "exists.attribute": Told(1402, "Name in use"),
    "invalid.algorithm": Told(1403, "Unsupported algorithm or size"),
    "invalid.not_quantum_safe": Told(1403, "Unsupported algorithm or size"),
    "invalid.key": Told(1404, "Bad key"),
    "invalid.object_type": Told(1405, "Key unfit for this operation"),
    "refused.usage_mask": Told(1405, "Key unfit for this operation"),
    "refused.not_extractable": Told(1406, "Key not exportable"),
    "refused.sensitive": Told(1406, "Key not exportable"),
    "wrong_state.object": Told(1407, "Key state forbids this"),
    "wrong_state.destroyed": Told(1407, "Key state forbids this"),
    "wrong_state.archived": Told(1407, "Key state forbids this"),
    "not_supported.key_format": Told(1408, "Unsupported key format"),
    "not_supported.wrapping": Told(1408, "Unsupported key format"),
    "not_supported.compression": Told(1408, "Unsupported key format"),
    "cryptography": _CRYPTOGRAPHY,
    "invalid.cryptographic_parameters": Told(1602, "Bad cryptographic parameters"),
    "invalid.missing_iv": Told(1602, "Bad cryptographic parameters"),
    "not_supported.cryptography": Told(1602, "Bad cryptographic parameters"),
    "limited": _NOT_NOW,
    "wrong_state.module": _NOT_NOW,
    "conflict": _NOT_NOW,
    "unavailable.locked": _NOT_NOW,
    "unavailable.stopping": _NOT_NOW,
    "unavailable.store": _NOT_NOW,
    "unavailable.self_test": _NOT_NOW,
    "unavailable.directory": _NOT_NOW,
    "undone": Told(1702, "Taken back"),
    "device": Told(1798, "Security module failed", explained=False),
    "tampered": _INTERNAL,
    "internal": _INTERNAL,
}
"""Reason of core.errors -> how it is told."""


def told(error: KeysteadError) -> Told:
    """Return how an error is told."""
    return TOLD[error.reason]


def code_and_text(reason: str) -> tuple[str, str]:
    """Return number and text for the activity log."""
    found = TOLD[reason]
    return str(found.number), found.text
