"""Policies: made, changed and deleted by administrators, and what they let through."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from keystead.core.errors import KeysteadError, Refused
from keystead.core.permission import Access, Right, conditional
from keystead.operations.admin_keys import ChangeKey
from keystead.operations.derivations import DeriveKey
from keystead.operations.grants import GiveRights, Grant, GrantKey, ListGrants, SetOwner, TakeRights
from keystead.operations.groups import DeleteGroup
from keystead.operations.policies import (
    ChangePolicy,
    CreatePolicy,
    DeletePolicy,
    KnownPolicy,
    ListPolicies,
    ShowPolicy,
)
from keystead.operations.requests import (
    CipherParameters,
    Decrypt,
    Destroy,
    Encrypt,
    Get,
    GetAttributes,
    Locate,
    Revoke,
    Wrapping,
)
from keystead.operations.users import CreateUser
from keystead.operations.wrapping import GetWrapped
from tests.operations.test_kept_certificates import a_certificate
from tests.support.builders import (
    ADMINISTRATOR,
    ALICE,
    BOB,
    GLOBAL,
    PERMISSIVE,
    US_PER_S,
    Node,
    a_key,
    a_user,
    attributes,
    enumeration,
    integer,
)
from tests.support.policies import BERLIN, CAROL, DAVE, ENCRYPT, Hours, a_narrowed_key, in_zone

SEE, DECRYPT, EXPORT, DERIVE = int(Right.SEE), int(Right.DECRYPT), int(Right.EXPORT), int(Right.DERIVE)
GCM = CipherParameters(mode=9, random_iv=True)
RATE, PERIOD = "refused.policy_rate", "refused.policy_period"
WEEK = "mon 00:00-sun 23:59"


@pytest.fixture
def hours(node: Node) -> Hours:
    """Moves the hours of the node."""
    return Hours(node)


@pytest.fixture
def utc() -> Iterator[None]:
    with in_zone("UTC"):
        yield


def outcomes(node: Node, principal: Any, key: str, count: int) -> list[str | None]:
    return [node.reason(principal, Encrypt(b"data", key, GCM)) for _ in range(count)]


def at(node: Node, moment: str) -> None:
    """Move the node's clock to a moment in UTC."""
    node.clock.us = int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) * US_PER_S


# -- policies themselves -----------------------------------------------------------------------------------------------


@pytest.mark.row("KS-POL-003")
def test_policies_are_made_listed_shown_and_changed(node: Node) -> None:
    told = node.ask(ADMINISTRATOR, CreatePolicy("office", 500, ("tue 09:00-tue 17:00", "mon 09:00-mon 17:00")))
    assert told == KnownPolicy("office", 500, ("mon 09:00-mon 17:00", "tue 09:00-tue 17:00"))
    node.ask(ADMINISTRATOR, CreatePolicy("free"))
    assert node.ask(ADMINISTRATOR, ListPolicies()) == (KnownPolicy("free", 0, ()), told)
    changed = node.ask(ADMINISTRATOR, ChangePolicy("office", 100))
    assert changed == KnownPolicy("office", 100, told.periods)
    assert node.ask(ADMINISTRATOR, ChangePolicy("office", periods=())) == KnownPolicy("office", 100, ())
    assert node.ask(ADMINISTRATOR, ShowPolicy("office")).keys == ()
    assert node.reason(ADMINISTRATOR, CreatePolicy("office")) == "exists"
    for gone in (ShowPolicy("other"), ChangePolicy("other", 1), DeletePolicy("other")):
        assert node.reason(ADMINISTRATOR, gone) == "not_found.item"


@pytest.mark.row("KS-POL-003", "KS-POL-008")
@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (CreatePolicy("p", 500_000_000), None),
        (CreatePolicy("p", 500_000_001), "invalid.field"),
        (CreatePolicy("p", -1), "invalid.field"),
        (CreatePolicy("no such name"), "invalid.field"),
        (CreatePolicy("a:b"), "invalid.field"),
        (CreatePolicy("p", 1, ("mon 09:00",)), "invalid.field"),
        (CreatePolicy("p", 1, (WEEK,) * 50), None),
        (CreatePolicy("p", 1, (WEEK,) * 51), "invalid.field"),
    ],
)
def test_limits_of_a_policy(node: Node, request_: CreatePolicy, reason: str | None) -> None:
    assert node.reason(ADMINISTRATOR, request_) == reason


