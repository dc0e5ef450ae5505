import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.clients.coordinator import relay
from keystead.clients.coordinator.registry import Desk, Registry
from keystead.core.errors import Exists, Invalid, NotFound, Refused, WrongState
from keystead.core.secret import Secret
from keystead.custody.modules.messages import Options
from tests.support.modules import SetClock
from tests.support.secure_modules import ADMINISTRATOR, DESTROY, USER, Fleet, fleet

NEW_PIN = Secret(b"52718093")


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet")) as made:
        made.source("SOURCE")
        yield made


@pytest.fixture
def enrolled(tmp_path: Path) -> tuple[Registry, Secret]:
    desk = Desk(tmp_path / "desk", SetClock())
    issued = desk.issue()
    desk.confirm(issued.token)
    registry = Registry(tmp_path / "coordinator")
    registry.register(desk, issued.number, issued.pin)
    return registry, issued.pin


# -------------------------------------------------------------------------------------------------------- enrolment


@pytest.mark.row("CA-009", "CA-010")
def test_a_coordinator_is_enrolled_by_number_pin_and_a_link_that_works_once(tmp_path: Path) -> None:
    desk, registry = Desk(tmp_path / "desk", SetClock()), Registry(tmp_path / "coordinator")
    issued = desk.issue()
    assert re.fullmatch(r"\d{4}-\d{4}-\d{4}", issued.number)
    with pytest.raises(WrongState, match="not confirmed"):
        registry.register(desk, issued.number, issued.pin)
    assert desk.confirm(issued.token) == issued.number
    with pytest.raises(NotFound, match="used already"):
        desk.confirm(issued.token)
    registry.register(desk, issued.number, issued.pin)
    registry.open(issued.pin)
    with pytest.raises(WrongState, match="used already"):
        Registry(tmp_path / "another").register(desk, issued.number, issued.pin)
    with pytest.raises(Exists):
        registry.register(desk, issued.number, issued.pin)


@pytest.mark.row("CA-010")
def test_number_and_pin_must_be_exactly_as_received(tmp_path: Path) -> None:
    desk, registry = Desk(tmp_path / "desk", SetClock()), Registry(tmp_path / "coordinator")
    issued = desk.issue()
    desk.confirm(issued.token)
    for number, pin in ((issued.number, Secret(b"00000000")), (issued.number[:-1], issued.pin), ("", issued.pin)):
        with pytest.raises(Refused, match="exactly"):
            registry.register(desk, number, pin)
    with pytest.raises(WrongState, match="not registered"):
        registry.open(issued.pin)
    for _ in range(9):
        with pytest.raises(Refused):
            registry.register(desk, issued.number, Secret(b"00000000"))
    with pytest.raises(Refused):  # tried too often
        registry.register(desk, issued.number, issued.pin)


@pytest.mark.row("CA-009")
def test_a_link_that_is_too_old_does_not_confirm(tmp_path: Path) -> None:
    clock = SetClock()
    desk = Desk(tmp_path, clock)
    issued = desk.issue(14)
    clock.pass_s(14 * 86_400)
    assert not desk.is_link(issued.token)
    with pytest.raises(NotFound):
        desk.confirm(issued.token)


@pytest.mark.row("CA-011")
def test_each_start_asks_for_the_coordinators_own_pin(modules: Fleet, enrolled: tuple[Registry, Secret]) -> None:
    registry, pin = enrolled
    state = str(registry._path.parent)
    hub = ("--hub", str(modules.hub))
    wrong = modules.pin_file(Secret(b"11111111"))
    for words in (("status", state, *hub), ("start", state, *hub, "--source", "SOURCE"), ("export", state, "x")):
        done = modules.coordinator(*words, "--pin-file", wrong, check=False)
        assert (done.returncode, "PIN is wrong" in done.stderr) == (1, True)
    assert "SOURCE: unlocked" in modules.coordinator("status", state, *hub, "--pin-file", modules.pin_file(pin)).stdout
    with pytest.raises(Refused):
        registry.open(ADMINISTRATOR)  # a module's PIN is another one


@pytest.mark.row("CA-011")
def test_wrong_pins_are_counted_and_ten_block(enrolled: tuple[Registry, Secret]) -> None:
    registry, pin = enrolled
    for _ in range(10):
        with pytest.raises(Refused):
            registry.open(Secret(b"11111111"))
    with pytest.raises(WrongState, match="too many"):
        registry.open(pin)


@pytest.mark.row("CA-012")
def test_the_pin_can_be_changed(enrolled: tuple[Registry, Secret]) -> None:
    registry, pin = enrolled
    with pytest.raises(Invalid, match="differ"):
        registry.change_pin(pin, NEW_PIN, Secret(b"52718094"))
    with pytest.raises(Refused):
        registry.change_pin(NEW_PIN, NEW_PIN, NEW_PIN)
    for bad in (b"123456", b"1234567890123456", b"letters"):
        with pytest.raises(Invalid):
            registry.change_pin(pin, Secret(bad), Secret(bad))
    registry.open(pin)
    registry.change_pin(pin, NEW_PIN, NEW_PIN)
    registry.open(NEW_PIN)
    with pytest.raises(Refused):
        registry.open(pin)


@pytest.mark.row("CA-020")
def test_the_two_settings_go_out_and_in_and_nothing_else(enrolled: tuple[Registry, Secret], tmp_path: Path) -> None:
    registry, _ = enrolled
    registry.choose({"auto_lock": False, "policy": True})
    file = tmp_path / "settings.json"
    registry.export(file)
    assert set(json.loads(file.read_text())) == {"format", "auto_lock", "policy"}
    registry.choose({"auto_lock": True, "policy": False})
    registry.bring(file)
    assert registry.settings() == {"auto_lock": False, "policy": True}
    for broken in ("", "[]", "{}", '{"format": "keystead-coordinator-settings-1", "auto_lock": 1, "policy": true}'):
        file.write_text(broken)
        with pytest.raises(Invalid):
            registry.bring(file)


