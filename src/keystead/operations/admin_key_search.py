"""Finding keys of any owner, page by page.

Laws: a page costs what is on it, not what is before it; a search that would look at too many keys in vain stops in the
middle and says where to go on, so that nobody waits for it.

By creation a page is a search of the store: its index decides all but a part of a name. By owner there is one search
for each user who has keys. By name the keys are walked along their names. What the page before ended with stands in
`next`.

Source: requirement KS-KEY-001; docs/adr/0018-searches-of-administrators.md.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated, NamedTuple

from keystead.core.attributes import ItemType, Value
from keystead.core.errors import Invalid
from keystead.core.fields import Number, Text
from keystead.core.key_names import KeyKind, KeyState, kind_number, sort_or_family, state_number
from keystead.core.permission import Access
from keystead.core.records import KIND_OBJECT, KIND_USER, ManagedObject
from keystead.core.search import matches
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.operations.admin_keys import attributes_from
from keystead.operations.grants import NoName
from keystead.operations.key_details import KeySummary, names_of, summary_of
from keystead.storage.store import EVERYWHERE, LOCATE_COUNT_MAX, Match, Query

KEYS_FOUND_COUNT_MAX = 1000
KEYS_LOOKED_AT_COUNT_MAX = 2_000
CURSOR_CHARACTERS_MAX = 256
FEW_COUNT = 32  # where most of a page is found already
EARLIEST_US, LATEST_US = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years 1 to 9999


class KeyOrder(StrEnum):
    """What a list of keys goes by."""

    NAME = "name"
    CREATION = "creation"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class FindKeys:
    """Find keys; everything that is given must hold. Times are UTC microseconds, both ends included.

    Attributes:
        owner: Name of a user; "" = of nobody; None = whoever has them.
        group: That this group was granted.
        kind: What they are.
        algorithm: With length ("AES-256") or without ("AES").
        state: Where they are in their life; destroyed ones are found by their state only.
        name_part: Part of the name, or of a name that clients gave, in any case of letters.
        created_from_us: Made then or later.
        created_until_us: Made then or before.
        changed_from_us: Last changed then or later.
        changed_until_us: Last changed then or before.
        attribute: NAME=VALUE of a custom attribute, or of Contact Information, Object Group, Description or Comment.
        order: By name; by creation, newest first; or by owner, nobody's first, newest first of each.
        after: `next` of the page before, with everything else as it was; "" = from the beginning.
        limit_count: At most so many, 1 to 1000.
    """

    owner: NoName | None = None
    group: NoName = ""
    kind: KeyKind | None = None
    algorithm: Annotated[str, Text(r"[A-Za-z0-9-]{0,32}", 32)] = ""
    state: KeyState | None = None
    name_part: Annotated[str, Text(characters_max=255)] = ""
    created_from_us: int | None = None
    created_until_us: int | None = None
    changed_from_us: int | None = None
    changed_until_us: int | None = None
    attribute: Annotated[str, Text(r"([^=]+=.*)?", 1024)] = ""
    order: KeyOrder = KeyOrder.NAME
    after: str = ""
    limit_count: Annotated[int, Number(1, KEYS_FOUND_COUNT_MAX)] = 100


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """One page.

    Attributes:
        keys: In order; there may be fewer than asked for, even none, before the end.
        next: Where the next page begins, "" = this was the last.
    """

    keys: tuple[KeySummary, ...]
    next: str


class _Seen(NamedTuple):
    """A step of a walk: where to go on after it, and the key that was there, if any."""

    place: tuple[str, ...]
    record: ManagedObject | None


class _Walk(NamedTuple):
    """What a walk needs to know."""

    call: Call
    request: FindKeys
    query: Query
    place: tuple[str, ...]


@operation(FindKeys, "key.find", "KeyFind", administrator=Access.KEYS)
def find_keys(call: Call, request: FindKeys) -> FoundKeys:
    """Return one page of what matches."""
    if not 1 <= request.limit_count <= KEYS_FOUND_COUNT_MAX:
        raise Invalid(f"ask for 1 to {KEYS_FOUND_COUNT_MAX} keys", "invalid.field")
    query = Query(call.principal.realm, EVERYWHERE, tuple(_conditions(request)), call.now_us)
    walk = _Walk(call, request, query, _place_of(request))
    found: list[KeySummary] = []
    place = walk.place
    for looked_at_count, seen in enumerate(_WALKS[request.order](walk)):
        if looked_at_count == KEYS_LOOKED_AT_COUNT_MAX:
            return FoundKeys(tuple(found), _cursor(request.order, place))
        if seen.record is not None and _is_wanted(walk, seen.record):
            if len(found) == request.limit_count:
                return FoundKeys(tuple(found), _cursor(request.order, place))
            found.append(summary_of(seen.record, call.now_us))
        place = seen.place
    return FoundKeys(tuple(found), "")


def _conditions(request: FindKeys) -> Iterator[Match]:
    """Yield what the store's index decides."""
    if request.kind is not None:
        yield Match("Object Type", Value(ItemType.ENUMERATION, kind_number(request.kind)))
    if request.algorithm:
        sort = sort_or_family(request.algorithm)
        yield Match("Cryptographic Algorithm", Value(ItemType.ENUMERATION, int(sort.algorithm)))
        if sort.length_bits:
            yield Match("Cryptographic Length", Value(ItemType.INTEGER, sort.length_bits))
    if request.state is not None:
        yield Match("State", Value(ItemType.ENUMERATION, state_number(request.state)))
    yield from _between("Initial Date", request.created_from_us, request.created_until_us)
    yield from _between("Last Change Date", request.changed_from_us, request.changed_until_us)
    if request.attribute:
        ((name, _, value),) = attributes_from((request.attribute,))
        yield Match(name, value)


