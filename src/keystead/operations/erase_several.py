"""Erasing the keys of a page at once: what a list or a query shows, at most fifty.

Laws: exactly the keys that somebody saw are erased, never what a query finds in the meantime; a key that cannot be
erased keeps none of the others; each failure is told and logged.

Source: requirements KS-KEY-043, 044, 050; chapter Keys (Delete All Keys On Current Page); docs/adr/0077-key-queries.md.
"""

import logging
from dataclasses import dataclass
from typing import Annotated

from keystead.core.approvals import Approval
from keystead.core.changes import Change, Put
from keystead.core.errors import Invalid, KeysteadError, NotFound, Refused, Tampered, TooLarge, WrongState
from keystead.core.fields import Items, Number, Text
from keystead.core.key_versions import VERSIONS_PER_KEY_COUNT_MAX
from keystead.core.permission import Access, Right
from keystead.core.records import ManagedObject
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.operations.admin_keys import erasure
from keystead.operations.key_queries import matcher_of
from keystead.storage.store import as_object

ERASED_COUNT_MAX = 50
VERSIONS_ERASED_COUNT_MAX = VERSIONS_PER_KEY_COUNT_MAX
ID_CHARACTERS = 36
KeyIds = Annotated[tuple[str, ...], Items(ERASED_COUNT_MAX), Text(characters_max=ID_CHARACTERS)]

log = logging.getLogger("keystead.operations")


@dataclass(frozen=True, slots=True)
class EraseSeveral:
    """Erase the bytes of up to 50 keys, each with the other half of its pair: what they protect is lost.

    Attributes:
        keys: Ids of the keys, as a list or a query has shown them.
        how_many: How many these are, to confirm that all of them are meant.
        query: Query that has to find each of them still; "" = none.
    """

    keys: KeyIds
    how_many: Annotated[int, Number(1, ERASED_COUNT_MAX)]
    query: Annotated[str, Text(characters_max=64)] = ""


@dataclass(frozen=True, slots=True)
class NotErased:
    """A key that was not erased.

    Attributes:
        id: As it was asked for.
        reason: Code of the reason.
        message: Why.
    """

    id: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ErasedKeys:
    """What came of it.

    Attributes:
        erased: Ids of the keys that were asked for and are erased.
        failed: Those that are not, and why.
    """

    erased: tuple[str, ...]
    failed: tuple[NotErased, ...]


@operation(
    EraseSeveral,
    "key.erase_several",
    "KeyEraseSeveral",
    administrator=Access.KEYS,
    route="POST /several-keys/erase",
    answer=ErasedKeys,
    approval=Approval.DELETE_KEYS,
)
def erase_several(call: Call, request: EraseSeveral) -> Change:
    """Erase each one that can be erased."""
    if not 1 <= len(request.keys) <= ERASED_COUNT_MAX or len(set(request.keys)) < len(request.keys):
        raise Invalid(f"name 1 to {ERASED_COUNT_MAX} keys, each once", "invalid.field")
    if any(len(key_id) > ID_CHARACTERS for key_id in request.keys):
        raise Invalid(f"the id of a key has {ID_CHARACTERS} characters", "invalid.field")
    if request.how_many != len(request.keys):
        raise Invalid(
            f"these are {len(request.keys)} keys, and everything that they protect would be lost; confirm the number",
            "invalid.field",
        )
    matcher = matcher_of(call, request.query) if request.query else None
    puts: dict[str, Put] = {}
    purges: dict[tuple[str, str], tuple[str, str, int]] = {}
    failed: list[NotErased] = []
    versions_count = 0
    for key_id in request.keys:
        try:
            if key_id in puts or ("object", key_id) in purges:
                continue  # it went with the other half of its pair
            record = as_object(call.another(key_id, Right.DELETE))
            versions_count += _versions_count(record, versions_count)
            if matcher is not None and not matcher.matches(record):
                raise WrongState(f"{request.query} does not find it any more")
            change = erasure(call, record)
        except (Invalid, NotFound, Refused, Tampered, TooLarge, WrongState) as error:
            failed.append(_failure(key_id, error))
            continue
        puts |= {put.record.id: put for put in change.puts}
        purges |= {(kind, record_id): (kind, record_id, revision) for kind, record_id, revision in change.purges}
    return _outcome(
        request, tuple(puts.values()), tuple(purges.values()), tuple(one for one in failed if one.id not in puts)
    )


def _versions_count(record: ManagedObject, before_count: int) -> int:
    """Return how many versions go with a key.

    Raises:
        WrongState: it is an older version. TooLarge: these would be too many with those before.
    """
    if record.versioning is None:
        return 0
    if not record.versioning.is_default:
        raise WrongState("this is an older version; name the key by its newest one")
    if before_count + record.versioning.number > VERSIONS_ERASED_COUNT_MAX:
        raise TooLarge("too many versions at once; erase this key in a request of its own", "too_large.request")
    return record.versioning.number


def _failure(key_id: str, error: KeysteadError) -> NotErased:
    log.warning("key %s was not erased: %s", _visible(key_id), error.reason)
    return NotErased(key_id, error.reason, error.message)


def _visible(key_id: str) -> str:
    return ascii(key_id)[1:-1]


def _outcome(
    request: EraseSeveral,
    puts: tuple[Put, ...],
    purges: tuple[tuple[str, str, int], ...],
    failed: tuple[NotErased, ...],
) -> Change:
    left = {one.id for one in failed}
    erased = tuple(key_id for key_id in request.keys if key_id not in left)
    words = [f"{len(erased)} of {len(request.keys)} keys erased"]
    words += [f"query {request.query}"] if request.query else []
    words += [f"not erased: {' '.join(f'{_visible(one.id)} ({one.reason})' for one in failed)}"] if failed else []
    outcome = "done" if erased else "refused"
    return Change(puts, ErasedKeys(erased, failed), purges, "; ".join(words), outcome)
