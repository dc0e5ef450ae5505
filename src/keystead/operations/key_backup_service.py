"""What operations on drives and on backups of tokens' keys share: the service of the `keys` process, and what it tells.

Source: requirements CB-018, 020, 022; docs/adr/0093; docs/drives.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

from keystead.core.errors import NotFound
from keystead.core.fields import Text
from keystead.custody.drives.jobs import Asker, Job, Pins
from keystead.custody.drives.registry import Books, Registered
from keystead.gate.call import Call
from keystead.trust.origins import OriginKey

KEY_BACKUPS = "key_backups"
"""Service of the gate, in the `keys` process: a `Service`."""
PLACE_CHARACTERS_MAX = 64
PLACE_PATTERN = "[A-Za-z0-9][A-Za-z0-9._-]*"

Place = Annotated[str, Text(PLACE_PATTERN, PLACE_CHARACTERS_MAX, characters_min=1, example="drive-1")]


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a job.

    Attributes:
        kind: "backup" or "restore".
        asker: Who asked, and who was the security officer.
        partitions: Labels of the tokens.
        drives: Names of those that hold the set, or of the one it was read from; before it is done, and of a job that
            failed, the folders that were asked for.
        ok: It worked.
        message: In plain words.
        count: Objects saved, or made ready for use.
        unsaved: Objects that stay in their tokens.
        hints: Drives with which something is wrong.
        set_id: Hexadecimal.
    """

    kind: str
    asker: Asker
    partitions: tuple[str, ...]
    drives: tuple[str, ...]
    ok: bool = False
    message: str = ""
    count: int = 0
    unsaved: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    set_id: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How a job is.

    Attributes:
        kind: "backup", "restore", or "" = none since the process started.
        running: It has not ended.
        steps: Those that were done, in order.
        doing: What is done now.
        number: Of `total`: steps, or objects.
        ended: What came of it; while it runs, who asked for what.
    """

    kind: str = ""
    running: bool = False
    steps: tuple[str, ...] = ()
    doing: str = ""
    number: int = 0
    total: int = 0
    ended: Ended | None = None


@dataclass(frozen=True, slots=True)
class WantedBackup:
    """What a backup is started with: who asks, PINs by partition, and folders of drives."""

    asker: Asker
    pins: Mapping[str, Pins]
    drives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WantedRestore:
    """What a restore is started with: who asks, partition in the set -> token, PINs by token, drives, an older set."""

    asker: Asker
    targets: Mapping[str, str]
    pins: Mapping[str, Pins]
    drives: tuple[str, ...]
    set_id: bytes


class Service(Protocol):
    """What the `keys` process offers; the first three look at memory alone, the others wait for drives."""

    def check_address(self, address: str) -> None:
        """Judge where a request comes from. Raises Refused."""

    def check(self, user: str, officer: str, address: str) -> None:
        """Judge address and persons. Raises Refused."""

    def progress(self) -> Progress:
        """Return how the job is."""

    def last(self) -> Job | None:
        """Return the record of the last job."""

    def books(self) -> Books:
        """Return what is known of drives."""

    def due(self) -> tuple[str, ...]:
        """Say what has to be redone."""

    def origin(self) -> OriginKey:
        """Return the public half of what signs sets."""

    def register(self, place: str, name: str) -> tuple[Registered, str]:
        """Register a drive; returns it with what people should know of its folder, "" = nothing."""

    def challenge(self, place: str) -> Registered:
        """Have a drive prove itself."""

    def back_up(self, wanted: WantedBackup) -> Progress:
        """Start a backup."""

    def restore(self, wanted: WantedRestore) -> Progress:
        """Start a restore."""


def service_of(call: Call) -> Service:
    """Return the process's service, once it has judged where the request comes from (CB-020).

    Raises:
        NotFound: this process has none. Refused: the address.
    """
    service: Service | None = call.desk.services.get(KEY_BACKUPS)
    if service is None:
        raise NotFound("this process has no drives")
    service.check_address(address_of(call))
    return service


def address_of(call: Call) -> str:
    """Return where the asker is; empty = the local door."""
    return "" if call.principal.kind == "local" else call.principal.address
