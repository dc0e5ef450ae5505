"""What `keystead verify` finds wrong, in words that say what to do next.

Source: design.md law 6; requirements KS-LOG-033.
"""

from typing import NamedTuple

RESTORE = "restore the store from a backup and find out who can write to its folder"
REBUILD = "searches may miss or offer it in vain; nothing wrong is served; restore the store from a backup"


class Finding(NamedTuple):
    """One thing that is not as it was written.

    Attributes:
        kind: "journal", "audit", "root", "store", or the kind of the record.
        id: Of the record, or the number of the row.
        what: What is wrong with it.
        advice: What to do next.
    """

    kind: str
    id: str
    what: str
    advice: str = RESTORE
