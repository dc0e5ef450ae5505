"""What versions of keys allow, and how a key counts them."""

import pytest

from keystead.core.errors import WrongState
from keystead.core.key_versions import (
    PERMITTED,
    Versioning,
    VersionState,
    check_active,
    check_room,
    check_use,
    place_of,
)
from keystead.core.permission import GRANTABLE, Right

ACTIVE, RESTRICTED, RETIRED = VersionState
KEPT_BY_RESTRICTED = {Right.SEE, Right.DECRYPT, Right.VERIFY, Right.MAC_VERIFY}
EVERY = [right for right in Right if right]


def allows(state: VersionState, right: Right) -> bool:
    try:
        check_use(Versioning("family", 3, b"", state=state), int(right))
    except WrongState:
        return False
    return True


@pytest.mark.row("KS-KEY-016", "KS-KEY-017", "KS-KEY-018")
@pytest.mark.parametrize("right", EVERY, ids=lambda right: right.name)
def test_what_each_state_allows(right: Right) -> None:
    is_use = bool(right & GRANTABLE)
    assert allows(ACTIVE, right) == is_use
    assert allows(RESTRICTED, right) == (right in KEPT_BY_RESTRICTED)
    assert not allows(RETIRED, right)


@pytest.mark.parametrize("state", [RESTRICTED, RETIRED])
def test_the_refusal_says_which_version_and_state(state: VersionState) -> None:
    with pytest.raises(WrongState) as refused:
        check_use(Versioning("family", 17, b"", state=state), int(Right.ENCRYPT))
    assert "version 17" in refused.value.message
    assert state in refused.value.message
    assert set(PERMITTED) == set(VersionState)


def test_a_key_counts_its_versions_by_their_states() -> None:
    key = Versioning("family", 4, b"", active_count=4)
    key = key.moved(ACTIVE, RESTRICTED)
    assert (key.active_count, key.restricted_count) == (3, 1)
    key = key.moved(RESTRICTED, RETIRED)
    assert (key.active_count, key.restricted_count) == (3, 0)
    key = key.moved(RETIRED, ACTIVE)
    assert (key.active_count, key.restricted_count) == (4, 0)
    assert key.moved(ACTIVE, ACTIVE) == key
    assert key.moved(None, ACTIVE).active_count == 5


def test_there_is_room_up_to_the_limits() -> None:
    check_room(3999)
    with pytest.raises(WrongState):
        check_room(4000)
    check_active(7, 8)
    with pytest.raises(WrongState, match="active_versions_max"):
        check_active(8, 8)


def test_newer_versions_come_first() -> None:
    places = [place_of("f", number) for number in (4000, 3999, 100, 10, 9, 1)]
    assert places == sorted(places)
    assert {len(place) for place in places} == {len("f.") + 4}
