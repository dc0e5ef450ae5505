from collections.abc import Callable
from pathlib import Path

import pytest

from keystead.core.errors import Invalid, KeysteadError, Refused, Tampered, Unavailable, WrongState
from keystead.core.secret import Secret
from keystead.custody.modules.module import SecureModule
from keystead.custody.modules.pins import PinPolicy
from keystead.custody.modules.state import ATTEMPTS_COUNT, Mode, Slot
from tests.support.secure_modules import ADMINISTRATOR, DESTROY, USER, Workshop

WRONG = Secret(b"11223344")


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def module(workshop: Workshop) -> SecureModule:
    return workshop.source()


@pytest.mark.row("CA-013")
@pytest.mark.parametrize(
    "pin", [b"", b"123456", b"1234567890123456", b"123456a", b"12345678 ", "１２３４５６７".encode()]
)
def test_a_pin_has_seven_to_fifteen_digits(module: SecureModule, pin: bytes) -> None:
    with pytest.raises(Invalid, match="7 to 15 digits"):
        module.unlock(Secret(pin))
    with pytest.raises(Invalid):
        module.set_administrator_pin(Secret(pin))
    assert module.state.attempts_left == ATTEMPTS_COUNT  # a typing error of that kind costs nothing


@pytest.mark.row("CA-013")
@pytest.mark.parametrize("pin", [b"8301746", b"830174629510384"])
def test_a_module_is_used_only_after_its_pin(workshop: Workshop, module: SecureModule, pin: bytes) -> None:
    module.set_user_pin(Secret(pin))
    again = workshop.again(module)
    with pytest.raises(Unavailable):
        again.key()
    assert again.unlock(Secret(pin)) is Slot.USER
    assert again.key().matches(module.key())
    again.lock()
    with pytest.raises(Unavailable):
        again.key()


def test_each_pin_says_whose_it_is(module: SecureModule) -> None:
    assert module.unlock(USER) is Slot.USER
    assert module.unlock(ADMINISTRATOR) is Slot.ADMINISTRATOR


@pytest.mark.row("CA-022", "CA-034")
@pytest.mark.parametrize(
    "act",
    [
        lambda module: module.set_policy(None),
        lambda module: module.set_auto_lock(None),
        lambda module: module.set_cloning(enabled=True),
        lambda module: module.set_mode(Mode.XTS),
        lambda module: module.set_administrator_pin(WRONG),
        lambda module: module.set_self_destruct_pin(WRONG),
        lambda module: module.check_source(),
    ],
)
def test_only_the_administrator_prepares_a_module(module: SecureModule, act: Callable[[SecureModule], None]) -> None:
    act(module)
    if module.who() is not Slot.ADMINISTRATOR:
        module.unlock(ADMINISTRATOR)
    module.unlock(USER)
    with pytest.raises(Refused, match="administrator"):
        act(module)
    module.lock()
    with pytest.raises(Unavailable):
        act(module)


@pytest.mark.row("CA-022")
def test_what_the_administrator_prepared_stays(workshop: Workshop, module: SecureModule) -> None:
    module.set_policy(PinPolicy(9))
    state = workshop.again(module).state
    assert (state.auto_lock_min, state.policy, state.cloning, state.mode) == (15, PinPolicy(9), True, Mode.XTS)
    assert set(state.slots) == set(Slot)


def test_a_wrong_pin_is_counted_durably_before_it_is_judged(workshop: Workshop, module: SecureModule) -> None:
    with pytest.raises(Refused, match="attempts left: 9"):
        module.unlock(WRONG)
    again = workshop.again(module)
    assert again.state.attempts_left == ATTEMPTS_COUNT - 1
    again.unlock(USER)
    assert workshop.again(module).state.attempts_left == ATTEMPTS_COUNT


def test_ten_wrong_pins_in_a_row_destroy_the_key(workshop: Workshop, module: SecureModule) -> None:
    for _ in range(ATTEMPTS_COUNT - 1):
        with pytest.raises(Refused):
            module.unlock(WRONG)
    with pytest.raises(Refused, match="destroyed"):
        workshop.again(module).unlock(WRONG)
    again = workshop.again(module)
    assert not again.state.holds_key
    with pytest.raises(WrongState, match="empty"):
        again.unlock(ADMINISTRATOR)


@pytest.mark.row("CA-024")
def test_the_self_destruct_pin_destroys_key_and_pins_at_once(workshop: Workshop, module: SecureModule) -> None:
    sealed = [bytes(slot) for slot in module.state.slots.values()]
    assert workshop.again(module).unlock(DESTROY) is Slot.SELF_DESTRUCT
    again = workshop.again(module)
    for pin in (ADMINISTRATOR, USER, DESTROY):
        with pytest.raises(WrongState):
            again.unlock(pin)
    assert not again.state.slots
    left = b"".join(path.read_bytes() for path in (workshop.folder / "SOURCE").iterdir())
    assert not any(slot[:16] in left for slot in sealed)
    again.set_up(ADMINISTRATOR)  # only a new set-up helps
    assert not again.key().matches(Secret(bytes(32)))