def test_policies_are_for_administrators_with_access_to_keys(node: Node) -> None:
    node.ask(ADMINISTRATOR, CreatePolicy("office"))
    without = replace(ADMINISTRATOR, access=Access.ANY)
    for request in (CreatePolicy("other"), ChangePolicy("office", 1), DeletePolicy("office")):
        assert node.reason(without, request) == node.reason(ALICE, request) == "refused.permission"
    assert node.reason(without, ShowPolicy("office")) is None
    elsewhere = replace(ADMINISTRATOR, realm="tenant")
    assert node.ask(elsewhere, ListPolicies()) == ()
    assert node.reason(elsewhere, DeletePolicy("office")) == "not_found.item"


@pytest.mark.row("KS-POL-014")
def test_a_policy_in_use_is_not_deleted_and_the_keys_are_named(node: Node) -> None:
    key = a_narrowed_key(node)
    handle = node.record(key).handle
    assert node.ask(ADMINISTRATOR, ShowPolicy("office")).keys == (handle,)
    with pytest.raises(Refused, match=handle):
        node.ask(ADMINISTRATOR, DeletePolicy("office"))
    node.ask(ADMINISTRATOR, TakeRights(key, ENCRYPT, "staff"))
    assert node.record(key).grants == {}
    assert node.ask(ADMINISTRATOR, ShowPolicy("office")).keys == ()
    node.ask(ADMINISTRATOR, DeletePolicy("office"))
    assert node.ask(ADMINISTRATOR, ListPolicies()) == ()


def test_a_destroyed_key_does_not_need_its_policy(node: Node) -> None:
    key = a_narrowed_key(node)
    node.ask(ALICE, Revoke(1, target=key))
    node.ask(ALICE, Destroy(key))
    assert node.reason(ADMINISTRATOR, DeletePolicy("office")) is None


def test_what_was_granted_under_a_policy_that_is_gone_is_granted_to_nobody(node: Node) -> None:
    key = a_narrowed_key(node)
    record = node.objects.record("policy", "office")
    assert record is not None
    node.purge("policy", record.id, record.revision)
    assert outcomes(node, CAROL, key, 2) == ["refused.permission"] * 2


def test_a_policy_is_not_deleted_while_it_is_being_granted(node: Node) -> None:
    """A grant stores the policy too, so that one of the two loses the race and decides anew."""
    node.ask(ADMINISTRATOR, CreatePolicy("office"))
    key = a_key(node)
    before = node.objects.record("policy", "office")
    node.ask(ADMINISTRATOR, GiveRights(key, ENCRYPT, "staff", policy="office"))
    after = node.objects.record("policy", "office")
    assert before is not None
    assert after == before._replace(revision=before.revision + 1)


# -- granting ----------------------------------------------------------------------------------------------------------


@pytest.mark.row("KS-KEY-021", "KS-POL-002")
def test_each_operation_is_never_always_or_under_a_policy(node: Node) -> None:
    for policy in ("office", "slow"):
        node.ask(ADMINISTRATOR, CreatePolicy(policy, 1))
    key = a_key(node)
    node.ask(ADMINISTRATOR, GiveRights(key, DECRYPT, "staff"))
    node.ask(ADMINISTRATOR, GiveRights(key, ENCRYPT, "staff", policy="office"))
    node.ask(ADMINISTRATOR, GiveRights(key, ENCRYPT, "board", policy="slow"))
    told = node.ask(ADMINISTRATOR, GiveRights(key, EXPORT, "staff", policy="slow"))
    assert told.grants == (
        *(Grant("board", "", SEE), Grant("board", "", ENCRYPT, "slow")),
        *(Grant("staff", "", SEE | DECRYPT), Grant("staff", "", ENCRYPT, "office"), Grant("staff", "", EXPORT, "slow")),
    )
    told = node.ask(ADMINISTRATOR, GiveRights(key, ENCRYPT, "staff"))
    assert told.grants[2:] == (Grant("staff", "", SEE | DECRYPT | ENCRYPT), Grant("staff", "", EXPORT, "slow"))
    told = node.ask(ADMINISTRATOR, GiveRights(key, DECRYPT, "staff", policy="slow"))
    assert told.grants[2:] == (Grant("staff", "", SEE | ENCRYPT), Grant("staff", "", DECRYPT | EXPORT, "slow"))
    told = node.ask(ADMINISTRATOR, TakeRights(key, ENCRYPT | EXPORT, "staff"))
    assert told.grants[2:] == (Grant("staff", "", SEE), Grant("staff", "", DECRYPT, "slow"))
    told = node.ask(ADMINISTRATOR, GrantKey(key, "staff", ENCRYPT, "office"))
    assert told.grants[2:] == (Grant("staff", "", SEE), Grant("staff", "", ENCRYPT, "office"))
    told = node.ask(ADMINISTRATOR, GrantKey(key, "staff", 0))
    assert told.grants == (Grant("board", "", SEE), Grant("board", "", ENCRYPT, "slow"))
    node.ask(ADMINISTRATOR, TakeRights(key, ENCRYPT, "board"))
    assert node.record(key).grants == {}


