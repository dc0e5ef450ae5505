"""What only a token has: a process that can be lost, a PIN that the token judges, keys that cannot be taken out.

Attack class 55 (thread-safety of PKCS#11 token emulation; kill -9 in the middle of a write).
"""

import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from keystead.core.errors import (
    DeviceFault,
    Invalid,
    KeysteadError,
    NotSupported,
    Refused,
    Tampered,
    Unavailable,
    WrongState,
)
from keystead.core.secret import Secret
from keystead.trust.modules import Module, ModuleSettings
from keystead.trust.pkcs11 import modules
from keystead.trust.pkcs11.cryptoki import Cryptoki, CryptokiError
from keystead.trust.pkcs11.names_table import Attribute, KeyType, Mechanism, Returned, Use, User
from keystead.trust.pkcs11.tokens import KEY_LABEL
from keystead.trust.role_tokens import new_role_secret
from keystead.trust.root import Role
from tests.hostile.canaries import Canaries
from tests.support.modules import Bench
from tests.support.opencryptoki import opencryptoki
from tests.support.tokens import TokenBench, softhsm

T = TypeVar("T")
KEY = Secret(bytes(range(32)))
THREADS_COUNT = 32
ROUNDS_COUNT = 40
TURN_S_MAX = 30.0
WAYS_OUT = ((Mechanism.AES_KEY_WRAP, b""), (Mechanism.AES_CBC_PAD, bytes(16)))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[TokenBench]:
    with softhsm(tmp_path) as made:
        yield made


@pytest.fixture(params=[softhsm, opencryptoki], ids=lambda each: each.__name__)
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TokenBench]:
    with request.param(tmp_path) as made:
        yield made


def pid_of(bench: TokenBench) -> int:
    assert bench.engine is not None
    assert bench.engine.pid is not None
    return bench.engine.pid


def await_end_of(pid: int) -> None:
    deadline_s = time.monotonic() + TURN_S_MAX
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


# ------------------------------------------------------------------------------------------------ the process is lost


def test_a_killed_process_is_replaced_and_nobody_notices(either: TokenBench) -> None:
    module = either.unlocked()
    wrapped = module.wrap_key(KEY, b"")
    first = pid_of(either)
    os.kill(first, signal.SIGKILL)
    assert module.unwrap_key(wrapped, b"").matches(KEY)
    assert pid_of(either) != first


def test_the_process_ends_with_the_one_that_asks_it_and_with_no_polite_signal(bench: TokenBench) -> None:
    module = bench.unlocked()
    asked = pid_of(bench)
    for number in (signal.SIGTERM, signal.SIGINT):  # a terminal sends them to everybody, in the middle of a write
        os.kill(asked, number)
    module.wrap_key(KEY, b"")
    assert pid_of(bench) == asked
    assert bench.engine is not None
    assert bench.engine._serving is not None
    bench.engine._serving._end.close()  # what the system does when our process is killed
    await_end_of(asked)


def test_the_process_writes_no_core(bench: TokenBench) -> None:
    bench.unlocked()
    limits = Path(f"/proc/{pid_of(bench)}/limits").read_text().splitlines()
    assert [line.split()[4:6] for line in limits if line.startswith("Max core file size")] == [["0", "0"]]


def test_a_token_that_hangs_costs_its_time_once_and_is_tried_again_later(bench: TokenBench) -> None:
    bench.call_s = 1.0
    module = bench.unlocked()
    wrapped = module.wrap_key(KEY, b"")
    hanging = pid_of(bench)
    os.kill(hanging, signal.SIGSTOP)
    with pytest.raises(DeviceFault, match="no answer within 1 s"):
        module.unwrap_key(wrapped, b"")
    await_end_of(hanging)
    with pytest.raises(DeviceFault, match="tried again in a moment"):
        module.unwrap_key(wrapped, b"")
    assert until_it_works(module, wrapped).matches(KEY)


def until_it_works(module: Module, wrapped: bytes) -> Secret:
    deadline_s = time.monotonic() + TURN_S_MAX
    while True:
        try:
            return module.unwrap_key(wrapped, b"")
        except DeviceFault:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)


