"""Backups of tokens' keys to sets of drives: which library, which drives, who may ask from where.

Chapter: HSM key backup. Rows: CB-005, 018, 019, 020.
"""

from dataclasses import dataclass

from keystead.core.permission import Access
from keystead.settings.section import Section, described, section


@section
@dataclass(frozen=True, slots=True)
class KeyBackups(Section):
    """Where tokens and drives are; read when the node starts. Without a library or a folder nothing is offered."""

    name, title, access, own = "key_backups", "Backups of HSM keys", Access.MODULE, True
    library: str = described("Absolute path of the PKCS#11 library whose tokens are backed up", "")
    folder: str = described("Absolute path of the folder below which drives are mounted", "")
    allowed_addresses: str = described(
        "Networks that requests may come from, separated by commas; empty = any that may connect", ""
    )
    two_persons: bool = described("The security officer has to be somebody else than the administrator who asks", True)
    reminder_days: int = described(
        "After how many days a backup is due again, and a drive has to be seen again", 31, minimum=1, maximum=3650
    )
