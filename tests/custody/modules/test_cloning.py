import io
from pathlib import Path

import pytest

from keystead.core.errors import Refused, TooLarge, Unavailable, WrongState
from keystead.core.secret import Secret
from keystead.custody.modules import cloning
from keystead.custody.modules.cloning import Source, Target, same_key
from keystead.custody.modules.messages import Options
from keystead.custody.modules.pins import PinPolicy
from keystead.custody.modules.state import Mode, Slot
from tests.support.secure_modules import ADMINISTRATOR, DESTROY, USER, Workshop, carried, cloned


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.mark.row("CA-001", "CA-028")
def test_a_clone_has_the_key_all_pins_and_settings_and_reads_the_sources_files(workshop: Workshop) -> None:
    source, target = workshop.source(), workshop.module("TARGET")
    source.set_policy(PinPolicy(8))
    source.set_mode(Mode.ECB, legacy_ecb=True)
    secret, clear = io.BytesIO(), io.BytesIO()
    source.encrypt(io.BytesIO(b"for all of us" * 9999), secret)
    cloned(source, target)
    for pin, slot in ((USER, Slot.USER), (ADMINISTRATOR, Slot.ADMINISTRATOR)):
        assert target.unlock(pin) is slot
    assert target.key().matches(source.key())
    assert (target.state.auto_lock_min, target.state.policy, target.state.mode) == (15, PinPolicy(8), Mode.ECB)
    secret.seek(0)
    target.decrypt(secret, clear)
    assert clear.getvalue() == b"for all of us" * 9999
    back, read = io.BytesIO(), io.BytesIO()
    target.encrypt(io.BytesIO(b"and back"), back)
    back.seek(0)
    source.decrypt(back, read)
    assert read.getvalue() == b"and back"


@pytest.mark.row("CA-024")
def test_the_self_destruct_pin_is_cloned_too(workshop: Workshop) -> None:
    source, target = workshop.source(), workshop.module("TARGET")
    cloned(source, target)
    assert target.unlock(DESTROY) is Slot.SELF_DESTRUCT
    assert not target.state.holds_key
    assert source.state.holds_key


@pytest.mark.row("CA-016", "CA-017")
@pytest.mark.parametrize("auto_lock", [True, False])
@pytest.mark.parametrize("policy", [True, False])
def test_auto_lock_and_policy_are_copied_if_ticked(workshop: Workshop, auto_lock: bool, policy: bool) -> None:
    source, target = workshop.source(), workshop.module("TARGET")
    source.set_policy(PinPolicy(8))
    cloned(source, target, Options(auto_lock, policy))
    assert target.state.auto_lock_min == (15 if auto_lock else None)
    assert target.state.policy == (PinPolicy(8) if policy else None)


@pytest.mark.row("CA-018")
@pytest.mark.parametrize("ends_by", ["the coordinator", "locking", "a crash"])
def test_cloning_goes_off_in_the_source_after_the_cycle_if_ticked(workshop: Workshop, ends_by: str) -> None:
    source = workshop.source()
    for serial in ("FIRST", "SECOND"):  # the cycle has several targets
        cloned(source, workshop.module(serial), Options(disable_source=True))
    if ends_by == "the coordinator":
        source.end_cycle()
    elif ends_by == "locking":
        source.lock()
    else:
        source = workshop.again(source)
    source.unlock(ADMINISTRATOR)
    with pytest.raises(Refused, match="switched off"):
        Source(source, Options())
    source.set_cloning(enabled=True)
    cloned(source, workshop.module("THIRD"))
    source.end_cycle()
    assert source.state.cloning  # not ticked: clone more


@pytest.mark.row("CA-018")
def test_a_cycle_without_success_leaves_cloning_on(workshop: Workshop) -> None:
    source = workshop.source()
    Source(source, Options(disable_source=True))
    source.end_cycle()
    assert source.state.cloning


@pytest.mark.row("CA-021")
def test_a_clone_may_be_cloned_if_cloning_is_switched_on_in_it(workshop: Workshop) -> None:
    source, target, grandchild = workshop.source(), workshop.module("TARGET"), workshop.module("GRANDCHILD")
    cloned(source, target)
    target.unlock(ADMINISTRATOR)
    with pytest.raises(Refused, match="switched off"):
        Source(target, Options())
    target.set_cloning(enabled=True)
    cloned(target, grandchild)
    assert same_key(source.state, grandchild.state)
    assert (target.state.copied_from, grandchild.state.copied_from) == ("SOURCE", "TARGET")


@pytest.mark.row("CA-014")
def test_a_source_must_be_unlocked_by_its_administrator(workshop: Workshop) -> None:
    source = workshop.source()
    source.lock()
    with pytest.raises(Unavailable):
        Source(source, Options())
    source.unlock(USER)
    with pytest.raises(Refused, match="administrator"):
        Source(source, Options())


