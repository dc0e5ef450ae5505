"""The same request sent twice is run once: answers by Idempotency-Key, for a day or until the process ends.

Source: draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from keystead.core.errors import Conflict, Invalid

KEY_CHARACTERS_MAX = 255
ANSWERS_COUNT_MAX = 10_000
KEPT_S = 86_400.0
HEADER = "idempotency-key"


@dataclass(slots=True)
class _Answer:
    digest: bytes
    at_s: float
    response: Response | None = None


class Once:
    """Remembers what was answered.

    Args:
        clock: Seconds that nobody can set.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._answers: OrderedDict[tuple[str, str], _Answer] = OrderedDict()

    async def run(self, who: str, key: str, said: bytes, run: Callable[[], Awaitable[Response]]) -> Response:
        """Run what a request says, unless it was run under this key already: then give that answer again.

        Args:
            who: The asker; keys of others are others.
            key: From the header.
            said: Method, path and body.
            run: Carries it out.

        Raises:
            Invalid: the key is too long. Conflict: the key was used for another request, or its first is not done yet.
        """
        if not 1 <= len(key) <= KEY_CHARACTERS_MAX:
            raise Invalid(f"an Idempotency-Key has 1 to {KEY_CHARACTERS_MAX} characters", "invalid.field")
        self._forget_old()
        digest, place = hashlib.sha256(said).digest(), (who, key)
        held = self._answers.get(place)
        if held is not None and held.digest != digest:
            raise Conflict("this Idempotency-Key was used for another request; take a new one")
        if held is not None and held.response is None:
            raise Conflict("the first request with this Idempotency-Key is not done yet; ask again later")
        if held is not None and held.response is not None:
            return held.response
        self._answers[place] = _Answer(digest, self._clock())
        try:
            response = await run()
        except BaseException:
            self._answers.pop(place, None)
            raise
        if response.status_code < 500:
            self._answers[place].response = response
        else:
            self._answers.pop(place, None)
        return response

    def _forget_old(self) -> None:
        now_s = self._clock()
        while self._answers:
            oldest = next(iter(self._answers.values()))
            if len(self._answers) < ANSWERS_COUNT_MAX and now_s - oldest.at_s < KEPT_S:
                return
            self._answers.popitem(last=False)
