"""The process that is a module: two sockets, one for its owner in its own folder, one in the hub for the coordinator.

Laws: what concerns PINs and settings is heard on the owner's socket only (CA-034); the coordinator may ask for the
state, carry bytes of a cloning, bring a revocation list and end a cycle; requests are done one after the other.

Source: requirements CA-002, 003, 013 to 034; docs/cloning.md section 6.
"""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keystead.appliance.hardening import HardeningReport, harden
from keystead.clients.secure_module import frames
from keystead.core.errors import Invalid, KeysteadError
from keystead.core.secret import Secret
from keystead.core.translation import mark, tr
from keystead.custody.modules.cloning import Source, Target
from keystead.custody.modules.messages import Options
from keystead.custody.modules.module import SecureModule
from keystead.custody.modules.pins import PinPolicy
from keystead.custody.modules.state import Mode, Slot

CONNECTIONS_COUNT_MAX = 16
_LOOK_S = 1.0

Answer = dict[str, Any]

EMPTY, LOCKED, BY_ADMINISTRATOR, BY_USER = (
    mark("empty"),
    mark("locked"),
    mark("unlocked by the administrator"),
    mark("unlocked by the user"),
)
STATUS = {
    "serial": mark("serial number"),
    "state": mark("state"),
    "holds_key": mark("holds a key"),
    "is_unlocked": mark("unlocked"),
    "by_administrator": mark("by the administrator"),
    "cloning": mark("cloning"),
    "mode": mark("mode of files"),
    "auto_lock_min": mark("auto-lock, minutes"),
    "policy": mark("policy for users' PINs"),
    "user_pin": mark("user's PIN is set"),
    "copied_from": mark("clone of"),
    "valid_until": mark("identity valid until, us"),
}
"""What `status` tells, and what people read for it."""


class Process:
    """One module and its sockets.

    Args:
        module: Opened.
        folder: The module's own; the owner's socket goes there.
        hub: Folder of the hub.
    """

    def __init__(self, module: SecureModule, folder: Path, hub: Path) -> None:
        self._module = module
        self._turn = threading.Lock()
        self._seats = threading.BoundedSemaphore(CONNECTIONS_COUNT_MAX)
        self._ended = threading.Event()
        self._is_leaving = False
        for number in (signal.SIGTERM, signal.SIGINT):  # before the sockets say that it is there
            signal.signal(number, lambda *_: self._ended.set())
        self._owner_path, self._hub_path = folder / "module.sock", hub / f"{module.serial}.sock"
        self._owner, self._hub = frames.listen(self._owner_path), frames.listen(self._hub_path)
        self._owners: dict[str, Callable[[dict[str, Any], list[int]], Answer]] = {
            "status": lambda _message, _files: status(self._module),
            "set-up": self._set_up,
            "unlock": self._unlock,
            "lock": self._lock,
            "set": self._set,
            "crypt": self._crypt,
            "unplug": self._unplug,
        }

    def serve(self) -> None:
        """Serve both sockets until somebody unplugs the module or the process is told to end."""
        for listening, answer in ((self._owner, self._as_owner), (self._hub, None)):
            threading.Thread(target=self._accept, args=(listening, answer), daemon=True).start()
        while not self._ended.wait(_LOOK_S):
            with self._turn:
                self._module.who()  # locks it when it was left alone for too long
        with self._turn:
            self._module.lock()
        for path in (self._owner_path, self._hub_path):
            path.unlink(missing_ok=True)

    def _accept(self, listening: socket.socket, answer: Callable[[dict[str, Any], list[int]], Answer] | None) -> None:
        while not self._ended.is_set():
            connection, _ = listening.accept()
            if not self._seats.acquire(blocking=False):
                connection.close()
                continue
            connection.settimeout(frames.TIMEOUT_S)
            chosen = answer or HubSession(self._module).answer
            threading.Thread(target=self._converse, args=(connection, chosen), daemon=True).start()

    def _converse(self, connection: socket.socket, answer: Callable[[dict[str, Any], list[int]], Answer]) -> None:
        with connection, contextlib.suppress(OSError, KeysteadError):
            try:
                while (arrived := frames.receive(connection)) is not None:
                    message, files = arrived
                    try:
                        with self._turn:
                            told = answer(message, files)
                    except KeysteadError as error:
                        told = frames.error_of(error)
                    except (TypeError, ValueError, KeyError):
                        told = frames.error_of(Invalid(tr("this is no request that a module knows")))
                    finally:
                        for descriptor in files:
                            os.close(descriptor)
                    frames.send(connection, told)
                    if self._is_leaving:
                        self._ended.set()
            finally:
                self._seats.release()

    # ------------------------------------------------------------------------------------------------- the owner

    def _as_owner(self, message: dict[str, Any], files: list[int]) -> Answer:
        return self._owners[message["do"]](message, files)

    def _set_up(self, message: dict[str, Any], _files: list[int]) -> Answer:
        self._module.set_up(_pin(message))
        return status(self._module)

    def _unlock(self, message: dict[str, Any], _files: list[int]) -> Answer:
        return {"who": str(self._module.unlock(_pin(message)))}

    def _lock(self, _message: dict[str, Any], _files: list[int]) -> Answer:
        self._module.lock()
        return status(self._module)

    def _set(self, message: dict[str, Any], _files: list[int]) -> Answer:
        what, module = message["what"], self._module
        if what == "pin":
            slot = Slot(message["slot"])
            pin = _pin(message) if "pin" in message else None
            if slot is Slot.SELF_DESTRUCT:
                module.set_self_destruct_pin(pin)
            else:
                (module.set_user_pin if slot is Slot.USER else module.set_administrator_pin)(_pin(message))
        elif what == "policy":
            module.set_policy(None if message["value"] is None else PinPolicy(*message["value"]))
        elif what == "auto-lock":
            module.set_auto_lock(message["value"])
        elif what == "mode":
            module.set_mode(Mode(message["value"]), legacy_ecb=message["legacy"] is True)
        elif what == "cloning":
            module.set_cloning(enabled=message["value"] is True)
        else:
            raise Invalid(tr("a module has no such setting"))
        return status(module)

    def _crypt(self, message: dict[str, Any], files: list[int]) -> Answer:
        with open(files[0], "rb", closefd=False) as source, open(files[1], "wb", closefd=False) as target:
            work = self._module.encrypt if message["way"] == "encrypt" else self._module.decrypt
            length = work(source, target)
        return {"length": length}

    def _unplug(self, _message: dict[str, Any], _files: list[int]) -> Answer:
        self._module.lock()
        self._is_leaving = True  # once the answer is out
        return {}