def test_a_token_that_is_gone_is_a_device_fault_until_it_is_back(bench: TokenBench, tmp_path: Path) -> None:
    module = bench.unlocked()
    wrapped = module.wrap_key(KEY, b"")
    os.kill(pid_of(bench), signal.SIGKILL)
    (tmp_path / "softhsm").rename(tmp_path / "pulled out")
    (tmp_path / "softhsm").mkdir()
    with pytest.raises(DeviceFault, match="there is no token with the label"):
        module.unwrap_key(wrapped, b"")
    attempts = module.status().attempts_left
    with pytest.raises(DeviceFault):
        module.login(Role.SECURITY_OFFICER, bench.security_officer)
    assert module.status().attempts_left == attempts, "nobody judged"
    (tmp_path / "softhsm").rmdir()
    (tmp_path / "pulled out").rename(tmp_path / "softhsm")
    assert until_it_works(module, wrapped).matches(KEY)


def test_a_library_that_cannot_be_loaded_is_a_device_fault(bench: TokenBench, tmp_path: Path) -> None:
    for library in (tmp_path / "missing.so", Path(__file__)):
        bench.library = str(library)
        with pytest.raises(DeviceFault, match=r"library cannot be loaded; see the system log$"):  # and no path
            bench.module().initialise(bench.security_officer, bench.domain)


def test_a_pin_changed_behind_our_back_locks_and_tells(bench: TokenBench) -> None:
    module = bench.unlocked()
    wrapped = module.wrap_key(KEY, b"")
    heard: list[bool] = []
    module.watch(lambda: heard.append(module.status().activated))
    with token(bench) as (cryptoki, slot):
        session = cryptoki.open_session(slot)
        cryptoki.login(session, User.USER, user_pin(bench))
        cryptoki.set_pin(session, user_pin(bench), b"another PIN")
    os.kill(pid_of(bench), signal.SIGKILL)
    with pytest.raises(Unavailable, match="must log in"):
        module.unwrap_key(wrapped, b"")
    assert heard == [False]
    assert not module.status().activated


@pytest.mark.parametrize("moment_s", [0.0, 0.1, 0.15, 0.2, 0.25, 0.3])
def test_killed_while_it_writes_the_token_is_made_whole_by_the_next_attempt(
    either: TokenBench, moment_s: float
) -> None:
    module = either.module()
    module.initialise(either.security_officer, either.domain)
    killer = threading.Thread(target=kill_soon, args=(moment_s,))
    killer.start()
    try:
        module.create_partition(either.partition_request())
    except DeviceFault:
        assert module.status().attempts_left[Role.SECURITY_OFFICER] == 3, "what nobody judged is not counted"
        fault = begin_again(module, either)
        if fault:  # SoftHSM writes its token's file in place; docs/pkcs11.md says what helps
            assert "there is no token with the label" in fault
            assert "softhsm" in either.library
            return
    finally:
        killer.join()
    assert module.unwrap_key(module.wrap_key(KEY, b""), b"").matches(KEY)
    with token(either) as (cryptoki, slot):
        session = cryptoki.open_session(slot)
        cryptoki.login(session, User.USER, user_pin(either)[: cryptoki.token(slot).pin_characters_max])
        assert len(cryptoki.find(session, {Attribute.LABEL: KEY_LABEL})) == 2


def begin_again(module: Module, bench: TokenBench) -> str:
    """Do what was interrupted; return what the token says if that fails."""
    try:
        if module.status().initialised:  # only its login was lost
            module.login(Role.CRYPTO_USER, bench.crypto_user)
        else:
            module.create_partition(bench.partition_request())
    except DeviceFault as fault:
        return fault.message
    return ""


def kill_soon(moment_s: float) -> None:
    """Kill the first process of the token that is there from some moment on."""
    time.sleep(moment_s)
    deadline_s = time.monotonic() + TURN_S_MAX
    while time.monotonic() < deadline_s:
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process().children():
                if "_token" in child.cmdline():
                    child.kill()
                    return


@contextlib.contextmanager
def token(bench: TokenBench) -> Iterator[tuple[Cryptoki, int]]:
    """The library and the slot of the bench's token, for a look past keystead."""
    cryptoki = Cryptoki(bench.library)
    try:
        yield cryptoki, next(slot for slot in cryptoki.slots() if cryptoki.token(slot).label == bench.label)
    finally:
        cryptoki.finalize()


def user_pin(bench: TokenBench) -> bytes:
    assert bench.engine is not None
    assert bench.engine._opening is not None
    return bench.engine._opening.reveal()


