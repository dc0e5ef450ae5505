"""A lying coordinator, a rogue module, a replay: no secret moves, no target changes (attacks.md class 49)."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystead.core.errors import Invalid, KeysteadError, Refused, Tampered
from keystead.core.secret import Secret
from keystead.custody.modules import cloning, messages
from keystead.custody.modules.channel import Channel
from keystead.custody.modules.cloning import Source, Target
from keystead.custody.modules.manufacture import new_root, revoke
from keystead.custody.modules.messages import Options, Said
from keystead.custody.modules.module import SecureModule
from tests.support.secure_modules import ADMINISTRATOR, Workshop, carried

STEPS = 6
DAYS = 86_400


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What a source sealed, that is: whether a secret moved."""
    sealed: list[bytes] = []
    content = cloning._content

    def watch(*arguments: Any) -> Any:
        sealed.append(b"moved")
        return content(*arguments)

    monkeypatch.setattr(cloning, "_content", watch)
    return sealed


def sides(source: SecureModule, target: SecureModule) -> tuple[Source, Target]:
    return Source(source, Options()), Target(target, replace=False)


def refused(source: SecureModule, target: SecureModule, why: str = "") -> None:
    """A cloning that fails with a clear error and leaves the target as it was."""
    with pytest.raises(KeysteadError, match=why):
        carried(*sides(source, target))
    assert not target.state.holds_key


def fed(side: Source | Target, recorded: Sequence[bytes]) -> None:
    for data in recorded:
        side.receive(data)


# --------------------------------------------------------------------------------------------- who is not genuine


@pytest.mark.row("CA-005", "CA-033")
def test_a_module_of_another_root_is_refused_before_a_secret_moves(workshop: Workshop, watched: list[bytes]) -> None:
    foreign = new_root("Foreign root", workshop.clock())
    refused(workshop.source(), workshop.module("TARGET", foreign), "not genuine")
    assert watched == []


@pytest.mark.row("CA-033")
def test_a_source_of_another_root_is_refused_by_the_target(workshop: Workshop) -> None:
    foreign = Workshop(workshop.folder / "elsewhere", workshop.clock)
    foreign.folder.mkdir(exist_ok=True)
    refused(foreign.source(), workshop.module("TARGET"), "not genuine")


@pytest.mark.row("CA-033")
def test_a_module_with_the_sources_serial_is_refused(workshop: Workshop, watched: list[bytes]) -> None:
    refused(workshop.source(), workshop.module("SOURCE", place="twin"), "same serial")
    assert watched == []


@pytest.mark.row("CA-033")
def test_a_revoked_module_is_refused_by_both(workshop: Workshop, watched: list[bytes]) -> None:
    source, target = workshop.source(), workshop.module("TARGET")
    source.learn_revocations(revoke(workshop.root, 1, ["TARGET"]))
    refused(source, target, "revoked")
    other = workshop.source("OTHER")
    other_target = workshop.module("T2")
    other_target.learn_revocations(revoke(workshop.root, 1, ["OTHER"]))
    refused(other, other_target, "revoked")
    assert watched == []


def test_an_older_revocation_list_is_refused(workshop: Workshop) -> None:
    source = workshop.source()
    source.learn_revocations(revoke(workshop.root, 2, ["TARGET"]))
    with pytest.raises(Refused, match="older"):
        source.learn_revocations(revoke(workshop.root, 1, []))
    with pytest.raises(Tampered):
        source.learn_revocations(revoke(new_root("Foreign", 1), 3, []))
    assert workshop.again(source).state.revoked == {"TARGET"}


@pytest.mark.row("CA-033")
@pytest.mark.parametrize("days", [-1, 3651])
def test_an_expired_identity_is_refused(workshop: Workshop, watched: list[bytes], days: int) -> None:
    source = workshop.source()
    target = workshop.module("TARGET")
    workshop.clock.pass_s(days * DAYS)
    source.set_auto_lock(None) if days < 0 else source.unlock(ADMINISTRATOR)
    refused(source, target, "expired|not genuine")
    assert watched == []