@pytest.mark.row("KS-POL-001")
def test_a_grant_without_a_policy_is_stored_as_it_always_was(node: Node) -> None:
    key = a_key(node)
    node.ask(ADMINISTRATOR, GiveRights(key, ENCRYPT, "staff"))
    assert node.record(key).grants == {"staff": SEE | ENCRYPT}
    node.ask(ADMINISTRATOR, CreatePolicy("office"))
    node.ask(ADMINISTRATOR, GiveRights(key, ENCRYPT, "staff", policy="office"))
    assert node.record(key).grants == {"staff": SEE, conditional("office", "staff"): ENCRYPT}


@pytest.mark.row("KS-POL-013")
def test_what_a_policy_does_not_go_with(node: Node) -> None:
    node.ask(ADMINISTRATOR, CreatePolicy("office"))
    node.ask(ADMINISTRATOR, CreateUser("bob"))
    node.gate.switches = replace(PERMISSIVE, global_keys=True)
    key, of_nobody, certificate = a_key(node), a_key(node, GLOBAL), a_certificate(node)
    for request, reason in (
        (GiveRights(of_nobody, ENCRYPT, "staff", policy="office"), "refused.permission"),
        (GrantKey(of_nobody, "staff", ENCRYPT, "office"), "refused.permission"),
        (GiveRights(certificate, EXPORT, "staff", policy="office"), "invalid.object_type"),
        (GrantKey(certificate, "staff", EXPORT, "office"), "invalid.object_type"),
        (GiveRights(key, ENCRYPT, user="bob", policy="office"), "invalid.field"),
        (GiveRights(key, SEE, "staff", policy="office"), "invalid.field"),
        (GrantKey(key, "staff", 0, "office"), "invalid.field"),
        (GiveRights(key, ENCRYPT, "staff", policy="other"), "not_found.item"),
        (GiveRights(key, int(Right.SIGN), "staff", policy="office"), "invalid.field"),
        (GiveRights(key, int(Right.DELETE), "staff", policy="office"), "invalid.field"),
    ):
        assert node.reason(ADMINISTRATOR, request) == reason, request
    assert node.record(key).grants == {}


@pytest.mark.row("KS-POL-013")
def test_a_policy_binds_neither_the_owner_nor_a_key_of_nobody(node: Node) -> None:
    key = a_narrowed_key(node, 1)
    of_staff = replace(ALICE, groups=frozenset({"staff"}))
    assert outcomes(node, of_staff, key, 5) == [None] * 5
    node.gate.switches = replace(PERMISSIVE, global_keys=True)
    node.ask(ADMINISTRATOR, SetOwner(key, None))
    assert outcomes(node, CAROL, key, 5) == [None] * 5
    assert node.record(key).grants == {}


