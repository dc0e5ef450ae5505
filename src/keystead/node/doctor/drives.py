"""Checks of the drives that keep copies of security modules' keys: are copies and drives as fresh as they have to be?

Source: requirement CB-019; docs/drives.md.
"""

from collections.abc import Iterator

from keystead.custody.drives.registry import due
from keystead.node.doctor.findings import DAY_S, Examined, Finding, Severity
from keystead.node.key_backups import registry_of
from keystead.node.opening import own_section
from keystead.settings.key_backups import KeyBackups


def key_backups(node: Examined) -> Iterator[Finding]:
    """Who has registered drives is told when a backup or a drive is overdue; who has none is left in peace."""
    parts = node.parts
    if parts is None:
        return
    books = registry_of(parts).load()
    if not books.drives:
        return
    days = own_section(parts.own, KeyBackups).reminder_days
    for told in due(books, int(node.now_s * 1e6), days * DAY_S):
        advice = "Mount the drives and run `keystead hsm-backup`, or `keystead drives challenge` to check one alone."
        yield Finding(Severity.WARNING, "key_backups", f"{told[0].upper()}{told[1:]} (every {days} days).", advice)