@pytest.mark.row("KS-HSM-011")
def test_a_role_that_the_token_blocked_by_itself_is_not_said_to_be_unblocked(tmp_path: Path) -> None:
    with opencryptoki(tmp_path) as bench:
        module = bench.unlocked()
        for _ in range(3):
            with pytest.raises(Refused):
                module.login(Role.CRYPTO_USER, new_role_secret())
        module.login(Role.SECURITY_OFFICER, bench.security_officer)
        with pytest.raises(WrongState, match="blocked by the token itself"):
            module.unblock()
        with pytest.raises(WrongState, match="blocked by the token itself"):
            module.login(Role.CRYPTO_USER, bench.crypto_user)


# ------------------------------------------------------------------------------------------------------ many at once


def test_many_threads_while_the_process_is_killed_again_and_again(either: TokenBench) -> None:
    module = either.unlocked()
    wrong: list[object] = []
    faults: list[object] = []
    killed: list[int] = []
    done = threading.Event()

    def work(number: int) -> None:
        key = Secret(bytes([number]) * 32)
        deadline_s = time.monotonic() + TURN_S_MAX
        for turn in itertools.count():
            if turn >= ROUNDS_COUNT and (len(set(killed)) > 1 or time.monotonic() > deadline_s):
                return
            context = b"%d/%d" % (number, turn)
            wrapped = patiently(lambda: module.wrap_key(key, context), faults)  # noqa: B023  # called at once
            if not patiently(lambda: module.unwrap_key(wrapped, context), faults).matches(key):  # noqa: B023  # likewise
                wrong.append(context)

    def kill() -> None:
        while not done.wait(0.3):
            with contextlib.suppress(ProcessLookupError, AssertionError):  # between two processes
                killed.append(pid_of(either))
                os.kill(killed[-1], signal.SIGKILL)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS_COUNT)]
    killer = threading.Thread(target=kill)
    for thread in (*threads, killer):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    killer.join()
    assert not wrong
    assert len(set(killed)) > 1
    assert module.status().activated


def patiently(use: Callable[[], T], faults: list[object]) -> T:
    deadline_s = time.monotonic() + TURN_S_MAX
    while True:
        try:
            return use()
        except DeviceFault as fault:
            faults.append(fault)
            assert time.monotonic() < deadline_s
            time.sleep(0.05)


# ------------------------------------------------------------------------------------------------ what the token keeps


@pytest.mark.row("KS-GEN-006", "KS-HSM-001")
def test_the_master_key_cannot_be_taken_out_of_the_token(either: TokenBench) -> None:
    either.unlocked()
    with token(either) as (cryptoki, slot):
        session = cryptoki.open_session(slot)
        assert not cryptoki.find(session, {Attribute.LABEL: KEY_LABEL}), "nobody sees it without the crypto user"
        cryptoki.login(session, User.USER, user_pin(either)[: cryptoki.token(slot).pin_characters_max])
        keys = cryptoki.find(session, {Attribute.LABEL: KEY_LABEL, Attribute.SENSITIVE: True})
        assert len(keys) == 2
        for loose in (Attribute.EXTRACTABLE, Attribute.WRAP, Attribute.UNWRAP, Attribute.DERIVE):
            assert not cryptoki.find(session, {Attribute.LABEL: KEY_LABEL, loose: True})
        ours: dict[Attribute, bool | int | bytes] = {
            Attribute.CLASS: 4,
            Attribute.KEY_TYPE: KeyType.AES,
            Attribute.WRAP: True,
            Attribute.VALUE: bytes(32),
        }
        wrapping = cryptoki.create(session, ours)
        ways = [way for way in WAYS_OUT if cryptoki.can(slot, way[0], Use.WRAP)]
        assert ways
        for key, way in itertools.product(keys, ways):
            with pytest.raises(CryptokiError) as caught:
                cryptoki.wrap(session, way, wrapping, key)
            assert caught.value.value == Returned.KEY_UNEXTRACTABLE


@pytest.mark.row("KS-HSM-007")
def test_the_pin_needs_the_generated_password_too(bench: TokenBench) -> None:
    module = bench.module()
    module.initialise(bench.security_officer, bench.domain)
    password = module.create_partition(bench.partition_request())
    before = user_pin(bench)
    changed = module.set_password()
    module.enter_password(password)  # the old one
    with pytest.raises(Refused):
        module.login(Role.CRYPTO_USER, bench.crypto_user)
    module.enter_password(changed)
    module.login(Role.CRYPTO_USER, bench.crypto_user)
    assert user_pin(bench) == before