@pytest.mark.row("KS-LIFE-009")
def test_a_key_with_life_cycle_dates_and_a_policy_is_warned_of(node: Node) -> None:
    plain = a_narrowed_key(node)
    assert node.ask(ADMINISTRATOR, ListGrants(plain)).caution == ""
    end_us = node.clock.us + 3600 * US_PER_S
    node.ask(ADMINISTRATOR, ChangeKey(plain, deactivation_us=end_us))
    assert "keep to one" in node.ask(ADMINISTRATOR, ListGrants(plain)).caution
    assert "keep to one" in node.ask(ADMINISTRATOR, GiveRights(plain, int(Right.DECRYPT), "staff")).caution
    assert node.ask(ADMINISTRATOR, GrantKey(plain, "staff", ENCRYPT)).caution == ""


def test_with_a_group_goes_what_it_was_granted_under_policies(node: Node) -> None:
    key = a_narrowed_key(node, 5)
    node.ask(ADMINISTRATOR, CreateUser("carol", ("staff",)))
    assert node.ask(CAROL, Locate(())).ids == (key,)
    node.ask(ADMINISTRATOR, DeleteGroup("staff"))
    assert node.record(key).grants == {}
    assert node.reason(CAROL, Encrypt(b"data", key, GCM)) == "not_found.item"
    assert node.reason(ADMINISTRATOR, DeletePolicy("office")) is None


# -- letting through ---------------------------------------------------------------------------------------------------


@pytest.mark.row("KS-POL-003", "KS-POL-004", "KS-POL-005")
def test_each_user_has_so_many_operations_an_hour_from_the_first_on(node: Node, hours: Hours) -> None:
    key = a_narrowed_key(node, 3)
    assert outcomes(node, CAROL, key, 1) == [None]
    hours.pass_s(3599)
    assert outcomes(node, CAROL, key, 4) == [None, None, RATE, RATE]
    assert outcomes(node, DAVE, key, 4) == [None, None, None, RATE]
    hours.pass_s(1)
    assert outcomes(node, CAROL, key, 4) == [None, None, None, RATE]  # not sliding: two of them were a second ago
    assert outcomes(node, DAVE, key, 1) == [RATE]
    line = node.lines()[-1]
    assert "refused.policy_rate [the operations that a policy permits in an hour are used up]" in line


@pytest.mark.row("KS-POL-006")
@pytest.mark.parametrize(("changed", "left"), [(150, 100), (75, 25), (50, 0), (10, 0)])
def test_a_changed_limit_counts_at_once(node: Node, hours: Hours, changed: int, left: int) -> None:
    key = a_narrowed_key(node, 100)
    assert outcomes(node, CAROL, key, 50) == [None] * 50
    hours.pass_s(60)
    node.ask(ADMINISTRATOR, ChangePolicy("office", changed))
    assert outcomes(node, CAROL, key, left + 1) == [*[None] * left, RATE]
    node.ask(ADMINISTRATOR, ChangePolicy("office", 0))
    assert outcomes(node, CAROL, key, 1) == [None]


@pytest.mark.row("KS-POL-016")
def test_each_process_counts_for_itself(node: Node, hours: Hours) -> None:
    key = a_narrowed_key(node, 2)
    assert outcomes(node, CAROL, key, 3) == [None, None, RATE]
    Hours(node)  # as on another node on the same store, or after a restart
    assert outcomes(node, CAROL, key, 3) == [None, None, RATE]
    assert hours.policies.count() == 1


@pytest.mark.row("KS-POL-017")
def test_operations_and_exports_count_and_questions_do_not(node: Node, hours: Hours) -> None:
    key = a_narrowed_key(node, 4, rights=ENCRYPT | DECRYPT | EXPORT | DERIVE)
    for _ in range(10):
        assert node.reason(CAROL, GetAttributes(key)) is None
        assert node.ask(CAROL, Locate(())).ids == (key,)
    made = node.ask(CAROL, Encrypt(b"data", key, GCM))
    assert node.ask(CAROL, Decrypt(made.data, key, GCM, made.iv, tag=made.tag)).data == b"data"
    assert node.ask(CAROL, Get(key)).block is not None
    assert node.reason(CAROL, Decrypt(b"wrong", key, GCM, bytes(12), tag=bytes(16))) == "cryptography"
    for request in (Encrypt(b"data", key, GCM), Get(key), Decrypt(b"data", key, GCM, bytes(12), tag=bytes(16))):
        assert node.reason(CAROL, request) == RATE
    assert node.reason(CAROL, GetAttributes(key)) is None


