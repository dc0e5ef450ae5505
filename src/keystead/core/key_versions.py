"""Versions of a key: what each may be used for, what a key knows of its versions, where they are kept. Pure.

Law: what a version allows stands in one table, `PERMITTED`, and counts beside what the asker may do with the key and
what its life cycle allows. The newest version is the default one and always active.

Source: requirements KS-KEY-012 to 019; SM-2; AMB-02; docs/adr/0075.
"""

from enum import StrEnum
from typing import NamedTuple

from keystead.core.errors import WrongState
from keystead.core.lifecycle import Dates
from keystead.core.permission import GRANTABLE, Right

VERSIONS_PER_KEY_COUNT_MAX = 4000
_PLACES_COUNT = 10_000  # of four digits


class VersionState(StrEnum):
    """What a version of a key may be used for."""

    ACTIVE = "active"
    RESTRICTED = "restricted"
    RETIRED = "retired"


PERMITTED: dict[VersionState, Right] = {
    VersionState.ACTIVE: GRANTABLE,
    VersionState.RESTRICTED: Right.SEE | Right.DECRYPT | Right.VERIFY | Right.MAC_VERIFY,
    VersionState.RETIRED: Right.NONE,
}
"""State of a version -> rights that can be used on it; changing and deleting are done to the key as a whole."""

_ALLOWS = {
    VersionState.ACTIVE: "everything",
    VersionState.RESTRICTED: "decrypting, verifying and its information only",
    VersionState.RETIRED: "nothing",
}


class Versioning(NamedTuple):
    """What a versioned key knows of its versions; kept with the default one.

    Attributes:
        family: UUID under which the versions of the key are kept.
        number: Of this version, from 1; the default one has the highest.
        iv: Default IV of this version; b"" where the algorithm has none.
        active_count: Versions that are active, this one among them; 0 in what stands for an older version.
        restricted_count: Versions that are restricted.
        state: Of this version.
    """

    family: str
    number: int
    iv: bytes
    active_count: int = 0
    restricted_count: int = 0
    state: VersionState = VersionState.ACTIVE

    @property
    def is_default(self) -> bool:
        """Tell whether this is the version that a request without a number means."""
        return self.active_count > 0

    def moved(self, before: VersionState | None, after: VersionState) -> "Versioning":
        """Return the counts after a version went from one state to another; None = it is new."""

        def count(state: VersionState) -> int:
            return (after is state) - (before is state)

        return self._replace(
            active_count=self.active_count + count(VersionState.ACTIVE),
            restricted_count=self.restricted_count + count(VersionState.RESTRICTED),
        )


def check_use(versioning: Versioning, right: int) -> None:
    """Check that an older version may be used with a right, which the asker has.

    Raises:
        WrongState: its state does not allow it, or it is done to the key as a whole.
    """
    number, state = versioning.number, versioning.state
    if right & ~int(GRANTABLE):
        raise WrongState(f"this is version {number} of a key, which is changed and erased as a whole, under its name")
    if right & ~int(PERMITTED[state]):
        raise WrongState(f"version {number} of the key is {state}, which allows {_ALLOWS[state]}")


def dates_of(made_us: int, state: VersionState, changed_us: int) -> Dates:
    """Return the dates by which KMIP knows the state: a version that is not active is deactivated."""
    return Dates(activation_us=made_us, deactivation_us=None if state is VersionState.ACTIVE else changed_us)


def check_room(count: int) -> None:
    """Check that a key with so many versions can have another one.

    Raises:
        WrongState: it cannot.
    """
    if count >= VERSIONS_PER_KEY_COUNT_MAX:
        raise WrongState("a key has at most 4,000 versions; make another key")


def check_active(count: int, most: int) -> None:
    """Check that a key with so many active versions can have another one.

    Raises:
        WrongState: it cannot.
    """
    if count >= most:
        raise WrongState(
            f"{count} versions of the key are active, and keys.active_versions_max is {most}; restrict or retire one"
        )


def place_of(family: str, number: int) -> str:
    """Return under which handle a version is kept: in the order of handles newer ones come first."""
    return f"{family}.{_PLACES_COUNT - number:04}"
