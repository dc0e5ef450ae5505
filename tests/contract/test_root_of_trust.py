"""One suite for every root of trust. What only one implementation has stands in tests/trust."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from keystead.core.errors import Invalid, KeysteadError, Refused, Tampered, Unavailable, WrongState
from keystead.core.secret import Secret
from keystead.trust.modules import ModuleSettings
from keystead.trust.role_tokens import new_role_secret
from keystead.trust.root import Role, RootOfTrust, SecurityModule
from tests.support import opencryptoki, tokens
from tests.support.components import ROOT
from tests.support.modules import Bench

KEY = Secret(bytes(range(32)))
WINDOW_S = 7_200


@contextmanager
def software(_folder: Path) -> Iterator[Bench]:
    yield Bench()


PAGE = ROOT / "docs" / "pkcs11.md"
CANNOT_HOLD: dict[str, dict[str, str]] = {
    "software": {
        "KS-HSM-025": "what enters PINs is a program: the host's administrator can observe it",
    },
    "softhsm": {
        "KS-HSM-025": "as for the software module",
        "KS-HSM-011": "the token counts failures but never blocks; keystead's counter does, and who can read the "
        "token's files tries PINs past it (264 bits each)",
        "KS-HSM-013": "a partition is set up again only in tokens that unwrap by AES key wrap",
    },
    "opencryptoki": {
        "KS-HSM-025": "as for the software module",
        "KS-HSM-011": "the token blocks its user after three failures by itself, and only a reset ends that; its PINs "
        "have 8 characters (48 bits)",
        "KS-HSM-013": "a partition is set up again only in tokens that unwrap by AES-CBC",
    },
}
"""Implementation -> row that it cannot hold, or not as the row asks -> why. Printed in docs/pkcs11.md."""

IMPLEMENTATIONS: dict[str, Callable[[Path], AbstractContextManager[Bench]]] = {
    "software": software,
    "softhsm": tokens.softhsm,
    "opencryptoki": opencryptoki.opencryptoki,
}


@pytest.fixture(params=list(IMPLEMENTATIONS))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A module of each implementation, not initialised yet."""
    with IMPLEMENTATIONS[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def windowed(bench: Bench) -> Bench:
    bench.settings = ModuleSettings(activation_window_s=WINDOW_S)
    return bench


def test_what_an_implementation_cannot_hold_is_printed_for_its_users() -> None:
    assert CANNOT_HOLD.keys() == IMPLEMENTATIONS.keys()
    lines = [f"| {name} | {row} | {why} |" for name, rows in CANNOT_HOLD.items() for row, why in rows.items()]
    page = PAGE.read_text().splitlines()
    assert [line for line in lines if line not in page] == []


# ------------------------------------------------------------------------------------------------------- setting up


@pytest.mark.row("KS-HSM-002")
def test_setting_up_defines_roles_domain_and_partition_and_activates(bench: Bench) -> None:
    module: SecurityModule = bench.module()
    assert not module.status().initialised
    module.initialise(bench.security_officer, bench.domain)
    assert not module.status().initialised  # no partition yet
    module.create_partition(bench.partition_request())
    status = module.status()
    assert (status.initialised, status.activated, status.crypto_user_logged_in) == (True, True, True)
    assert not status.security_officer_logged_in


def test_nothing_works_before_initialisation(bench: Bench) -> None:
    module = bench.module()
    for call in (
        lambda: module.login(Role.CRYPTO_USER, bench.crypto_user),
        lambda: module.login(Role.SECURITY_OFFICER, bench.security_officer),
        lambda: module.create_partition(bench.partition_request()),
        lambda: module.set_key_cache(enabled=True),
        module.activate,
        module.export_partition,
    ):
        with pytest.raises(WrongState, match="not initialised"):
            call()
    with pytest.raises(Unavailable):
        module.wrap_key(KEY, b"")
    assert not module.resume()
    assert not module.deactivate()
    module.logout(Role.CRYPTO_USER)
    module.keep_alive()


@pytest.mark.row("KS-HSM-003", "KS-HSM-004")
def test_a_module_has_one_security_officer_and_one_domain(bench: Bench) -> None:
    module = bench.unlocked()
    with pytest.raises(WrongState, match="initialised already"):
        module.initialise(new_role_secret(), new_role_secret())
    with pytest.raises(WrongState, match="partition already"):
        module.create_partition(bench.partition_request())
    with pytest.raises(Invalid, match="cannot be changed"):
        module.change_secret(Role.DOMAIN, bench.domain, new_role_secret())


@pytest.mark.row("KS-HSM-004", "KS-HSM-006")
@pytest.mark.parametrize("wrong", ["security_officer", "domain"])
def test_a_partition_needs_the_security_officer_and_the_domain(bench: Bench, wrong: str) -> None:
    module = bench.module()
    module.initialise(bench.security_officer, bench.domain)
    right = getattr(bench, wrong)
    setattr(bench, wrong, new_role_secret())
    with pytest.raises(Refused, match="2 attempts of the security-officer left") as caught:
        module.create_partition(bench.partition_request())
    assert caught.value.reason == "refused.wrong_secret"
    assert not module.status().initialised
    setattr(bench, wrong, right)
    module.create_partition(bench.partition_request())
    assert module.status().activated


@pytest.mark.row("KS-HSM-006")
def test_each_role_logs_in_with_its_own_secret_only(bench: Bench) -> None:
    module = bench.unlocked()
    module.logout(Role.CRYPTO_USER)
    for role, other in ((Role.SECURITY_OFFICER, bench.crypto_user), (Role.CRYPTO_USER, bench.security_officer)):
        with pytest.raises(Refused):
            module.login(role, other)
    module.login(Role.SECURITY_OFFICER, bench.security_officer)
    assert not module.status().crypto_user_logged_in
    module.login(Role.CRYPTO_USER, bench.crypto_user)
    assert module.status().crypto_user_logged_in
    with pytest.raises(Invalid, match="domain does not log in"):
        module.login(Role.DOMAIN, bench.domain)


@pytest.mark.row("KS-HSM-013", "KS-HSM-023")
def test_a_partition_is_set_up_in_another_module_of_its_domain(bench: Bench) -> None:
    first = bench.unlocked()
    wrapped = first.wrap_key(KEY, b"context")
    other = bench.another(bench.domain)
    second = other.module()
    second.initialise(other.security_officer, other.domain)
    second.create_partition(other.partition_request(first.export_partition()))
    assert second.unwrap_key(wrapped, b"context").matches(KEY)


@pytest.mark.row("KS-HSM-004")
def test_a_partition_is_of_no_use_in_another_domain(bench: Bench) -> None:
    exported = bench.unlocked().export_partition()
    foreign = bench.another()
    module = foreign.module()
    module.initialise(foreign.security_officer, foreign.domain)
    with pytest.raises(Tampered, match="another domain"):
        module.create_partition(foreign.partition_request(exported))
    with pytest.raises(Invalid, match="not an exported partition"):
        module.create_partition(foreign.partition_request(b"anything"))
    assert not module.status().initialised


@pytest.mark.row("KS-HSM-015")
@pytest.mark.parametrize("lost", ["security_officer", "domain", "crypto_user"])
def test_lost_tokens_are_made_anew_only_with_a_module_that_is_made_anew(bench: Bench, lost: str) -> None:
    """Nothing stands in for a secret that is gone: no role sets it anew, and a new module opens nothing of the old."""
    module = bench.unlocked()
    wrapped = module.wrap_key(KEY, b"context")
    module.logout(Role.CRYPTO_USER)
    with pytest.raises(WrongState, match="factory reset"):
        module.initialise(new_role_secret(), new_role_secret())
    stand_in = new_role_secret()
    if lost != "domain":
        role = Role.SECURITY_OFFICER if lost == "security_officer" else Role.CRYPTO_USER
        for known in (bench.security_officer, bench.domain, bench.crypto_user):
            if known is not getattr(bench, lost):
                with pytest.raises(KeysteadError):
                    module.change_secret(role, known, stand_in)
        with pytest.raises(KeysteadError):
            module.login(role, stand_in)
    else:
        elsewhere = bench.another(stand_in)
        other = elsewhere.module()
        other.initialise(elsewhere.security_officer, elsewhere.domain)
        with pytest.raises(KeysteadError):
            other.create_partition(elsewhere.partition_request(module.export_partition()))
    anew = bench.another().unlocked()
    with pytest.raises(Tampered):
        anew.unwrap_key(wrapped, b"context")


# ------------------------------------------------------------------------------------------------- logins and limits


@pytest.mark.row("KS-HSM-005")
def test_without_the_crypto_user_no_key_is_used(bench: Bench) -> None:
    module = bench.unlocked()
    wrapped = module.wrap_key(KEY, b"")
    module.logout(Role.CRYPTO_USER)
    for call in (lambda: module.wrap_key(KEY, b""), lambda: module.unwrap_key(wrapped, b"")):
        with pytest.raises(Unavailable) as caught:
            call()
        assert caught.value.reason == "unavailable.locked"
    restarted = bench.module()
    assert not restarted.status().crypto_user_logged_in
    restarted.login(Role.CRYPTO_USER, bench.crypto_user)
    assert restarted.unwrap_key(wrapped, b"").matches(KEY)


@pytest.mark.row("KS-HSM-011")
@pytest.mark.parametrize("role", [Role.CRYPTO_USER, Role.SECURITY_OFFICER])
def test_a_role_is_blocked_after_its_limit_of_failures(bench: Bench, role: Role) -> None:
    module = bench.unlocked()
    for left in bench.countdown(role):
        with pytest.raises(Refused, match=f"{left} attempts of the {role.value} left"):
            module.login(role, new_role_secret())
        assert module.status().attempts_left[role] == left
    right = bench.crypto_user if role is Role.CRYPTO_USER else bench.security_officer
    for each in (module, bench.module()):  # also after a restart
        with pytest.raises(WrongState, match="blocked"):
            each.login(role, right)


@pytest.mark.row("KS-HSM-011")
def test_the_limits_are_configurable_and_a_good_login_forgives(bench: Bench) -> None:
    bench.settings = ModuleSettings(crypto_user_attempts=2, security_officer_attempts=1)
    module = bench.unlocked()
    for _ in range(3):
        with pytest.raises(Refused):
            module.login(Role.CRYPTO_USER, new_role_secret())
        module.login(Role.CRYPTO_USER, bench.crypto_user)
    assert module.status().attempts_left == {Role.CRYPTO_USER: 2, Role.SECURITY_OFFICER: 1}


def test_a_failed_login_does_not_lock_who_is_in(bench: Bench) -> None:
    module = bench.unlocked()
    with pytest.raises(Refused):
        module.login(Role.CRYPTO_USER, new_role_secret())
    assert module.status().activated


def test_only_the_security_officer_unblocks_the_crypto_user(bench: Bench) -> None:
    bench.settings = ModuleSettings(crypto_user_attempts=1)
    module = bench.unlocked()
    with pytest.raises(Refused):
        module.login(Role.CRYPTO_USER, new_role_secret())
    with pytest.raises(Refused, match="log the security officer in first"):
        module.unblock()
    module.login(Role.SECURITY_OFFICER, bench.security_officer)
    assert module.status().attempts_left[Role.CRYPTO_USER] == 0  # the login alone forgives nothing
    module.unblock()
    module.login(Role.CRYPTO_USER, bench.crypto_user)
    module.logout(Role.SECURITY_OFFICER)
    assert not module.status().security_officer_logged_in


@pytest.mark.parametrize("role", [Role.CRYPTO_USER, Role.SECURITY_OFFICER])
def test_a_new_secret_replaces_the_old_one(bench: Bench, role: Role) -> None:
    module = bench.unlocked()
    wrapped = module.wrap_key(KEY, b"")
    old = bench.crypto_user if role is Role.CRYPTO_USER else bench.security_officer
    new = new_role_secret()
    with pytest.raises(Refused):
        module.change_secret(role, new, new)
    module.change_secret(role, old, new)
    restarted = bench.module()
    with pytest.raises(Refused):
        restarted.login(role, old)
    restarted.login(role, new)
    if role is Role.CRYPTO_USER:
        assert restarted.unwrap_key(wrapped, b"").matches(KEY)


def test_logging_out_twice_is_no_error(bench: Bench) -> None:
    module = bench.unlocked()
    for role in (Role.CRYPTO_USER, Role.SECURITY_OFFICER) * 2:
        module.logout(role)


# -------------------------------------------------------------------------------------------------- activation window


def test_activate_and_deactivate_report_what_they_did(windowed: Bench) -> None:
    module = windowed.unlocked()
    assert not module.activate()
    assert module.deactivate()
    assert not module.status().activated
    assert not module.deactivate()
    assert module.activate()
    assert module.status().activated


def test_by_default_nothing_outlives_a_deactivation(bench: Bench) -> None:
    module = bench.unlocked()
    module.deactivate()
    with pytest.raises(WrongState, match="log the crypto user in"):
        module.activate()
    assert not bench.module().resume()


@pytest.mark.row("KS-HSM-017", "KS-HSM-021")
@pytest.mark.parametrize(("outage_s", "survives"), [(0, True), (WINDOW_S - 1, True), (WINDOW_S, False)])
def test_an_outage_shorter_than_two_hours_is_survived(windowed: Bench, outage_s: int, survives: bool) -> None:
    wrapped = windowed.unlocked().wrap_key(KEY, b"")
    windowed.clock.pass_s(outage_s)
    restarted = windowed.module()
    assert restarted.status().crypto_user_logged_in is survives
    assert restarted.resume() is survives
    assert restarted.status().activated is survives
    if survives:
        assert restarted.unwrap_key(wrapped, b"").matches(KEY)
    else:
        restarted.login(Role.CRYPTO_USER, windowed.crypto_user)


@pytest.mark.row("KS-HSM-017")
@pytest.mark.parametrize(("outage_s", "survives"), [(WINDOW_S - 1, True), (WINDOW_S, False)])
def test_after_deactivate_only_the_command_activates_again(windowed: Bench, outage_s: int, survives: bool) -> None:
    windowed.unlocked().deactivate()
    windowed.clock.pass_s(outage_s)
    restarted = windowed.module()
    assert not restarted.resume()
    if survives:
        assert restarted.activate()
    else:
        with pytest.raises(WrongState, match="window is over"):
            restarted.activate()


def test_the_outage_counts_from_the_last_sign_of_life(windowed: Bench) -> None:
    module = windowed.unlocked()
    windowed.clock.pass_s(10 * WINDOW_S)
    module.keep_alive()
    windowed.clock.pass_s(WINDOW_S - 1)
    assert windowed.module().resume()


@pytest.mark.parametrize("back_s", [1, 3600, 10 * WINDOW_S])
def test_a_clock_set_back_ends_the_activation(windowed: Bench, back_s: int) -> None:
    windowed.unlocked()
    windowed.clock.pass_s(-back_s)
    assert not windowed.module().resume()
    windowed.clock.pass_s(back_s)
    assert not windowed.module().resume()  # for good


def test_a_clock_set_back_does_not_lengthen_a_deactivation(windowed: Bench) -> None:
    module = windowed.unlocked()
    module.deactivate()
    windowed.clock.pass_s(WINDOW_S - 60)
    module.keep_alive()
    windowed.clock.pass_s(-3600)
    with pytest.raises(WrongState):
        module.activate()


def test_an_activation_once_over_stays_over(windowed: Bench) -> None:
    module = windowed.unlocked()
    module.deactivate()
    windowed.clock.pass_s(WINDOW_S)
    module.keep_alive()
    windowed.clock.pass_s(-WINDOW_S)
    with pytest.raises(WrongState):
        module.activate()


def test_logging_out_forgets_the_activation(windowed: Bench) -> None:
    module = windowed.unlocked()
    module.logout(Role.CRYPTO_USER)
    with pytest.raises(WrongState):
        module.activate()
    assert not windowed.module().resume()


def test_a_window_taken_away_ends_what_was_remembered(windowed: Bench) -> None:
    windowed.unlocked()
    windowed.settings = ModuleSettings()
    assert not windowed.module().resume()


@pytest.mark.parametrize("window_s", [-1, 7201])
def test_a_window_out_of_range_is_refused(window_s: int) -> None:
    with pytest.raises(Invalid, match="0 to 7200"):
        ModuleSettings(activation_window_s=window_s)


# -------------------------------------------------------------------------------------------------------------- keys


@pytest.mark.row("KS-HSM-001", "KS-GEN-006")
def test_a_wrapped_key_opens_only_in_its_partition_and_context(bench: Bench) -> None:
    module: RootOfTrust = bench.unlocked()
    wrapped = module.wrap_key(KEY, b"realm one")
    assert KEY.reveal() not in wrapped
    assert module.wrap_key(KEY, b"realm one") != wrapped
    assert module.unwrap_key(wrapped, b"realm one").matches(KEY)
    changed = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    for data, context in ((wrapped, b"realm two"), (changed, b"realm one"), (wrapped[:20], b"realm one"), (b"", b"")):
        with pytest.raises(Tampered):
            module.unwrap_key(data, context)
    with pytest.raises(Tampered):
        bench.another().unlocked().unwrap_key(wrapped, b"realm one")


@pytest.mark.row("KS-HSM-050", "KS-HSM-053")
def test_the_secure_key_cache_is_off_at_first_and_tells_whether_it_changed(bench: Bench) -> None:
    module = bench.unlocked()
    assert not module.status().key_cache
    outcomes = [module.set_key_cache(enabled=enabled) for enabled in (False, True, True, False)]
    assert outcomes == [False, True, False, True]
    module.set_key_cache(enabled=True)
    assert bench.module().status().key_cache


@pytest.mark.row("KS-HSM-052")
def test_the_cache_setting_stays_with_its_module(bench: Bench) -> None:
    """What leaves a module for another one, or for a backup, does not carry it."""
    module = bench.unlocked()
    module.set_key_cache(enabled=True)
    other = bench.another(bench.domain)
    second = other.module()
    second.initialise(other.security_officer, other.domain)
    second.create_partition(other.partition_request(module.export_partition()))
    assert not second.status().key_cache
    assert module.status().key_cache


def test_watchers_hear_of_every_lock_unlock_and_switch(windowed: Bench) -> None:
    module = windowed.unlocked()
    heard: list[tuple[bool, bool]] = []
    module.watch(lambda: heard.append((module.status().activated, module.status().key_cache)))
    module.set_key_cache(enabled=True)
    module.deactivate()
    module.activate()
    module.logout(Role.CRYPTO_USER)
    module.login(Role.CRYPTO_USER, windowed.crypto_user)
    assert heard == [(True, True), (False, True), (True, True), (False, True), (True, True)]


def test_many_threads_use_one_module(bench: Bench) -> None:
    module = bench.unlocked()
    wrong: list[object] = []

    def work(number: int) -> None:
        key = Secret(bytes([number]) * 32)
        for turn in range(50):
            context = b"%d/%d" % (number, turn)
            if not module.unwrap_key(module.wrap_key(key, context), context).matches(key):
                wrong.append(context)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