def test_what_needs_two_rights_on_a_key_counts_once(node: Node, hours: Hours) -> None:
    key = a_key(node, mask=4 | 8 | 512)
    node.ask(ADMINISTRATOR, CreatePolicy("office", 2))
    node.ask(ADMINISTRATOR, GiveRights(key, ENCRYPT | DERIVE, "staff", policy="office"))
    wanted = attributes(Cryptographic_Algorithm=enumeration(3), Cryptographic_Length=integer(128))
    derive = DeriveKey(2, key, 4, None, CipherParameters(mode=6), bytes(32), bytes(16), attributes=wanted)
    reasons = [node.reason(CAROL, derive) for _ in range(3)]
    assert reasons == [None, None, RATE]


def test_wrapping_counts_for_both_keys(node: Node, hours: Hours) -> None:
    wrapped = a_narrowed_key(node, 3, rights=EXPORT)
    wrapping = a_key(node, mask=16)
    node.ask(ADMINISTRATOR, CreatePolicy("seldom", 2))
    node.ask(ADMINISTRATOR, GiveRights(wrapping, ENCRYPT, "staff", policy="seldom"))
    request = GetWrapped(Get(wrapped), Wrapping(wrapping, CipherParameters(mode=13)), lambda _block: bytes(32))
    reasons = [node.reason(CAROL, request) for _ in range(3)]
    assert reasons == [None, None, RATE]
    assert node.reason(CAROL, Get(wrapped)) == RATE  # the third counted here, before the other key refused it


@pytest.mark.row("KS-POL-012")
@pytest.mark.usefixtures("utc")
def test_of_several_groups_the_least_restrictive_counts(node: Node, hours: Hours) -> None:
    key = a_narrowed_key(node, 2)
    node.ask(ADMINISTRATOR, CreatePolicy("more", 4, ("mon 09:00-mon 17:00",)))
    node.ask(ADMINISTRATOR, GiveRights(key, ENCRYPT, "board", policy="more"))
    both = a_user("erin", "staff", "board")
    at(node, "2027-03-01T12:00")  # a Monday
    assert outcomes(node, both, key, 5) == [None, None, None, None, RATE]
    assert outcomes(node, CAROL, key, 3) == [None, None, RATE]
    at(node, "2027-03-01T18:00")
    assert outcomes(node, both, key, 1) == [RATE]  # as many as they could have in this hour anyway
    hours.pass_s(3600)
    assert outcomes(node, both, key, 3) == [None, None, RATE]
    assert outcomes(node, a_user("fred", "board"), key, 1) == [PERIOD]
    node.ask(ADMINISTRATOR, GiveRights(key, ENCRYPT, "friends"))
    assert outcomes(node, a_user("erin", "staff", "board", "friends"), key, 9) == [None] * 9


@pytest.mark.row("KS-POL-002")
def test_groups_that_share_a_key_and_keys_that_share_a_policy_have_counts_of_their_own(
    node: Node, hours: Hours
) -> None:
    key = a_narrowed_key(node, 1)
    node.ask(ADMINISTRATOR, CreatePolicy("more", 3))
    node.ask(ADMINISTRATOR, GiveRights(key, ENCRYPT, "board", policy="more"))
    other = a_key(node)
    node.ask(ADMINISTRATOR, GiveRights(other, ENCRYPT, "staff", policy="office"))
    assert outcomes(node, CAROL, key, 2) == [None, RATE]
    assert outcomes(node, CAROL, other, 2) == [None, RATE]
    assert outcomes(node, a_user("greg", "board"), key, 4) == [None, None, None, RATE]


@pytest.mark.row("KS-POL-008", "KS-POL-009", "KS-POL-011")
@pytest.mark.usefixtures("utc")
def test_a_key_is_used_within_the_periods_only(node: Node, hours: Hours) -> None:
    key = a_narrowed_key(node, 0, "mon 09:00-mon 17:00", "fri 18:00-sat 02:00")
    moments = {
        "2027-03-01T08:59": PERIOD,
        "2027-03-01T09:00": None,
        "2027-03-01T17:00": None,
        "2027-03-01T17:01": PERIOD,
        "2027-03-02T12:00": PERIOD,
        "2027-03-05T17:59": PERIOD,
        "2027-03-06T02:00": None,
        "2027-03-06T02:01": PERIOD,
    }
    for moment, reason in moments.items():
        at(node, moment)
        assert outcomes(node, CAROL, key, 1) == [reason], moment
    assert outcomes(node, ALICE, key, 1) == [None]


