import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.clients.coordinator import relay
from keystead.clients.secure_module import frames
from keystead.core.errors import DeviceFault, Invalid, KeysteadError
from keystead.custody.modules.messages import Options
from tests.support.secure_modules import ADMINISTRATOR, DESTROY, USER, Fleet, fleet


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet")) as made:
        made.source("SOURCE")
        yield made


def test_a_module_is_a_process_of_its_own_that_nobody_can_look_into(modules: Fleet) -> None:
    process = modules.processes["SOURCE"]
    assert "no cores" in (modules.folder / "SOURCE.log").read_text()
    assert "It is software" in (modules.folder / "SOURCE.log").read_text()
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert "Max core file size        0                    0" in limits


def test_files_go_in_and_out(modules: Fleet, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    plain, secret, clear = tmp_path / "plain", tmp_path / "secret", tmp_path / "clear"
    plain.write_bytes(content)
    modules.own("SOURCE", "unlock", "--pin-file", modules.pin_file(USER))
    modules.own("SOURCE", "encrypt", str(plain), str(secret))
    modules.own("SOURCE", "decrypt", str(secret), str(clear))
    assert clear.read_bytes() == content
    assert content[:16] not in secret.read_bytes()
    assert clear.stat().st_mode & 0o777 == 0o600


def test_nothing_of_a_changed_file_is_released(modules: Fleet, tmp_path: Path) -> None:
    plain, secret, clear = tmp_path / "plain", tmp_path / "secret", tmp_path / "clear"
    plain.write_bytes(bytes(200_000))
    modules.own("SOURCE", "encrypt", str(plain), str(secret))
    data = bytearray(secret.read_bytes())
    data[-40] ^= 1
    secret.write_bytes(bytes(data))
    done = modules.own("SOURCE", "decrypt", str(secret), str(clear), check=False)
    assert (done.returncode, clear.exists()) == (1, False)
    assert "nothing of it is released" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "secret"]


def test_a_file_is_not_overwritten_unasked(modules: Fleet, tmp_path: Path) -> None:
    plain, taken = tmp_path / "plain", tmp_path / "taken"
    plain.write_bytes(b"x")
    taken.write_bytes(b"precious")
    done = modules.own("SOURCE", "encrypt", str(plain), str(taken), check=False)
    assert (done.returncode, taken.read_bytes()) == (1, b"precious")


@pytest.mark.row("CA-034")
@pytest.mark.parametrize("what", ["set-up", "unlock", "lock", "set", "crypt", "unplug", "nonsense", None])
def test_the_hub_cannot_ask_what_only_the_owner_may(modules: Fleet, what: str | None) -> None:
    with frames.connect(modules.hub / "SOURCE.sock") as connection, pytest.raises(Invalid):
        frames.ask(connection, {"do": what, "pin": b"7340182659", "what": "cloning", "value": True})
    assert modules.status("SOURCE")["holds_key"]


def test_a_broken_message_ends_its_connection_and_nothing_else(modules: Fleet) -> None:
    for data in (b"\xff\xff\xff\xff", b"\0\0\0\1\xff", b"\0\0\0\2\x81\x01"):
        connection = frames.connect(modules.hub / "SOURCE.sock")
        with connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(10) == b""
    assert modules.status("SOURCE")["holds_key"]


def test_a_module_is_plugged_in_once(modules: Fleet) -> None:
    words = ["plug", str(modules.folder / "SOURCE"), "--device-key", str(modules.folder / "SOURCE.key")]
    done = modules.module(*words, "--hub", str(modules.hub), check=False)
    assert (done.returncode, done.stderr) == (1, "this module is plugged in already\n")


def test_pins_come_from_private_files_or_a_terminal_only(modules: Fleet, tmp_path: Path) -> None:
    path = tmp_path / "pin"
    path.write_bytes(USER.reveal())
    path.chmod(0o644)
    done = modules.own("SOURCE", "unlock", "--pin-file", str(path), check=False)
    assert done.returncode == 1
    assert "0600" in done.stderr