@pytest.mark.row("CA-024")
def test_a_self_destruct_pin_is_no_other_pin_and_can_be_taken_away(module: SecureModule) -> None:
    for pin in (ADMINISTRATOR, USER):
        with pytest.raises(Invalid, match="in use"):
            module.set_self_destruct_pin(pin)
    module.set_self_destruct_pin(None)
    with pytest.raises(Refused):
        module.unlock(DESTROY)


@pytest.mark.row("CA-025")
def test_auto_lock_is_off_at_first_and_takes_five_to_ninety_nine_minutes(workshop: Workshop) -> None:
    module = workshop.module("M")
    module.set_up(ADMINISTRATOR)
    assert module.state.auto_lock_min is None
    workshop.clock.pass_s(10**7)
    assert module.who() is Slot.ADMINISTRATOR
    for minutes in (5, 99, None):
        module.set_auto_lock(minutes)
    for minutes in (4, 100, 0, -5):
        with pytest.raises(Invalid, match="5 to 99"):
            module.set_auto_lock(minutes)


@pytest.mark.row("CA-025")
def test_auto_lock_locks_what_is_left_alone_and_use_puts_it_off(workshop: Workshop, module: SecureModule) -> None:
    for _ in range(3):
        workshop.clock.pass_s(14 * 60)
        module.key()
    workshop.clock.pass_s(15 * 60)
    assert module.who() is None
    with pytest.raises(Unavailable):
        module.key()


@pytest.mark.row("CA-026")
@pytest.mark.parametrize(
    ("policy", "pin", "why"),
    [
        (PinPolicy(10), b"830174629", "10 digits"),
        (PinPolicy(), b"7777777", "repeated"),
        (PinPolicy(), b"2345678", "count"),
        (PinPolicy(), b"8901234", "count"),
        (PinPolicy(), b"9876543", "count"),
    ],
)
def test_the_policy_restricts_users_pins(module: SecureModule, policy: PinPolicy, pin: bytes, why: str) -> None:
    module.set_policy(policy)
    with pytest.raises(Invalid, match=why):
        module.set_user_pin(Secret(pin))
    module.unlock(USER)
    with pytest.raises(Invalid, match=why):
        module.set_user_pin(Secret(pin))
    module.set_user_pin(Secret(b"8301746295"))
    module.unlock(ADMINISTRATOR)
    module.set_policy(None)
    module.set_user_pin(Secret(pin))


@pytest.mark.row("CA-026")
@pytest.mark.parametrize("digits", [6, 16])
def test_a_policy_asks_for_seven_to_fifteen_digits(digits: int) -> None:
    with pytest.raises(Invalid):
        PinPolicy(digits)


@pytest.mark.row("CA-027")
def test_cloning_is_off_at_first_and_can_be_switched(workshop: Workshop) -> None:
    module = workshop.module("M")
    module.set_up(ADMINISTRATOR)
    for enabled in (False, True, False):
        if module.state.cloning is not enabled:
            module.set_cloning(enabled=enabled)
        if enabled:
            module.check_source()
        else:
            with pytest.raises(Refused, match="switched off"):
                module.check_source()


def test_a_module_that_holds_a_key_is_not_set_up_anew_by_a_stranger(module: SecureModule) -> None:
    module.lock()
    with pytest.raises(WrongState):
        module.set_up(WRONG)
    module.unlock(USER)
    with pytest.raises(WrongState):
        module.set_up(WRONG)


# ------------------------------------------------------------------------------------------------------ at rest


def test_no_pin_and_no_key_lies_in_the_folder(workshop: Workshop, module: SecureModule) -> None:
    data = b"".join(path.read_bytes() for path in workshop.folder.rglob("*") if path.is_file())
    for pin in (ADMINISTRATOR, USER, DESTROY):
        assert pin.reveal() not in data
    key = module.key().reveal()
    assert not any(key[start : start + 8] in data for start in range(25))


def test_an_older_memory_put_back_is_refused(workshop: Workshop, module: SecureModule) -> None:
    path = workshop.folder / "SOURCE" / "module.state"
    before = path.read_bytes()
    with pytest.raises(Refused):
        module.unlock(WRONG)
    path.write_bytes(before)
    with pytest.raises(Tampered, match="older"):
        workshop.again(module)
    path.unlink()
    with pytest.raises(Tampered, match="missing"):
        workshop.again(module)


@pytest.mark.parametrize("name", ["SOURCE/module.state", "SOURCE.key.witness"])
def test_changed_files_are_refused(workshop: Workshop, module: SecureModule, name: str) -> None:
    path = workshop.folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(Tampered):
        workshop.again(module)


def test_another_modules_memory_is_refused(workshop: Workshop, module: SecureModule) -> None:
    other = workshop.source("OTHER")
    (workshop.folder / "OTHER" / "module.state").write_bytes((workshop.folder / "SOURCE" / "module.state").read_bytes())
    with pytest.raises(KeysteadError):
        workshop.again(other)