def test_no_pin_is_kept_in_clear(enrolled: tuple[Registry, Secret], tmp_path: Path) -> None:
    data = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert enrolled[1].reveal() not in data


# ---------------------------------------------------------------------------------------------------------- cloning


@pytest.mark.row("CA-003", "CA-015", "CA-019")
def test_nine_targets_one_after_the_other_with_fixed_words(tmp_path: Path) -> None:
    with fleet(tmp_path) as made:
        made.source("SOURCE")
        serials = [f"T-{number}" for number in range(9)]
        for serial in serials:
            made.make(serial)
        state = made.enrol()
        lines = made.coordinator(
            *("start", state, "--hub", str(made.hub), "--source", "SOURCE", "--pin-file", made.coordinator_pin)
        ).stdout.splitlines()
        expected = ["Source SOURCE - unassigned", "Source SOURCE - active"]
        for serial in serials:
            words = (f"Target {serial} - waiting", f"Target {serial} - authenticated, receiving")
            expected += [*words, f"✓ Target {serial} - cloned"]
        assert lines == [*expected, "9 of 9 cloned."]
        for serial in serials:
            made.own(serial, "unlock", "--pin-file", made.pin_file(USER))


@pytest.mark.row("CA-003")
def test_ten_targets_are_too_many_unless_somebody_says_so(modules: Fleet) -> None:
    serials = [f"N-{number}" for number in range(10)]
    hub = relay.Hub(modules.hub)
    with pytest.raises(Invalid, match="at most 9"):
        relay.clone(hub, relay.Run("SOURCE", serials, Options()), lambda _line: None)
    outcomes = relay.clone(hub, relay.Run("SOURCE", serials, Options(), targets_count_max=10), lambda _line: None)
    assert all("plug it in" in outcome.why for outcome in outcomes)


@pytest.mark.row("CA-019")
def test_a_target_that_fails_does_not_stop_the_others_and_a_second_run_is_safe(tmp_path: Path) -> None:
    with fleet(tmp_path) as made:
        made.source("SOURCE")
        made.source("HOLDS-DATA")
        made.make("EXPIRED", "--days-ago", "20", "--days", "10")
        made.make("REVOKED")
        made.make("Z-GOOD")
        listed = made.module("revoke", "--root", str(made.root), "REVOKED").stdout.split()[1].rstrip(".")
        state = made.enrol()
        words = ("start", state, "--hub", str(made.hub), "--source", "SOURCE", "--pin-file", made.coordinator_pin)
        done = made.coordinator(*words, "--revocations", listed, check=False)
        assert done.returncode == 1
        assert "✗ Target EXPIRED - failed" in done.stdout
        assert "✗ Target HOLDS-DATA - failed: this module holds a key" in done.stdout
        assert "✗ Target REVOKED - failed: the other module is revoked" in done.stdout
        assert "✓ Target Z-GOOD - cloned" in done.stdout
        assert "1 of 4 cloned." in done.stdout
        assert made.status("REVOKED")["state"] == made.status("EXPIRED")["state"] == "empty"
        made.own("Z-GOOD", "unlock", "--pin-file", made.pin_file(ADMINISTRATOR))
        again = made.coordinator(*words, "--replace", check=False)
        assert "✓ Target HOLDS-DATA - cloned" in again.stdout
        assert "✓ Target Z-GOOD - cloned" in again.stdout


@pytest.mark.row("CA-014", "CA-027")
def test_a_source_that_is_locked_or_switched_off_is_named(modules: Fleet) -> None:
    hub = relay.Hub(modules.hub)
    run = relay.Run("SOURCE", ["T"], Options())
    modules.own("SOURCE", "cloning", "off")
    with pytest.raises(Refused, match="switched off"):
        relay.clone(hub, run, lambda _line: None)
    modules.own("SOURCE", "cloning", "on")
    modules.own("SOURCE", "lock")
    with pytest.raises(WrongState, match="unlock the source"):
        relay.clone(hub, run, lambda _line: None)
    modules.own("SOURCE", "unlock", "--pin-file", modules.pin_file(ADMINISTRATOR))


@pytest.mark.row("CA-006", "CA-007", "CA-008")
def test_everything_that_coordinator_and_hub_saw_holds_no_secret(tmp_path: Path) -> None:
    with fleet(tmp_path) as made:
        made.source("SOURCE")
        made.own("SOURCE", "set-pin", "self-destruct", "--pin-file", made.pin_file(DESTROY))
        made.make("TARGET")
        seen: list[bytes] = []
        hub = relay.Hub(made.hub, lambda _where, data: seen.append(data))
        relay.clone(hub, relay.Run("SOURCE", ["TARGET"], Options()), lambda _line: None)
        everything = b"\n".join(seen)
        assert len(everything) > 100_000
        for pin in (ADMINISTRATOR, USER, DESTROY):
            assert pin.reveal() not in everything


@pytest.mark.parametrize("targets", [[], ["SOURCE"], ["T", "T"], ["../T"]])
def test_targets_that_make_no_sense_are_refused(modules: Fleet, targets: list[str]) -> None:
    hub = relay.Hub(modules.hub)
    run = relay.Run("SOURCE", targets, Options())
    if targets == ["../T"]:
        assert relay.clone(hub, run, lambda _line: None)[0].why
        return
    with pytest.raises(Invalid):
        relay.clone(hub, run, lambda _line: None)