def test_an_identity_belongs_to_its_certificate(workshop: Workshop, watched: list[bytes]) -> None:
    """A genuine module shows the identity of another genuine one."""
    source, target, other = workshop.source(), workshop.module("TARGET"), workshop.module("OTHER")
    object.__setattr__(target.device, "identity", other.device.identity)
    refused(source, target, "does not belong")
    assert watched == []


# ------------------------------------------------------------------------------------------- a coordinator that lies


@pytest.mark.row("CA-008")
@pytest.mark.parametrize("step", range(STEPS))
@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"\0",
        lambda data: data[:70] + bytes([data[70] ^ 1]) + data[71:],
        lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        lambda data: data + data,
    ],
    ids=["truncated", "halved", "appended", "changed", "changed at the end", "repeated"],
)
def test_changed_carriage_is_noticed_and_changes_nothing_by_halves(
    workshop: Workshop, step: int, change: Callable[[bytes], bytes]
) -> None:
    source, target = workshop.source(), workshop.module("TARGET")

    def lie(now: int, data: bytes) -> bytes:
        return change(data) if now == step else data

    source_side, target_side = sides(source, target)
    with suppress(KeysteadError):
        carried(source_side, target_side, lie)
    if target.state.holds_key:
        assert cloning.same_key(source.state, target.state)  # whole, or not at all
    if source_side.is_finished:
        assert target_side.is_finished  # "cloned" is never said of what is not


def test_a_recorded_cloning_cannot_be_played_again(workshop: Workshop) -> None:
    source, target = workshop.source(), workshop.module("TARGET")
    seen = carried(*sides(source, target))
    second = workshop.module("SECOND")
    replayed = Target(second, replace=False)
    replayed.start()
    with pytest.raises(Refused):
        fed(replayed, seen[1::2])
    assert not second.state.holds_key
    fresh = Source(source, Options())
    with pytest.raises(KeysteadError):
        fed(fresh, seen[0::2])
    assert not fresh.is_finished


@pytest.mark.parametrize("step", [1, 3])
def test_a_target_cannot_be_swapped_on_the_way(workshop: Workshop, step: int) -> None:
    source, chosen, other = workshop.source(), workshop.module("CHOSEN"), workshop.module("OTHER")
    source_side, first = sides(source, chosen)
    second = Target(other, replace=False)
    second.start()
    data = first.start()

    def swapping() -> None:
        carriage = data
        for now in range(STEPS):
            carriage = (source_side, first if now < step else second)[now % 2].receive(carriage)

    with pytest.raises(KeysteadError):
        swapping()
    assert not other.state.holds_key
    assert not chosen.state.holds_key


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> SecureModule:
    return Workshop(tmp_path_factory.mktemp("device")).module("M")


@given(st.binary(max_size=3000))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_a_clear_error(module: SecureModule, data: bytes) -> None:
    for is_target in (True, False):
        side = Channel(module.device, module.root, is_target=is_target)
        side.start()
        with suppress(KeysteadError):
            side.receive(data)


# --------------------------------------------------------------------------- genuine modules that say something else


class Liar:
    """Says another message than the protocol has, in one place."""

    def __init__(self, said: Said, change: Callable[[dict[str, Any]], None]) -> None:
        self._said, self._change = said, change
        self._packed = messages.packed

    def packed(self, said: Said, fields: dict[str, Any]) -> bytes:
        """Stand in for messages.packed."""
        message = self._packed(said, fields)
        if said is not self._said:
            return message
        length = int.from_bytes(message[:4], "big")
        changed = cbor2.loads(message[4 : 4 + length])
        self._change(changed)
        encoded = cbor2.dumps(changed, canonical=True)
        return (len(encoded).to_bytes(4, "big") + encoded).ljust(messages.MESSAGE_BYTES, b"\0")