@pytest.mark.row("KS-POL-010")
@pytest.mark.usefixtures("utc")
def test_a_period_of_one_day_that_ends_earlier_wraps_through_the_week(node: Node, hours: Hours) -> None:
    key = a_narrowed_key(node, 0, "mon 13:00-mon 08:00")
    for moment, reason in (
        *(("2027-03-01T08:00", None), ("2027-03-01T08:01", PERIOD), ("2027-03-01T12:59", PERIOD)),
        *(("2027-03-01T13:00", None), ("2027-03-04T10:00", None), ("2027-03-07T23:59", None)),
    ):
        at(node, moment)
        assert outcomes(node, CAROL, key, 1) == [reason], moment


@pytest.mark.row("KS-POL-015")
def test_periods_are_in_local_time_in_summer_and_in_winter(node: Node, hours: Hours) -> None:
    with in_zone(BERLIN):
        key = a_narrowed_key(node, 0, "sun 02:15-sun 02:45")
        for moment, reason in (
            *(("2027-01-31T01:14", PERIOD), ("2027-01-31T01:30", None)),  # winter: an hour ahead of UTC
            *(("2027-06-27T01:30", PERIOD), ("2027-06-27T00:30", None)),  # summer: two hours
            *(("2027-03-28T00:59", PERIOD), ("2027-03-28T01:00", PERIOD), ("2027-03-28T01:30", PERIOD)),  # left out
            *(("2027-10-31T00:30", None), ("2027-10-31T01:00", PERIOD), ("2027-10-31T01:30", None)),  # comes twice
        ):
            at(node, moment)
            assert outcomes(node, CAROL, key, 1) == [reason], moment


@pytest.mark.row("KS-POL-015")
def test_another_time_zone_counts_from_the_next_second_on(
    node: Node, hours: Hours, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_zone("UTC"):
        key = a_narrowed_key(node, 0, "mon 12:00-mon 12:59")
        at(node, "2027-03-01T12:30")
        assert outcomes(node, CAROL, key, 1) == [None]
        for zone, reason in (("ABC-5", PERIOD), ("UTC", None)):
            monkeypatch.setenv("TZ", zone)  # and nobody tells the process
            hours.pass_s(1)
            assert outcomes(node, CAROL, key, 1) == [reason]


def test_a_clock_that_is_set_neither_ends_nor_lengthens_an_hour(node: Node, hours: Hours) -> None:
    key = a_narrowed_key(node, 2)
    assert outcomes(node, CAROL, key, 3) == [None, None, RATE]
    for seconds in (86_400, -86_300):
        node.clock.pass_s(seconds)
        assert outcomes(node, CAROL, key, 1) == [RATE]
    hours.pass_s(3600)
    assert outcomes(node, CAROL, key, 1) == [None]


def test_group_permission_state_and_membership_are_all_needed(node: Node, hours: Hours) -> None:
    key = a_narrowed_key(node, 100)
    assert node.reason(CAROL, Encrypt(b"data", key, GCM)) is None
    assert node.reason(CAROL, Get(key)) == "refused.permission"  # Never
    assert node.reason(BOB, Encrypt(b"data", key, GCM)) == "not_found.item"  # no member
    assert node.reason(replace(CAROL, realm="tenant"), Encrypt(b"data", key, GCM)) == "not_found.item"
    node.ask(ALICE, Revoke(1, target=key))
    assert node.reason(CAROL, Encrypt(b"data", key, GCM)) == "wrong_state.object"


def test_each_request_of_a_batch_counts(node: Node, hours: Hours) -> None:
    key = a_narrowed_key(node, 3)
    replies = node.batch(CAROL, [Encrypt(b"data", key, GCM)] * 5, go_on=True)
    errors: list[KeysteadError | None] = [reply.error for reply in replies]
    assert [error.reason if error else None for error in errors] == [None, None, None, RATE, RATE]
