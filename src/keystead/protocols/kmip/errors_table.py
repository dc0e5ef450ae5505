"""From the reason of an error to KMIP's Result Reason, for every reason and every version.

Each reason has its candidates, the most telling first; a version takes the first one it has. 1.x had few reasons and
gave some of them another meaning for some operations (KMIP 1.4 section 11), hence the second table. KMIP 2.0 knows
Wrong Key Lifecycle State and the like, but its profiles still ask for what 1.x said; 2.1 follows its own tables.

Source: KMIP 1.4 section 11; KMIP 2.1 sections 6.1 (Error Handling) and 11.46; docs/adr/0041.
"""

from keystead.core.errors import REASONS
from keystead.protocols.kmip.wire.names import VERSIONS, enum_available, enum_value
from keystead.protocols.kmip.wire.tags_table import Version

SUCCESS = enum_value("ResultStatus", "Success")
FAILED = enum_value("ResultStatus", "OperationFailed")
UNDONE = enum_value("ResultStatus", "OperationUndone")

Candidates = tuple[str, ...]

TWO_ONE: Version = (2, 1)

CANDIDATES: dict[str, Candidates] = {
    "invalid.field": ("InvalidField",),
    "invalid.message": ("InvalidMessage",),
    "invalid.missing": ("InvalidMessage",),
    "invalid.attribute": ("InvalidAttribute", "InvalidField"),
    "invalid.attribute_value": ("InvalidAttributeValue", "InvalidField"),
    "invalid.attribute_index": ("InvalidField",),
    "invalid.attribute_single": ("AttributeSingleValued", "InvalidField"),
    "invalid.attribute_multiple": ("MultiValuedAttribute", "InvalidField"),
    "invalid.attribute_read_only": ("AttributeReadOnly", "PermissionDenied"),
    "invalid.algorithm": ("InvalidAttributeValue", "InvalidField"),
    "invalid.key": ("InvalidField",),
    "invalid.object_type": ("InvalidObjectType", "InvalidField"),
    "invalid.namespace": ("ApplicationNamespaceNotSupported",),
    "invalid.cryptographic_parameters": ("BadCryptographicParameters", "GeneralFailure"),
    "invalid.missing_iv": ("MissingInitializationVector", "InvalidMessage"),
    "invalid.not_quantum_safe": ("GeneralFailure",),
    "not_found.item": ("ObjectNotFound", "ItemNotFound"),
    "not_found.attribute": ("AttributeNotFound", "ItemNotFound"),
    "not_found.attribute_instance": ("AttributeInstanceNotFound", "ItemNotFound"),
    "exists": ("ObjectAlreadyExists", "IllegalOperation"),
    "exists.attribute": ("AttributeSingleValued", "IllegalOperation"),
    "unauthenticated": ("AuthenticationNotSuccessful",),
    "refused.permission": ("PermissionDenied",),
    "refused.switched_off": ("PermissionDenied",),
    "refused.usage_mask": ("IncompatibleCryptographicUsageMask", "PermissionDenied"),
    "refused.not_extractable": ("NotExtractable", "PermissionDenied"),
    "refused.sensitive": ("Sensitive", "PermissionDenied"),
    "refused.usage_limit": ("PermissionDenied",),
    "refused.feature": ("FeatureNotSupported",),
    "refused.wrong_secret": ("PermissionDenied",),
    "refused.policy_rate": ("PermissionDenied",),
    "refused.policy_period": ("PermissionDenied",),
    "limited": ("ServerLimitExceeded", "GeneralFailure"),
    "pending.approval": ("PermissionDenied",),
    "wrong_state.object": ("WrongKeyLifecycleState", "PermissionDenied"),
    "wrong_state.destroyed": ("ObjectDestroyed", "PermissionDenied"),
    "wrong_state.archived": ("ObjectArchived",),
    "wrong_state.module": ("GeneralFailure",),
    "not_supported.operation": ("OperationNotSupported",),
    "not_supported.key_format": ("KeyFormatTypeNotSupported",),
    "not_supported.wrapping": ("FeatureNotSupported",),
    "not_supported.compression": ("KeyCompressionTypeNotSupported",),
    "not_supported.cryptography": ("UnsupportedCryptographicParameters", "FeatureNotSupported"),
    "not_supported.version": ("UnsupportedProtocolVersion", "InvalidMessage"),
    "not_supported.asynchronous": ("FeatureNotSupported",),
    "not_supported.critical_extension": ("UnknownMessageExtension", "FeatureNotSupported"),
    "undone": ("GeneralFailure",),
    "too_large.request": ("ServerLimitExceeded", "InvalidMessage"),
    "too_large.response": ("ResponseTooLarge",),
    "conflict": ("InternalServerError", "GeneralFailure"),
    "unavailable.locked": ("InternalServerError", "GeneralFailure"),
    "unavailable.stopping": ("InternalServerError", "GeneralFailure"),
    "unavailable.store": ("InternalServerError", "GeneralFailure"),
    "unavailable.self_test": ("InternalServerError", "GeneralFailure"),
    "unavailable.directory": ("InternalServerError", "GeneralFailure"),
    "tampered": ("InternalServerError", "GeneralFailure"),
    "cryptography": ("CryptographicFailure",),
    "device": ("InternalServerError", "GeneralFailure"),
    "internal": ("InternalServerError", "GeneralFailure"),
}
"""Reason of core.errors -> Result Reasons, the most telling first."""