LIES: list[tuple[Said, str, Callable[[dict[str, Any]], None]]] = [
    (Said.HELLO, "suite 0", lambda fields: fields.update(suite=0)),
    (Said.HELLO, "has to come", lambda fields: fields.update(said="ready")),
    (Said.HELLO, "nonce", lambda fields: fields.update(nonce=b"short")),
    (Said.HELLO, "form", lambda fields: fields.update(identity=b"")),
    (Said.OFFER, "suite 2", lambda fields: fields.update(suite=2)),
    (Said.OFFER, "identity", lambda fields: fields.pop("identity")),
    (Said.READY, "signature", lambda fields: fields.update(signature=bytes(3373))),
    (Said.READY, "signature", lambda fields: fields.update(signature=b"")),
    (Said.CLONE, "envelope", lambda fields: fields.update(envelope=b"nothing")),
    (Said.DONE, "signature", lambda fields: fields.update(signature=bytes(3373))),
]


@pytest.mark.parametrize(("said", "why", "change"), LIES)
def test_each_lie_of_a_genuine_module_is_refused(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, said: Said, why: str, change: Callable[[dict[str, Any]], None]
) -> None:
    source, target = workshop.source(), workshop.module("TARGET")
    source_side, target_side = sides(source, target)
    monkeypatch.setattr(cloning, "packed", Liar(said, change).packed)
    with pytest.raises(KeysteadError, match=why):
        carried(source_side, target_side)
    assert not source_side.is_finished
    assert target.state.holds_key == (said is Said.DONE)


def test_an_envelope_of_another_cloning_is_refused(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A genuine source sends what it sealed for this very target in an earlier run."""
    source, target = workshop.source(), workshop.module("TARGET")
    kept: list[bytes] = []
    packed = messages.packed

    def keep(said: Said, fields: dict[str, Any]) -> bytes:
        if said is Said.CLONE:
            kept.append(fields["envelope"])
            fields = {"envelope": kept[0]}
        return packed(said, fields)

    monkeypatch.setattr(cloning, "packed", keep)
    carried(*sides(source, target))
    target.destroy()
    with pytest.raises(Tampered, match="another cloning"):
        carried(*sides(source, target))
    assert not target.state.holds_key


def test_a_message_is_refused_if_its_padding_says_something() -> None:
    message = messages.packed(Said.DONE, {"signature": b""})
    messages.unpacked(message, Said.DONE)
    for broken in (message[:-1] + b"x", message[:-1], message + b"\0", bytes(messages.MESSAGE_BYTES), b""):
        with pytest.raises(Invalid):
            messages.unpacked(broken, Said.DONE)


@pytest.mark.parametrize(
    "change",
    [
        {"auto_lock_min": "x"},
        {"auto_lock_min": 4},
        {"attempts_left": -1},
        {"lineage": b"short"},
        {"salt": 7},
        {"slots": {"nobody": b""}},
        {"slots": {"user": 5}},
        {"policy": ["x", True]},
        {"policy": [6, True]},
        {"mode": "ROT13"},
        {"cloning": "yes"},
        {"copied_from": 5},
        {"format": 2},
        {"more": 1},
    ],
)
def test_a_source_that_went_mad_cannot_spoil_a_target(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    source, target = workshop.source(), workshop.module("TARGET")
    content = cloning._content

    def spoilt(*arguments: Any) -> Secret:
        data = content(*arguments).reveal()
        fields = cbor2.loads(data[4 : 4 + int.from_bytes(data[:4], "big")])
        encoded = cbor2.dumps(fields | change, canonical=True)
        return Secret((len(encoded).to_bytes(4, "big") + encoded).ljust(cloning.CLONE_BYTES_MAX, b"\0"))

    monkeypatch.setattr(cloning, "_content", spoilt)
    refused(source, target, "breaks its form|digits at least")
    workshop.again(target).set_up(ADMINISTRATOR)
