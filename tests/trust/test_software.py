"""What only the software module has: its state, and its word on being software."""

import os
import re
import stat
from pathlib import Path

import pytest

from keystead.core.errors import DeviceFault, Invalid, Refused, Tampered, WrongState
from keystead.core.secret import Secret
from keystead.trust.module_state import StateFile
from keystead.trust.modules import ModuleSettings
from keystead.trust.role_tokens import new_role_secret
from keystead.trust.root import Role
from keystead.trust.sealing import derive, unseal
from keystead.trust.software import NOTICE
from tests.support.modules import Bench, MemoryState


class FailingState(MemoryState):
    """A disk that fails from some moment on."""

    fails = False

    def save(self, state: bytes) -> None:
        if self.fails:
            raise DeviceFault("the disk is full")
        super().save(state)


@pytest.mark.row("KS-HSM-001")
def test_it_says_loudly_that_it_is_software() -> None:
    assert Bench().module().status().kind == "software"
    assert "SOFTWARE" in NOTICE


@pytest.mark.row("KS-HSM-011")
def test_a_failure_is_durable_before_the_secret_is_judged() -> None:
    bench = Bench(state=FailingState())
    module = bench.unlocked()
    before = len(bench.state.saves)
    with pytest.raises(Refused):
        module.login(Role.CRYPTO_USER, new_role_secret())
    assert len(bench.state.saves) == before + 1
    assert bench.module().status().attempts_left[Role.CRYPTO_USER] == 9
    assert isinstance(bench.state, FailingState)
    bench.state.fails = True
    with pytest.raises(DeviceFault):  # cannot be counted, hence is not judged, right or wrong
        module.login(Role.CRYPTO_USER, bench.crypto_user)


def test_power_lost_between_counting_and_judging_costs_an_attempt() -> None:
    bench = Bench()
    module = bench.unlocked()
    before = len(bench.state.saves)
    module.login(Role.CRYPTO_USER, bench.crypto_user)
    del bench.state.saves[before + 1 :]  # only the first save of the login became durable
    assert bench.module().status().attempts_left[Role.CRYPTO_USER] == 9


def test_locking_happens_even_when_the_disk_fails() -> None:
    bench = Bench(ModuleSettings(activation_window_s=60), FailingState())
    module = bench.unlocked()
    assert isinstance(bench.state, FailingState)
    bench.state.fails = True
    with pytest.raises(DeviceFault):
        module.logout(Role.CRYPTO_USER)
    assert not module.status().activated


@pytest.mark.row("KS-HSM-007")
def test_the_crypto_user_also_has_a_generated_password() -> None:
    bench = Bench()
    module = bench.module()
    module.initialise(bench.security_officer, bench.domain)
    password = module.create_partition(bench.partition_request())
    assert re.fullmatch(rb"[A-Za-z0-9]{4}(-[A-Za-z0-9]{4}){3}", password.reveal())
    restarted = bench.module()
    restarted.login(Role.CRYPTO_USER, bench.crypto_user)  # was entered once: this node keeps it
    changed = restarted.set_password()
    assert not changed.matches(password)
    module = bench.module()
    module.login(Role.CRYPTO_USER, bench.crypto_user)
    module.enter_password(password)  # the old one
    with pytest.raises(Refused):
        module.login(Role.CRYPTO_USER, bench.crypto_user)
    module.enter_password(changed)
    module.login(Role.CRYPTO_USER, bench.crypto_user)
    with pytest.raises(Invalid, match="four groups of four"):
        module.enter_password(Secret(b"1234"))


def test_the_state_alone_gives_nothing_without_the_node_key() -> None:
    bench = Bench(ModuleSettings(activation_window_s=60))
    bench.unlocked()
    with pytest.raises(Tampered, match="wrong node key"):
        Bench(state=bench.state).module()


def test_an_edited_state_is_refused() -> None:
    bench = Bench()
    module = bench.unlocked()
    with pytest.raises(Refused):
        module.login(Role.CRYPTO_USER, new_role_secret())
    saved = bench.state.saves[-1]
    for position in (0, 40, len(saved) // 2, len(saved) - 1):
        changed = bytearray(saved)
        changed[position] ^= 1
        with pytest.raises(Tampered):
            Bench(state=MemoryState([bytes(changed)]), node_secret=bench.node_secret).module()
    for cut in (b"", saved[:31], saved[:-1], saved + b"\0"):
        with pytest.raises(Tampered):
            Bench(state=MemoryState([cut]), node_secret=bench.node_secret).module()


def test_no_secret_stands_in_any_state_ever_saved() -> None:
    bench = Bench(ModuleSettings(activation_window_s=60))
    module = bench.module()
    module.initialise(bench.security_officer, bench.domain)
    password = module.create_partition(bench.partition_request())
    module.deactivate()
    module.activate()
    key = derive(bench.node_secret.reveal(), "module/state")  # even to whoever has the node key
    opened = [unseal(key, state, b"module state").reveal() for state in bench.state.saves]
    everything = b"".join(bench.state.saves + opened) + module.export_partition()
    for secret in (bench.security_officer, bench.domain, bench.crypto_user, bench.node_secret, password):
        assert secret.reveal() not in everything


def test_limits_out_of_range_are_refused() -> None:
    for settings in ({"crypto_user_attempts": 0}, {"security_officer_attempts": 101}):
        with pytest.raises(Invalid, match="1 to 100"):
            ModuleSettings(**settings)


def test_role_secrets_of_another_length_are_refused() -> None:
    bench = Bench(crypto_user=Secret(b"1234"))
    module = bench.module()
    module.initialise(bench.security_officer, bench.domain)
    with pytest.raises(Invalid, match="32 bytes"):
        module.create_partition(bench.partition_request())
    with pytest.raises(Invalid, match="32 bytes"):
        Bench(domain=Secret(b"")).module().initialise(new_role_secret(), Secret(b""))
    assert not module.status().initialised


def test_a_restored_copy_of_a_blocked_state_is_a_known_limit() -> None:
    """Nothing in the module itself notices an older state put back; docs/adr/0020 says so and what is for that."""
    bench = Bench(ModuleSettings(crypto_user_attempts=1))
    module = bench.unlocked()
    kept = list(bench.state.saves)
    with pytest.raises(Refused):
        module.login(Role.CRYPTO_USER, new_role_secret())
    with pytest.raises(WrongState):
        bench.module().login(Role.CRYPTO_USER, bench.crypto_user)
    bench.state.saves = kept
    bench.module().login(Role.CRYPTO_USER, bench.crypto_user)


# --------------------------------------------------------------------------------------------------------- its file


def test_the_state_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "module.state"
    file = StateFile(path)
    assert file.load() is None
    for state in (b"first", b"second, and longer"):
        file.save(state)
        assert file.load() == state
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["module.state"]


def test_a_failed_save_leaves_what_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "module.state"
    file = StateFile(path)
    file.save(b"first")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DeviceFault, match="cannot be saved: No space left on device"):
        file.save(b"second")
    assert file.load() == b"first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["module.state"]


def test_a_state_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(DeviceFault, match="cannot be read"):
        StateFile(tmp_path).load()


def test_a_module_lives_in_its_file(tmp_path: Path) -> None:
    bench = Bench()
    bench.state = StateFile(tmp_path / "module.state")  # type: ignore[assignment]  # another store of the same shape
    module = bench.unlocked()
    wrapped = module.wrap_key(Secret(b"k" * 32), b"")
    restarted = bench.module()
    restarted.login(Role.CRYPTO_USER, bench.crypto_user)
    assert restarted.unwrap_key(wrapped, b"").reveal() == b"k" * 32