FOR_OPERATION: dict[tuple[str, str], Candidates] = {
    ("invalid.attribute", "AddAttribute"): ("InvalidAttribute", "PermissionDenied"),
    ("invalid.attribute_read_only", "AddAttribute"): ("ReadOnlyAttribute", "PermissionDenied"),
    ("invalid.attribute_read_only", "SetAttribute"): ("ReadOnlyAttribute",),
    ("invalid.attribute_read_only", "Create"): ("AttributeReadOnly", "InvalidField"),
    ("invalid.attribute_read_only", "Register"): ("AttributeReadOnly", "InvalidField"),
    ("invalid.object_type", "Activate"): ("InvalidObjectType", "IllegalOperation"),
    ("invalid.object_type", "Revoke"): ("InvalidObjectType", "IllegalOperation"),
    ("invalid.object_type", "Get"): ("InvalidObjectType", "IllegalOperation"),
    ("invalid.object_type", "Encrypt"): ("InvalidObjectType", "PermissionDenied"),
    ("invalid.object_type", "Decrypt"): ("InvalidObjectType", "PermissionDenied"),
    ("wrong_state.destroyed", "Get"): ("ObjectDestroyed", "ItemNotFound"),
    ("not_found.attribute", "ModifyAttribute"): ("AttributeNotFound", "InvalidField"),
}
"""(Reason, operation) -> Result Reasons where an operation's own table says something else."""

NOT_YET_IN_2_0 = frozenset({"WrongKeyLifecycleState", "BadCryptographicParameters", "MissingInitializationVector"})
"""Result Reasons that 2.0 has and whose place its profiles give to the older ones."""


def _chosen(candidates: Candidates, version: Version) -> int:
    """Return the first Result Reason that a version has and uses."""
    return next(
        value
        for value, name in ((enum_value("ResultReason", name), name) for name in candidates)
        if enum_available("ResultReason", value, version) and (version >= TWO_ONE or name not in NOT_YET_IN_2_0)
    )


_GENERAL = {(reason, version): _chosen(CANDIDATES[reason], version) for reason in REASONS for version in VERSIONS}
_SPECIAL = {
    (reason, enum_value("Operation", operation), version): _chosen(candidates, version)
    for (reason, operation), candidates in FOR_OPERATION.items()
    for version in VERSIONS
    if enum_available("Operation", enum_value("Operation", operation), version)
}


def result_reason(reason: str, operation: int | None, version: Version) -> int:
    """Return the Result Reason that tells a client of a version why an operation failed.

    Args:
        reason: One of core.errors.REASONS.
        operation: KMIP's Operation; None when the message could not be read so far.
        version: Of the answer.
    """
    special = _SPECIAL.get((reason, operation, version)) if operation is not None else None
    return special if special is not None else _GENERAL[reason, version]
