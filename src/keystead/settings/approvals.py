"""Approvals by further administrators.

Chapter: Multiple credentials. Rows: KS-MC-001 to 003, 011.
"""

from dataclasses import dataclass

from keystead.core.approvals import ADMINISTRATORS_COUNT_MIN
from keystead.core.permission import Access
from keystead.settings.section import Section, described, section


@section
@dataclass(frozen=True, slots=True)
class MultipleCredentials(Section):
    """Whether configuration needs several administrators; while it does, changing this needs them too."""

    name, title, access = "multiple_credentials", "Multiple credentials", Access.HIGH_ACCESS
    required: bool = described("Configuration needs several administrators", False)
    administrators_count: int = described(
        "Administrators needed, whoever asks included", 2, minimum=ADMINISTRATORS_COUNT_MIN, maximum=100
    )
    pending_hours: int = described("Requests wait for approvals for, hours", 24, minimum=1, maximum=168)
    grants_allowed: bool = described("Administrators may approve in advance, for some hours", False)
    grant_hours_max: int = described("Approvals in advance last less than, hours", 8, minimum=2, maximum=168)