class HubSession:
    """What one connection from the hub may ask of a module."""

    def __init__(self, module: SecureModule) -> None:
        self._module = module
        self._side: Source | Target | None = None

    def answer(self, message: dict[str, Any], _files: list[int]) -> Answer:
        """Answer a coordinator.

        Raises:
            KeysteadError: what was asked is refused; a cloning that was refused has ended.
        """
        what = message["do"]
        if what == "status":
            return status(self._module)
        if what == "revocations":
            return {"number": self._module.learn_revocations(message["list"]).number}
        if what == "end-cycle":
            self._module.end_cycle()
            return status(self._module)
        try:
            return self._clone(what, message)
        except KeysteadError:
            self._side = None
            raise

    def _clone(self, what: str, message: dict[str, Any]) -> Answer:
        if what == "target":
            target = Target(self._module, replace=message["replace"] is True)
            self._side = target
            return self._told(target, target.start())
        if what == "source":
            chosen = message["options"]
            options = Options(chosen["auto_lock"], chosen["policy"], chosen["disable_source"])
            source = Source(self._module, options, str(message["target"]))
            self._side = source
            return self._told(source, b"")
        if what == "carry" and self._side is not None:
            return self._told(self._side, self._side.receive(message["bytes"]))
        raise Invalid(tr("a coordinator cannot ask this of a module; its owner can"))

    def _told(self, side: Source | Target, back: bytes) -> Answer:
        return {"bytes": back, "finished": side.is_finished}


def status(module: SecureModule) -> Answer:
    """Return what everybody may know of a module."""
    state, who = module.state, module.who()
    unlocked = BY_ADMINISTRATOR if who is Slot.ADMINISTRATOR else BY_USER
    shown = EMPTY if not state.holds_key else LOCKED if who is None else unlocked
    return {
        "serial": module.serial,
        "state": shown,
        "holds_key": state.holds_key,
        "is_unlocked": who is not None,
        "by_administrator": who is Slot.ADMINISTRATOR,
        "cloning": state.cloning,
        "mode": str(state.mode),
        "auto_lock_min": state.auto_lock_min,
        "policy": None if state.policy is None else [state.policy.digits_min, state.policy.no_patterns],
        "user_pin": Slot.USER in state.slots,
        "copied_from": state.copied_from,
        "valid_until": module.device.identity.valid_until,
    }


def run(opened: Callable[[], SecureModule], folder: Path, hub: Path, tell: Callable[[HardeningReport], None]) -> None:
    """Be a module: harden this process, open the module, serve."""
    report = harden()
    hub.mkdir(mode=0o700, parents=True, exist_ok=True)
    module = opened()
    process = Process(module, folder, hub)
    tell(report)
    process.serve()


def _pin(message: dict[str, Any]) -> Secret:
    if not isinstance(message["pin"], bytes):
        raise Invalid(tr("a PIN is missing"))
    return Secret(message["pin"])
