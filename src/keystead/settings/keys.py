"""Keys: how many versions of one may be active.

Chapter: Keys (Key Options). Rows: KS-KEY-013; AMB-40.
"""

from dataclasses import dataclass

from keystead.core.key_versions import VERSIONS_PER_KEY_COUNT_MAX
from keystead.core.permission import Access
from keystead.settings.section import Section, described, section

ACTIVE_VERSIONS_COUNT = 8  # AMB-40


@section
@dataclass(frozen=True, slots=True)
class KeyOptions(Section):
    """What holds for all keys."""

    name, title, access = "keys", "Keys", Access.KEYS
    active_versions_max: int = described(
        "Versions of one key that may be active", ACTIVE_VERSIONS_COUNT, minimum=1, maximum=VERSIONS_PER_KEY_COUNT_MAX
    )
