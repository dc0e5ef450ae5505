"""Sessions of administrators: who has logged in, for as long as they are active and the account stays as it is.

Laws: a session ends with its account, with another password, and by itself; its token is kept as a digest only. Nothing
of it outlives the process.

Source: requirements KS-UI-025; KS-ADM-005; attacks.md class 46.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from keystead.core.errors import Limited
from keystead.core.secret import Secret

TOKEN_BYTES = 32
SESSIONS_COUNT_MAX = 1_000
SESSIONS_PER_ADMINISTRATOR_COUNT_MAX = 50
LIFE_S_MAX = 43_200.0


@dataclass(frozen=True, slots=True)
class Session:
    """One login.

    Attributes:
        administrator: Name of the account.
        address: Where the login came from.
        password: What was kept of the password it was made with; another one ends it.
        must_change: The password is good for nothing but setting another one.
        begun_s: On the clock of the table.
        used_s: When it was used last.
    """

    administrator: str
    address: str
    password: str
    must_change: bool
    begun_s: float
    used_s: float


class Sessions:
    """The sessions of one process.

    Args:
        clock: Seconds that nobody can set.
        idle_s: After how long without use a session ends, asked each time.
    """

    def __init__(self, clock: Callable[[], float], idle_s: Callable[[], float]) -> None:
        self._clock = clock
        self._idle_s = idle_s
        self._held: dict[bytes, Session] = {}

    def begin(self, administrator: str, address: str, password: str, *, must_change: bool) -> Secret:
        """Begin a session and return its token, which is not kept.

        Raises:
            Limited: there are too many.
        """
        own = [digest for digest, one in self._held.items() if one.administrator == administrator]
        if len(own) >= SESSIONS_PER_ADMINISTRATOR_COUNT_MAX:
            del self._held[min(own, key=lambda digest: self._held[digest].used_s)]
        if len(self._held) >= SESSIONS_COUNT_MAX:
            raise Limited("too many administrators are logged in; try again later", 60.0)
        token = Secret(secrets.token_urlsafe(TOKEN_BYTES).encode())
        now_s = self._clock()
        self._held[digest_of(token)] = Session(administrator, address, password, must_change, now_s, now_s)
        return token

    def find(self, token: Secret) -> Session | None:
        """Return the session of a token as it is now used, None when there is none any more."""
        digest = digest_of(token)
        held = self._held.get(digest)
        if held is None or self._is_over(held):
            return None
        used = self._held[digest] = replace(held, used_s=self._clock())
        return used

    def holds(self, token: Secret) -> bool:
        """Tell whether a session has not ended, without using it."""
        held = self._held.get(digest_of(token))
        return held is not None and not self._is_over(held)

    def renew(self, token: Secret, password: str) -> None:
        """Let a session go on with the password that was set in it."""
        digest = digest_of(token)
        if digest in self._held:
            self._held[digest] = replace(self._held[digest], password=password, must_change=False)

    def end(self, token: Secret) -> None:
        """End a session."""
        self._held.pop(digest_of(token), None)

    def expired(self) -> list[Session]:
        """Remove and return the sessions that have ended by themselves."""
        over = [digest for digest, held in self._held.items() if self._is_over(held)]
        return [self._held.pop(digest) for digest in over]

    def __len__(self) -> int:
        return len(self._held)

    def _is_over(self, held: Session) -> bool:
        now_s = self._clock()
        return now_s - held.used_s > self._idle_s() or now_s - held.begun_s > LIFE_S_MAX


def digest_of(token: Secret) -> bytes:
    """Return under what a token is kept."""
    return hashlib.sha256(token.reveal()).digest()