@pytest.mark.row("CA-024")
def test_the_self_destruct_pin_says_what_it_did(tmp_path: Path) -> None:
    with fleet(tmp_path) as made:
        made.source("M")
        told = made.own("M", "set-pin", "self-destruct", "--pin-file", made.pin_file(DESTROY))
        assert "will destroy" in told.stderr
        made.own("M", "lock")
        assert "destroyed its key" in made.own("M", "unlock", "--pin-file", made.pin_file(DESTROY)).stdout
        assert made.status("M")["state"] == "empty"


@pytest.mark.row("CA-023")
def test_ecb_warns_loudly(modules: Fleet) -> None:
    modules.own("SOURCE", "unlock", "--pin-file", modules.pin_file(ADMINISTRATOR))
    assert modules.own("SOURCE", "mode", "AES-ECB", check=False).returncode == 1
    told = modules.own("SOURCE", "mode", "AES-ECB", "--legacy")
    assert told.stderr.startswith("WARNING")
    modules.own("SOURCE", "mode", "AES-XTS")


@pytest.mark.parametrize("step", range(1, 7))
@pytest.mark.parametrize("victim", ["SOURCE", "TARGET"])
def test_killed_at_every_step_each_module_is_old_or_new(tmp_path: Path, victim: str, step: int) -> None:
    from contextlib import ExitStack

    with fleet(tmp_path) as made:
        made.source("SOURCE")
        made.make("TARGET")
        hub = relay.Hub(made.hub)
        run = relay.Run("SOURCE", ["TARGET"], Options())

        def cloning() -> None:
            with ExitStack() as stack:
                for now in relay.carry(hub, run, "TARGET", stack):
                    if now == step:
                        made.kill(victim)

        with pytest.raises(KeysteadError):
            cloning()
        made.plug(victim)
        target = made.status("TARGET")
        assert (target["state"], target["copied_from"]) in (("empty", ""), ("locked", "SOURCE"))
        made.own("SOURCE", "unlock", "--pin-file", made.pin_file(ADMINISTRATOR))
        if target["holds_key"]:
            made.own("TARGET", "unlock", "--pin-file", made.pin_file(ADMINISTRATOR))
        outcomes = relay.clone(hub, relay.Run("SOURCE", ["TARGET"], Options(), replace=True), lambda _line: None)
        assert [outcome.why for outcome in outcomes] == [""]
        made.own("TARGET", "unlock", "--pin-file", made.pin_file(USER))


def test_a_module_that_is_not_plugged_in_is_named(modules: Fleet) -> None:
    with pytest.raises(DeviceFault, match="plug it in"):
        relay.Hub(modules.hub).status("NOBODY")
    assert modules.own("SOURCE", "status", "--json").returncode == 0


def test_a_module_ends_in_order(tmp_path: Path) -> None:
    with fleet(tmp_path) as made:
        made.make("M")
        made.own("M", "unplug")
        assert made.processes["M"].wait(10) == 0
        assert not list(made.hub.iterdir())
        made.plug("M")
        made.processes["M"].send_signal(signal.SIGTERM)
        assert made.processes["M"].wait(10) == 0


def test_no_pin_in_arguments_environment_or_output(modules: Fleet) -> None:
    process = Path(f"/proc/{modules.processes['SOURCE'].pid}")
    told = [process / "cmdline", process / "environ", modules.folder / "SOURCE.log"]
    everything = b"".join(path.read_bytes() for path in told)
    assert b"SOURCE.key" in everything
    for pin in (ADMINISTRATOR, USER, DESTROY):
        assert pin.reveal() not in everything


def test_missing_files_are_named(modules: Fleet, tmp_path: Path) -> None:
    place = (str(tmp_path / "M"), "--serial", "M", "--device-key", str(tmp_path / "M.key"))
    done = modules.module("manufacture", *place, "--root", str(tmp_path), check=False)
    assert (done.returncode, done.stderr) == (1, "the manufacturing root is not there: root.sealed\n")
    words = ("plug", str(modules.folder / "SOURCE"), "--device-key", str(tmp_path / "no.key"), "--hub", str(tmp_path))
    done = modules.module(*words, check=False)
    assert done.returncode == 1
    assert "the device key of module SOURCE is not there: no.key" in done.stderr