def _between(name: str, from_us: int | None, until_us: int | None) -> Iterator[Match]:
    if from_us is None and until_us is None:
        return
    low, high = (EARLIEST_US if from_us is None else from_us), (LATEST_US if until_us is None else until_us)
    if not EARLIEST_US <= low <= high <= LATEST_US:
        raise Invalid("a range of time begins before it ends, in the years 1 to 9999", "invalid.field")
    yield Match(name, Value(ItemType.DATE_TIME_EXTENDED, low), Value(ItemType.DATE_TIME_EXTENDED, high))


def _is_wanted(walk: _Walk, record: ManagedObject) -> bool:
    """Tell whether a key is wanted; of most walks the store has decided the greater part of it before."""
    request = walk.request
    if request.owner is not None and (record.owner or "") != request.owner:
        return False
    if request.group and request.group not in record.grants:
        return False
    if request.name_part:
        part = request.name_part.casefold()
        if not any(part in name.casefold() for name in (record.handle, *names_of(record))):
            return False
    return record.realm == walk.query.realm and matches(record, walk.query)


def _by_creation(walk: _Walk) -> Iterator[_Seen]:
    (below,) = walk.place or ("",)
    request = walk.request
    if request.owner is not None:
        scopes: tuple[str, ...] = (_scope_of(request.owner),)
    else:
        scopes = (f"g:{request.group}",) if request.group else EVERYWHERE
    for record in _located(walk, scopes, below):
        yield _Seen((record.id,), record)


def _by_owner(walk: _Walk) -> Iterator[_Seen]:
    """Walk along the owners; of each, along the keys, among them some that were only granted."""
    begin, below = walk.place or ("", "")
    for owner in _owners(walk, begin):
        for record in _located(walk, (_scope_of(owner),), below):
            yield _Seen((owner, record.id), record if (record.owner or "") == owner else None)
        below = ""
        yield _Seen((owner, _OLDEST), None)


def _owners(walk: _Walk, begin: str) -> Iterator[str]:
    """Yield owners from one on: nobody, then users by name."""
    only = walk.request.owner
    if only is not None:
        yield only
        return
    if not begin:
        yield ""
    reader, realm = walk.call.desk.objects.reader, walk.call.principal.realm
    if begin:
        yield begin
    while users := reader.list_records(KIND_USER, begin, KEYS_FOUND_COUNT_MAX, realm):
        for loaded in users:
            begin = loaded.record.handle
            yield begin


def _by_name(walk: _Walk) -> Iterator[_Seen]:
    (after,) = walk.place or ("",)
    reader, realm = walk.call.desk.objects.reader, walk.call.principal.realm
    for count in _counts(walk.request):
        loaded = reader.list_records(KIND_OBJECT, after, count, realm)
        for one in loaded:
            if isinstance(one.record, ManagedObject):
                after = one.record.handle
                yield _Seen((after,), one.record)
        if len(loaded) < count:
            return


_WALKS = {KeyOrder.NAME: _by_name, KeyOrder.CREATION: _by_creation, KeyOrder.OWNER: _by_owner}
_PARTS = {KeyOrder.NAME: 1, KeyOrder.CREATION: 1, KeyOrder.OWNER: 2}
_OLDEST = "00000000-0000-0000-0000-000000000000"
"""Older than every id: nothing of an owner is left."""


def _located(walk: _Walk, scopes: tuple[str, ...], below: str) -> Iterator[ManagedObject]:
    """Yield what the store finds in some scopes, newest first, by searches of a page each."""
    desk = walk.call.desk
    search = partial(walk.query._replace, scopes=scopes)
    for count in _counts(walk.request) if below != _OLDEST else ():
        found = desk.locate(search(below=below, limit_count=count))
        for object_id in found:
            loaded = desk.get(object_id)
            if loaded is not None and isinstance(loaded.record, ManagedObject):
                yield loaded.record
        if len(found) < count:
            return
        below = found[-1]


def _counts(request: FindKeys) -> Iterator[int]:
    """Yield how many keys to look at together: one more than wanted, which tells whether there is a next page."""
    yield min(request.limit_count + 1, LOCATE_COUNT_MAX)
    yield FEW_COUNT
    while True:
        yield LOCATE_COUNT_MAX


def _scope_of(owner: str) -> str:
    return f"u:{owner}" if owner else "*"


def _cursor(order: KeyOrder, place: tuple[str, ...]) -> str:
    return urlsafe_b64encode("\n".join((order, *place)).encode()).decode()


def _place_of(request: FindKeys) -> tuple[str, ...]:
    """Return where the page before ended, () = from the beginning.

    Raises:
        Invalid: this is no cursor, or of a list in another order.
    """
    if not request.after:
        return ()
    try:
        if len(request.after) > CURSOR_CHARACTERS_MAX:
            raise ValueError("too long")
        order, *place = urlsafe_b64decode(request.after.encode("ascii")).decode().split("\n")
    except ValueError:
        order, place = "", []
    if order != request.order or len(place) != _PARTS[request.order]:
        raise Invalid("go on with `next` of the page before, in the same order", "invalid.field")
    return tuple(place)
