"""Cloning one source to targets, one after the other, by carrying bytes that cannot be read here.

Laws: the coordinator holds no key of any module; what it carries is TLS between them; a target that fails does not
stop the others; at the end the source is told that the cycle is over.

Source: requirements CA-003, 006 to 008, 014 to 019; docs/cloning.md section 6.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keystead.clients.secure_module import frames
from keystead.core.errors import DeviceFault, Invalid, KeysteadError, Refused, WrongState
from keystead.core.translation import tr
from keystead.custody.modules.messages import Options

TARGETS_COUNT = 9  # CA-003, unless a person says otherwise
TARGETS_COUNT_MAX = 99
_TURNS_COUNT_MAX = 16

Observer = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class Run:
    """What a person wants cloned.

    Attributes:
        source: Serial of the source.
        targets: Serials, in order.
        options: See `Options`.
        replace: Targets may lose what they hold (CA-032).
        targets_count_max: As many at a time.
    """

    source: str
    targets: Sequence[str]
    options: Options
    replace: bool = False
    targets_count_max: int = TARGETS_COUNT


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went with one target.

    Attributes:
        serial: Which.
        why: "" = cloned; else what was refused, for a person.
    """

    serial: str
    why: str = ""


@dataclass
class Hub:
    """The modules that are plugged in.

    Attributes:
        folder: Each has a socket there.
        observe: Called with everything that the coordinator sees: "from SERIAL" or "to SERIAL", and the bytes.
    """

    folder: Path
    observe: Observer = field(default=lambda _where, _data: None)

    def serials(self) -> list[str]:
        """Return the serials of what is plugged in, in order."""
        return sorted(path.stem for path in self.folder.glob("*.sock"))

    def connect(self, serial: str, stack: ExitStack) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Return how to ask a module; the connection ends with the stack.

        Raises:
            DeviceFault: it is not plugged in.
        """
        path = self.folder / f"{serial}.sock"
        if path.parent != self.folder:
            raise Invalid(tr("this is no serial number"))
        connection = stack.enter_context(frames.connect(path))

        def ask(message: dict[str, Any]) -> dict[str, Any]:
            self._see(f"to {serial}", message)
            answer = frames.ask(connection, message)
            self._see(f"from {serial}", answer)
            return answer

        return ask

    def _see(self, where: str, message: dict[str, Any]) -> None:
        for value in message.values():
            self.observe(where, value if isinstance(value, bytes) else str(value).encode())

    def status(self, serial: str) -> dict[str, Any]:
        """Return what a module says of itself."""
        with ExitStack() as stack:
            return self.connect(serial, stack)({"do": "status"})

    def bring_revocations(self, encoded: bytes) -> None:
        """Bring a revocation list to every module that is plugged in."""
        for serial in self.serials():
            with ExitStack() as stack:
                self.connect(serial, stack)({"do": "revocations", "list": encoded})


def clone(hub: Hub, run: Run, tell: Callable[[str], None]) -> list[Outcome]:
    """Clone to every target, one after the other (CA-019).

    Args:
        hub: Where they are plugged in.
        run: What is wanted.
        tell: Gets the fixed status words (CA-015) as they come true.

    Raises:
        Invalid: no targets, or too many at a time. WrongState: the source is not unlocked by its administrator.
        Refused: cloning is off in it. DeviceFault: it is not plugged in.
    """
    _check(hub, run, tell)
    outcomes = []
    for serial in run.targets:
        tell(tr("Target {serial} - waiting", serial=serial))
        outcomes.append(_one(hub, run, serial, tell))
    with ExitStack() as stack:
        after = hub.connect(run.source, stack)({"do": "end-cycle"})
    if not after["cloning"]:
        tell(tr("Cloning is switched off in source {serial} now.", serial=run.source))
    return outcomes


def _check(hub: Hub, run: Run, tell: Callable[[str], None]) -> None:
    if not 1 <= run.targets_count_max <= TARGETS_COUNT_MAX:
        raise Invalid(tr("a hub takes 1 to {most} targets", most=TARGETS_COUNT_MAX))
    if not run.targets:
        raise Invalid(tr("plug in at least one target"))
    if len(run.targets) > run.targets_count_max:
        raise Invalid(
            tr("at most {most} targets at a time; unplug some and repeat for the others", most=run.targets_count_max)
        )
    if run.source in run.targets or len(set(run.targets)) != len(run.targets):
        raise Invalid(tr("name each module once; the source is no target"))
    tell(tr("Source {serial} - unassigned", serial=run.source))
    source = hub.status(run.source)
    if not source["by_administrator"]:
        raise WrongState(tr("unlock the source with its administrator's PIN before you set it as source"))
    if not source["cloning"]:
        raise Refused(tr("cloning is switched off in the source; switch it on there"), "refused.switched_off")
    tell(tr("Source {serial} - active", serial=run.source))


def _one(hub: Hub, run: Run, serial: str, tell: Callable[[str], None]) -> Outcome:
    try:
        with ExitStack() as stack:
            for step in carry(hub, run, serial, stack):
                if step == _STEP_AUTHENTICATED:
                    tell(tr("Target {serial} - authenticated, receiving", serial=serial))
    except KeysteadError as error:
        tell(tr("✗ Target {serial} - failed: {why}", serial=serial, why=error.message))
        return Outcome(serial, error.message)
    tell(tr("✓ Target {serial} - cloned", serial=serial))
    return Outcome(serial)


_STEP_AUTHENTICATED = 3


def carry(hub: Hub, run: Run, serial: str, stack: ExitStack) -> Iterator[int]:
    """Carry bytes between source and target until both have finished; yields before each carriage, from 1.

    Raises:
        KeysteadError: what one of them refused. DeviceFault: one has gone, or they do not come to an end.
    """
    source, target = hub.connect(run.source, stack), hub.connect(serial, stack)
    options = {
        "auto_lock": run.options.auto_lock,
        "policy": run.options.policy,
        "disable_source": run.options.disable_source,
    }
    source({"do": "source", "options": options, "target": serial})
    told = target({"do": "target", "replace": run.replace})
    turns, both = [source, target], {source: False, target: False}
    for turn in range(_TURNS_COUNT_MAX):
        yield turn + 1
        ask = turns[turn % 2]
        told = ask({"do": "carry", "bytes": told["bytes"]})
        both[ask] = told["finished"]
        if all(both.values()):
            return
    raise DeviceFault(tr("the modules do not come to an end; start again"))
