"""Every reason of ours has a Result Reason that the version knows; the ones that matter most are spelled out."""

import pytest

from keystead.core.errors import REASONS
from keystead.protocols.kmip.errors_table import CANDIDATES, FOR_OPERATION, NOT_YET_IN_2_0, result_reason
from keystead.protocols.kmip.translate.operations import OPERATIONS
from keystead.protocols.kmip.wire.names import VERSIONS, enum_available, enum_name, enum_value
from keystead.protocols.kmip.wire.tags_table import Version


def test_the_table_is_total_and_names_nothing_else() -> None:
    assert set(CANDIDATES) == REASONS
    assert {reason for reason, _ in FOR_OPERATION} <= REASONS


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_an_answer_uses_only_result_reasons_of_its_version(version: Version) -> None:
    for reason in REASONS:
        for operation in (None, *OPERATIONS, 0x99):
            assert enum_available("ResultReason", result_reason(reason, operation, version), version)


@pytest.mark.parametrize(
    ("reason", "operation", "version", "expected"),
    [
        ("not_found.item", "Get", (1, 0), "ItemNotFound"),
        ("not_found.item", "Get", (2, 0), "ObjectNotFound"),
        ("wrong_state.object", "Destroy", (1, 4), "PermissionDenied"),
        ("wrong_state.object", "Destroy", (2, 0), "PermissionDenied"),
        ("wrong_state.object", "Destroy", (2, 1), "WrongKeyLifecycleState"),
        ("refused.sensitive", "Get", (1, 3), "PermissionDenied"),
        ("refused.sensitive", "Get", (1, 4), "Sensitive"),
        ("refused.not_extractable", "Get", (2, 0), "NotExtractable"),
        ("invalid.attribute_read_only", "ModifyAttribute", (2, 1), "AttributeReadOnly"),
        ("invalid.attribute_read_only", "AddAttribute", (2, 1), "ReadOnlyAttribute"),
        ("invalid.attribute_multiple", "SetAttribute", (2, 0), "MultiValuedAttribute"),
        ("not_found.attribute", "ModifyAttribute", (1, 2), "InvalidField"),
        ("not_found.attribute", "DeleteAttribute", (1, 2), "ItemNotFound"),
        ("invalid.missing_iv", "Decrypt", (1, 3), "InvalidMessage"),
        ("invalid.missing_iv", "Decrypt", (2, 1), "MissingInitializationVector"),
        ("not_supported.critical_extension", "Create", (1, 0), "FeatureNotSupported"),
        ("not_supported.version", None, (1, 4), "InvalidMessage"),
        ("not_supported.version", None, (2, 1), "UnsupportedProtocolVersion"),
        ("unauthenticated", None, (1, 0), "AuthenticationNotSuccessful"),
        ("too_large.response", "Locate", (1, 0), "ResponseTooLarge"),
        ("unavailable.locked", "Get", (1, 0), "GeneralFailure"),
    ],
)
def test_what_clients_are_told(reason: str, operation: str | None, version: Version, expected: str) -> None:
    code = enum_value("Operation", operation) if operation is not None else None
    assert enum_name("ResultReason", result_reason(reason, code, version)) == expected


@pytest.mark.parametrize("candidates", [*CANDIDATES.values(), *FOR_OPERATION.values(), tuple(NOT_YET_IN_2_0)])
def test_every_candidate_is_a_result_reason(candidates: tuple[str, ...]) -> None:
    assert [enum_value("ResultReason", name) for name in candidates]
