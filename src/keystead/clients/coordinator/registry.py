"""What a coordinator keeps: its enrolment, its own PIN, and two settings; and the desk at which enrolments are issued.

Laws: a PIN is kept as an Argon2id string, wrong ones are counted durably before they are judged; an enrolment works
once, after the person who got it has confirmed it by a link that works once; what is exported holds no secret (AMB-52).

Source: requirements CA-009 to 012, 020; docs/cloning.md section 7.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keystead.core.errors import Exists, Invalid, NotFound, Refused, WrongState
from keystead.core.secret import Secret
from keystead.core.translation import tr
from keystead.custody.modules import pins
from keystead.custody.modules.store import read_file
from keystead.trust import passwords
from keystead.trust.durable_files import write_private

ATTEMPTS_COUNT = 10
ENROLMENT_DAYS = 14
ENROLMENTS_COUNT_MAX = 10_000
_US_PER_DAY = 86_400_000_000
_SETTINGS = ("auto_lock", "policy")


@dataclass(frozen=True, slots=True)
class Issued:
    """A new enrolment, shown once.

    Attributes:
        number: Names it.
        pin: 8 digits.
        token: What the one-time link ends with.
    """

    number: str
    pin: Secret
    token: str


class Desk:
    """Where an administrator issues enrolments.

    Args:
        folder: Keeps them; made when missing.
        clock: Microseconds since 1970, UTC.
    """

    def __init__(self, folder: Path, clock: Callable[[], int]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / "enrolments.json"
        self._clock = clock

    def issue(self, days: int = ENROLMENT_DAYS) -> Issued:
        """Issue an enrolment that has to be confirmed within some days (CA-009).

        Raises:
            Invalid: there are too many.
        """
        known = self._known()
        if len(known) >= ENROLMENTS_COUNT_MAX:
            raise Invalid(tr("there are too many enrolments; begin another desk"))
        number = "-".join(f"{secrets.randbelow(10_000):04}" for _ in range(3))
        pin, token = Secret(f"{secrets.randbelow(10**8):08}".encode()), secrets.token_urlsafe(24)
        until = self._clock() + days * _US_PER_DAY
        known[number] = {
            "pin": passwords.kept(pin),
            "link": _digest(token),
            "until": until,
            "state": "issued",
            "attempts_left": ATTEMPTS_COUNT,
        }
        self._keep(known)
        return Issued(number, pin, token)

    def is_link(self, token: str) -> bool:
        """Tell whether a link can still be used."""
        return self._by_link(self._known(), token) is not None

    def confirm(self, token: str) -> str:
        """Follow a link, once. Returns the enrolment's number.

        Raises:
            NotFound: no link, used already, or too late.
        """
        known = self._known()
        number = self._by_link(known, token)
        if number is None:
            raise NotFound(tr("this link does not exist, was used already, or is too old; ask for a new enrolment"))
        known[number] |= {"link": "", "state": "confirmed"}
        self._keep(known)
        return number

    def use(self, number: str, pin: Secret) -> None:
        """Use up a confirmed enrolment.

        Raises:
            Refused: number or PIN are not exactly as issued (reason refused.wrong_secret), or tried too often.
            WrongState: not confirmed, or used already.
        """
        known = self._known()
        enrolment = known.get(number)
        if enrolment is None or enrolment["attempts_left"] <= 0:
            passwords.is_password(pin, passwords.nobodys())
            raise Refused(tr("number and PIN must be exactly as received"), "refused.wrong_secret")
        enrolment["attempts_left"] -= 1
        self._keep(known)
        if not passwords.is_password(pin, enrolment["pin"]):
            raise Refused(tr("number and PIN must be exactly as received"), "refused.wrong_secret")
        if enrolment["state"] != "confirmed":
            if enrolment["state"] == "used":
                raise WrongState(tr("this enrolment was used already"))
            raise WrongState(tr("this enrolment is not confirmed; follow the link first"))
        enrolment["state"] = "used"
        self._keep(known)

    def _by_link(self, known: dict[str, Any], token: str) -> str | None:
        wanted = _digest(token)
        for number, enrolment in known.items():
            if hmac.compare_digest(enrolment["link"], wanted) and self._clock() < enrolment["until"]:
                return number
        return None

    def _known(self) -> dict[str, Any]:
        return dict(json.loads(self._path.read_text())) if self._path.exists() else {}

    def _keep(self, known: dict[str, Any]) -> None:
        write_private(self._path, json.dumps(known, indent=1).encode())


class Registry:
    """A coordinator's own folder.

    Args:
        folder: Made when it registers.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "coordinator.json"

    @property
    def number(self) -> str:
        """Return the number it is registered with.

        Raises:
            WrongState: it is not registered.
        """
        return str(self._kept()["number"])

    def register(self, desk: Desk, number: str, pin: Secret) -> None:
        """Register with an enrolment exactly as received (CA-010); its PIN becomes the coordinator's.

        Raises:
            Exists: registered already. Others: see `Desk.use`.
        """
        if self._path.exists():
            raise Exists(tr("this coordinator is registered already"))
        desk.use(number, pin)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = {"number": number, "pin": passwords.kept(pin), "attempts_left": ATTEMPTS_COUNT}
        self._keep({**kept, "auto_lock": True, "policy": True})

    def open(self, pin: Secret) -> None:
        """Judge the PIN that each start asks for (CA-011).

        Raises:
            Refused: wrong (reason refused.wrong_secret); counted. WrongState: not registered, or tried too often.
        """
        kept = self._kept()
        if kept["attempts_left"] <= 0:
            raise WrongState(tr("too many wrong PINs; register this coordinator in a new folder, with a new enrolment"))
        self._keep(kept | {"attempts_left": kept["attempts_left"] - 1})
        if not passwords.is_password(pin, kept["pin"]):
            raise Refused(
                tr("the PIN is wrong; attempts left: {left}", left=kept["attempts_left"] - 1), "refused.wrong_secret"
            )
        self._keep(kept | {"attempts_left": ATTEMPTS_COUNT})

    def change_pin(self, current: Secret, new: Secret, confirmed: Secret) -> None:
        """Change the PIN (CA-012); it counts from the next start.

        Raises:
            Invalid: the new one has not 7 to 15 digits, or was confirmed differently. Others: see `open`.
        """
        self.open(current)
        pins.check_form(new)
        if not new.matches(confirmed):
            raise Invalid(tr("the new PIN and its confirmation differ; nothing was changed"))
        self._keep(self._kept() | {"pin": passwords.kept(new)})

    def settings(self) -> dict[str, bool]:
        """Return the two settings: whether auto-lock and the policy for users' PINs are copied (CA-016, 017)."""
        kept = self._kept()
        return {name: bool(kept[name]) for name in _SETTINGS}

    def choose(self, chosen: dict[str, bool]) -> None:
        """Keep the two settings."""
        self._keep(self._kept() | {name: bool(chosen[name]) for name in _SETTINGS})

    def export(self, file: Path) -> None:
        """Write the two settings, and nothing else, to a file (CA-020, AMB-52)."""
        file.write_text(json.dumps({"format": "keystead-coordinator-settings-1", **self.settings()}, indent=1) + "\n")

    def bring(self, file: Path) -> None:
        """Take the two settings over from a file that `export` wrote.

        Raises:
            Invalid: it is none.
        """
        try:
            told = json.loads(read_file(file, tr("the file of settings"), 4096))
            if told["format"] != "keystead-coordinator-settings-1" or set(told) != {"format", *_SETTINGS}:
                raise ValueError
            if not all(isinstance(told[name], bool) for name in _SETTINGS):
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise Invalid(tr("this file holds no settings of a coordinator; export them again")) from None
        self.choose(told)

    def _kept(self) -> dict[str, Any]:
        if not self._path.exists():
            raise WrongState(tr("this coordinator is not registered; ask an administrator for an enrolment"))
        return dict(json.loads(self._path.read_text()))

    def _keep(self, kept: dict[str, Any]) -> None:
        write_private(self._path, json.dumps(kept, indent=1).encode())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