def test_a_new_secret_keeps_the_partition_active_and_its_window_open(bench: TokenBench) -> None:
    bench.settings = ModuleSettings(activation_window_s=60)
    module = bench.unlocked()
    wrapped = module.wrap_key(KEY, b"")
    module.change_secret(Role.CRYPTO_USER, bench.crypto_user, new_role_secret())
    os.kill(pid_of(bench), signal.SIGKILL)
    assert module.unwrap_key(wrapped, b"").matches(KEY)
    restarted = bench.module()
    assert restarted.resume()
    assert restarted.unwrap_key(wrapped, b"").matches(KEY)


def test_a_token_in_use_is_never_initialised_again(bench: TokenBench) -> None:
    bench.unlocked()
    second = bench.another()
    second.label = bench.label
    with pytest.raises(WrongState, match="in use; choose another label"):
        second.module().initialise(second.security_officer, second.domain)
    assert bench.module().status().initialised


def test_a_partition_does_not_move_between_kinds_of_modules(bench: TokenBench) -> None:
    exported = {"software": Bench().unlocked().export_partition(), "pkcs11": bench.unlocked().export_partition()}
    for target, kind in ((bench.another(), "software"), (Bench(), "pkcs11")):
        module = target.module()
        module.initialise(target.security_officer, target.domain)
        with pytest.raises(Invalid, match="another kind of module"):
            module.create_partition(target.partition_request(exported[kind]))


def test_a_partition_whose_wrapping_the_other_token_lacks_is_refused_and_says_why(tmp_path: Path) -> None:
    with opencryptoki(tmp_path) as first:
        exported = first.unlocked().export_partition()
    with softhsm(tmp_path) as second:
        second.domain = first.domain
        module = second.module()
        module.initialise(second.security_officer, second.domain)
        with pytest.raises(NotSupported, match="cannot unwrap by CKM_AES_CBC_PAD"):
            module.create_partition(second.partition_request(exported))


# ------------------------------------------------------------------------------------------------------------ secrets


def test_no_secret_is_in_arguments_environment_files_state_or_output(
    bench: TokenBench, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shown: list[bytes] = []
    done = threading.Event()
    watcher = threading.Thread(target=watch_processes, args=(shown, done))
    watcher.start()
    said = []
    bench.settings = ModuleSettings(activation_window_s=60)
    module = bench.module()
    module.initialise(bench.security_officer, bench.domain)
    password = module.create_partition(bench.partition_request())
    wrapped = module.wrap_key(KEY, b"")
    for wrong in (
        lambda: module.login(Role.CRYPTO_USER, bench.security_officer),
        lambda: module.login(Role.SECURITY_OFFICER, bench.crypto_user),
        lambda: module.unwrap_key(wrapped, b"elsewhere"),
    ):
        with pytest.raises(KeysteadError) as caught:
            wrong()
        said.append(repr(caught.value).encode())
    done.set()
    watcher.join()
    canaries = Canaries(
        {
            "security officer": bench.security_officer.reveal(),
            "domain": bench.domain.reveal(),
            "crypto user": bench.crypto_user.reveal(),
            "password": password.reveal(),
            "user's PIN": user_pin(bench),
            "officer's PIN": modules._officer_pin(bench.security_officer).reveal(),
            "key": KEY.reveal(),
        }
    )
    (tmp_path / "saved").write_bytes(b"".join(bench.state.saves) + module.export_partition() + wrapped)
    assert canaries.in_files(tmp_path) == []
    assert len(shown) > 2, "processes were seen at work"
    output = "".join(capfd.readouterr()).encode()
    assert canaries.inside(b"\n".join([*shown, *said, output])) == []


def watch_processes(shown: list[bytes], done: threading.Event) -> None:
    """Keep arguments and environment of every child that is seen."""
    while not done.wait(0.01):
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error, OSError):
                shown.append(Path(f"/proc/{child.pid}/cmdline").read_bytes())
                shown.append(Path(f"/proc/{child.pid}/environ").read_bytes())


def test_it_says_what_it_is(bench: TokenBench) -> None:
    assert bench.module().status().kind == "pkcs11"


def test_a_damaged_wrapped_key_is_refused_before_the_token_is_asked(bench: TokenBench) -> None:
    module = bench.unlocked()
    with pytest.raises(Tampered, match="unknown form"):
        module.unwrap_key(Bench().unlocked().wrap_key(KEY, b""), b"")
