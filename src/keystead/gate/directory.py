"""Users of a directory, as the `keys` process knows them: asked for elsewhere, remembered for a while.

The loop never waits: who is not known yet, or not any more, makes `Unsettled` be raised, which tells when to try again.
What was learned is forgotten after its time, so that nobody stays who they were for longer than that; while the
directory cannot be asked, nobody is anybody.

Source: requirements KS-LDAP-004; KS-AUTH-008; AMB-71; attacks.md class 25; docs/adr/0090.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from keystead.core.directory_names import directory_name
from keystead.core.errors import KeysteadError, Limited, Unauthenticated, Unavailable
from keystead.core.permission import Principal
from keystead.core.secret import Secret
from keystead.gate.workshop import Done, Outcome

NAMES_REMEMBERED_COUNT_MAX = 10_000
ASKED_AT_ONCE_COUNT_MAX = 16
WAITING_COUNT_MAX = 1000
PROBLEM_REMEMBERED_S = 2.0
UNKNOWN_REMEMBERED_S = 5.0
NO_USER = "the certificate names no user of the directory"
RETRY_AFTER_S = 5.0

Settled = Callable[[], None]
Ask = Callable[[str, Mapping[str, Any], Done], None]
"""Has an operation of the `admin` process run with these fields; `done` gets its plain result, on the loop."""


class Unsettled(Exception):
    """It is not known yet who somebody is.

    Attributes:
        when_settled: Takes what is called, once, when that is known, or known to be impossible.
    """

    def __init__(self, when_settled: Callable[[Settled], None]) -> None:
        super().__init__("to be asked elsewhere")
        self.when_settled = when_settled


class Known(NamedTuple):
    """What is known of a name: the groups of a user, or why it is nobody's."""

    groups: frozenset[str]
    error: KeysteadError | None


@dataclass(frozen=True, slots=True)
class Proof:
    """A question to the directory that a handler has made (`Call.made`): are these name and password one user's?

    The result is plain: `found`, whether there is the user, and `right`, whether the password is theirs.

    Attributes:
        name: As a directory spells it (core.directory_names).
        password: None = nobody's, asked so that it takes as long.
    """

    name: str
    password: Secret | None

    def __call__(self) -> Any:
        """Raise Unavailable: in this process nobody asks directories."""
        raise Unavailable("users of a directory log in at the key server only", "unavailable.directory")


class DirectoryWork:
    """Work of a handler in the `admin` process that waits for a directory, on threads of its own.

    Args:
        work: Is done.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work

    def __call__(self) -> Any:
        """Do it."""
        return self._work()


class Users:
    """The users of the directory.

    Args:
        ask: Asks the `admin` process.
        later: Calls something after some seconds.
        forgotten: Told that somebody is to be looked up anew.
        remembered_s: For how long what is known counts, as the settings are now.
    """

    def __init__(
        self,
        ask: Ask,
        later: Callable[[float, Callable[[], None]], object],
        forgotten: Callable[[], None],
        remembered_s: Callable[[], float],
    ) -> None:
        self._ask, self._later, self._forgotten, self._remembered_s = ask, later, forgotten, remembered_s
        self._known: dict[str, Known] = {}
        self._waiting: dict[str, list[Settled]] = {}
        self._queue: list[str] = []
        self._asked_count = 0
        self._epoch = 0

    def admit(self, name: str, common_name: str, address: str) -> Principal:
        """Return the principal of a user.

        Raises:
            Unauthenticated: there is none of this name. Unavailable, Limited: that cannot be told now.
            Unsettled: not known yet.
        """
        spelled = directory_name(name)
        if spelled is None:
            raise Unauthenticated(NO_USER)
        known = self._known.get(spelled)
        if known is None:
            if spelled not in self._waiting and len(self._waiting) >= WAITING_COUNT_MAX:
                raise Limited("too many users are being looked up; try again in a moment", RETRY_AFTER_S)
            raise Unsettled(lambda settled: self._look_up(spelled, settled))
        if known.error is not None:
            raise known.error.with_traceback(None)
        return Principal("user", spelled, groups=known.groups, common_name=common_name, address=address)

    def prove(self, proof: Proof, done: Done) -> None:
        """Have a password judged; who they are is known after that."""
        epoch = self._epoch
        password = b"" if proof.password is None else proof.password.reveal()

        def answered(outcome: Outcome) -> None:
            told = outcome.value
            if outcome.error is None and told["right"] and epoch == self._epoch:
                self._remember(proof.name, Known(frozenset(told["groups"]), None), self._remembered_s())
            done(outcome)

        self._ask("directory.prove", {"name": proof.name, "password": password}, answered)

    def forget(self) -> None:
        """Forget everybody: users are those of another directory now, or it is asked in another way."""
        self._epoch += 1
        self._known.clear()

    def _look_up(self, name: str, settled: Settled) -> None:
        if name in self._known:
            settled()
            return
        others = self._waiting.setdefault(name, [])
        others.append(settled)
        if len(others) == 1:
            self._queue.append(name)
            self._ask_next()

    def _ask_next(self) -> None:
        while self._queue and self._asked_count < ASKED_AT_ONCE_COUNT_MAX:
            name, self._asked_count, epoch = self._queue.pop(0), self._asked_count + 1, self._epoch
            self._ask("directory.find", {"name": name}, partial(self._answered, name, epoch))

    def _answered(self, name: str, epoch: int, outcome: Outcome) -> None:
        self._asked_count -= 1
        error, told = outcome.error, outcome.value
        if epoch != self._epoch:  # the settings are others now
            error = Unavailable("the user directory has just been changed; try again", "unavailable.directory")
        if isinstance(error, KeysteadError):
            self._remember(name, Known(frozenset(), error), PROBLEM_REMEMBERED_S)
        elif not told["found"]:
            self._remember(name, Known(frozenset(), Unauthenticated(NO_USER)), UNKNOWN_REMEMBERED_S)
        else:
            self._remember(name, Known(frozenset(told["groups"]), None), self._remembered_s())
        for settled in self._waiting.pop(name, ()):
            settled()
        self._ask_next()

    def _remember(self, name: str, known: Known, for_s: float) -> None:
        if name not in self._known and len(self._known) >= NAMES_REMEMBERED_COUNT_MAX:
            del self._known[next(iter(self._known))]
        self._known[name] = known
        self._later(for_s, lambda: self._forget(name, known))

    def _forget(self, name: str, known: Known) -> None:
        if self._known.get(name) is known:
            del self._known[name]
        self._forgotten()  # in any case: connections may go by what was known before