def test_a_source_that_is_locked_meanwhile_gives_nothing(workshop: Workshop) -> None:
    source, target = workshop.source(), workshop.module("TARGET")
    sides = Source(source, Options()), Target(target, replace=False)

    def lock(step: int, data: bytes) -> bytes:
        if step == 4:
            source.lock()
        return data

    with pytest.raises(Unavailable):
        carried(*sides, lock)
    assert not target.state.holds_key


@pytest.mark.row("CA-032")
def test_what_a_target_holds_is_replaced_only_when_confirmed_by_its_administrator(workshop: Workshop) -> None:
    source, target = workshop.source(), workshop.source("TARGET")
    old = target.key()
    with pytest.raises(Refused, match="confirm"):
        Target(target, replace=False)
    target.lock()
    with pytest.raises(Unavailable):
        Target(target, replace=True)
    target.unlock(USER)
    with pytest.raises(Refused, match="administrator"):
        Target(target, replace=True)
    target.unlock(ADMINISTRATOR)
    cloned(source, target, replace=True)
    target.unlock(ADMINISTRATOR)
    assert target.key().matches(source.key())
    assert not target.key().matches(old)


def test_an_empty_module_cannot_be_a_source(workshop: Workshop) -> None:
    with pytest.raises(Unavailable):
        Source(workshop.module("EMPTY"), Options())


@pytest.mark.row("CA-008")
@pytest.mark.parametrize("digits", [7, 15])
def test_whoever_carries_the_bytes_learns_nothing_and_no_length_tells_a_pins(workshop: Workshop, digits: int) -> None:
    source = workshop.source()
    pins = [Secret(bytes([0x30 + (start + 3 * place) % 10 for place in range(digits)])) for start in (1, 4, 8)]
    source.set_administrator_pin(pins[0])
    source.set_user_pin(pins[1])
    source.set_self_destruct_pin(pins[2])
    seen = carried(Source(source, Options()), Target(workshop.module("TARGET"), replace=False))
    everything = b"".join(seen)
    assert [len(data) for data in seen[3:]] == [24_620] * 4  # what comes before is TLS's own, before any secret
    for pin in pins:
        assert pin.reveal() not in everything
    secrets = [source.key(), source.device.origin.secret, source.device.recipient.secret, Secret(source.state.lineage)]
    for secret in secrets:
        value = secret.reveal()
        assert not any(value[start : start + 8] in everything for start in range(len(value) - 7))
    assert not any(slot[:16] in everything for slot in source.state.slots.values())


@pytest.mark.row("CA-004", "CA-006")
def test_modules_speak_tls_1_3_with_fresh_keys(workshop: Workshop) -> None:
    source = workshop.source()
    seen = [
        carried(Source(source, Options()), Target(workshop.module(serial), replace=False))
        for serial in ("FIRST", "SECOND")
    ]
    hello = seen[0][0]
    assert hello[0] == 0x16  # a TLS handshake
    assert b"\x00\x2b\x00\x03\x02\x03\x04" in hello  # supported_versions: TLS 1.3 and nothing else
    for one, other in zip(*seen, strict=True):
        assert one[200:264] != other[200:264]


def test_a_cloning_ends_once(workshop: Workshop) -> None:
    source, target = Source(workshop.source(), Options()), Target(workshop.module("TARGET"), replace=False)
    carried(source, target)
    for side in (source, target):
        with pytest.raises(WrongState, match="ended"):
            side.receive(b"more")


def test_a_person_chooses_the_target_at_the_source(workshop: Workshop) -> None:
    source, target = workshop.source(), workshop.module("TARGET")
    with pytest.raises(Refused, match="another module"):
        carried(Source(source, Options(), "OTHER"), Target(target, replace=False))
    carried(Source(source, Options(), "TARGET"), Target(target, replace=False))
    assert same_key(source.state, target.state)


def test_more_bytes_than_a_cloning_needs_are_refused(workshop: Workshop) -> None:
    target = Target(workshop.module("TARGET"), replace=False)
    target.start()
    with pytest.raises(TooLarge, match="more than a cloning needs"):
        target.receive(bytes(300_000))


@pytest.mark.row("CA-002")
def test_the_key_and_the_pins_do_not_leave_even_inside_the_envelope(workshop: Workshop) -> None:
    source = workshop.source()
    content = cloning._content(source.state, Options()).reveal()
    assert source.state.check in content
    for pin in (ADMINISTRATOR, USER, DESTROY):
        assert pin.reveal() not in content
    key = source.key().reveal()
    assert not any(key[start : start + 8] in content for start in range(25))
