"""Finding keys of any owner, page by page.

Laws: a page costs what is on it, not what is before it; a search that would look at too many keys in vain stops in the
middle and says where to go on, so that nobody waits for it.

By creation a page is a search of the store: its index decides all but a part of a name. By owner there is one search
for each user who has keys. By name the keys are walked along their names; for a part of a name their documents are
scanned for its bytes first. Where the index leaves few keys, these are sorted instead. Each order can be gone through
both ways: what a page begins and ends with stands in `previous` and `next`.

Source: requirement KS-KEY-001; docs/adr/0018-searches-of-administrators.md.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import repeat
from typing import Annotated, NamedTuple

from keystead.core.attributes import ItemType, Value
from keystead.core.errors import Invalid, TooLarge
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
from keystead.storage.store import EVERYWHERE, LOCATE_COUNT_MAX, Match, Query, Scan

KEYS_FOUND_COUNT_MAX = 1000
KEYS_LOOKED_AT_COUNT_MAX = 700
KEYS_SORTED_COUNT_MAX, KEYS_OF_ALL_SORTED_COUNT_MAX = 250, 100
OWNERS_AT_ONCE_COUNT = 64
SCANNED_AT_ONCE_COUNT, SCANNED_PER_LOOK_COUNT = 1_000, 10
CURSOR_CHARACTERS_MAX = 256
FEW_COUNT, MORE_COUNT = 32, 128  # where most of a page is found already
FIRST_LOOKS_COUNT = 128
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
        reverse: The same order from its end.
        after: `next` of the page before, with everything else as it was; "" = from the beginning. With `reverse` turned
            round, `previous` of a page leads to the one before it, whose keys then come from the last to the first.
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
    reverse: bool = False
    after: str = ""
    limit_count: Annotated[int, Number(1, KEYS_FOUND_COUNT_MAX)] = 100


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """One page.

    Attributes:
        keys: In order; there may be fewer than asked for, even none, before the end.
        next: Where the next page begins, "" = this was the last.
        previous: Where the page before ends, "" = this was asked for as the first.
    """

    keys: tuple[KeySummary, ...]
    next: str
    previous: str = ""


class _Seen(NamedTuple):
    """A step of a walk: where to go on after it, the key that was there, if any, and how many looks it cost."""

    place: tuple[str, ...]
    record: ManagedObject | None
    looks_count: int = 1


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
    query = Query(call.principal.realm, EVERYWHERE, tuple(_conditions(call, request)), call.now_us)
    walk = _Walk(call, request, query._replace(oldest_first=request.reverse), _place_of(request))
    steps = _WALKS[request.order]
    if not _is_for_index(walk):
        return _page(walk, steps(walk), KEYS_LOOKED_AT_COUNT_MAX)
    if not request.name_part:
        page = _page(walk, steps(walk), request.limit_count + FIRST_LOOKS_COUNT)  # enough where many keys match
        if len(page.keys) == request.limit_count or not page.next:
            return page
    few = _few(walk)
    return _page(walk, steps(walk) if few is None else _along(walk, few), KEYS_LOOKED_AT_COUNT_MAX)


def _page(walk: _Walk, steps: Iterator[_Seen], looks_count_max: int) -> FoundKeys:
    """Go so many steps, or until the page is full."""
    request = walk.request
    found: list[KeySummary] = []
    first: tuple[str, ...] = ()
    place, looks_count, is_whole = walk.place, 0, True
    for seen in steps:
        is_wanted = seen.record is not None and _is_wanted(walk, seen.record)
        if looks_count >= looks_count_max or (is_wanted and len(found) == request.limit_count):
            is_whole = False
            break
        if is_wanted and seen.record is not None:
            first = first or seen.place
            found.append(summary_of(seen.record, walk.query.now_us))
        looks_count += seen.looks_count
        place = seen.place
    following = "" if is_whole else _cursor(request.order, place)
    return FoundKeys(tuple(found), following, _cursor(request.order, first or place) if request.after else "")


def _is_for_index(walk: _Walk) -> bool:
    """Tell whether the index may leave few keys, and searches along the order would find them one by one."""
    request = walk.request
    is_decided = bool(walk.query.matches or request.group or request.owner is not None)
    return is_decided and (request.order is not KeyOrder.CREATION or bool(request.name_part))


def _conditions(call: Call, request: FindKeys) -> Iterator[Match]:
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
        ((name, _, value),) = attributes_from(call, (request.attribute,))
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
    names = (record.handle, *names_of(record)) if request.name_part else ()
    if names and not any(_contains(name, request.name_part) for name in names):
        return False
    return record.realm == walk.query.realm and matches(record, walk.query)


def _contains(name: str, part: str) -> bool:
    """Tell whether a name contains a part: of ASCII as a scan of bytes finds it, otherwise in any case of letters."""
    if part.isascii():
        return part.lower().encode() in name.encode().lower()
    return part.casefold() in name.casefold()


def _few(walk: _Walk) -> list[ManagedObject] | None:
    """Return all that the index leaves, None when these are many."""
    request, desk = walk.request, walk.call.desk
    scopes = _scopes(request)
    most = KEYS_OF_ALL_SORTED_COUNT_MAX if scopes == EVERYWHERE else KEYS_SORTED_COUNT_MAX
    try:
        ids = desk.locate(walk.query._replace(scopes=scopes, limit_count=most + 1))
    except TooLarge:
        return None
    if len(ids) > most:
        return None
    loaded = [desk.get(object_id) for object_id in ids]
    return [one.record for one in loaded if one is not None and isinstance(one.record, ManagedObject)]


def _along(walk: _Walk, few: list[ManagedObject]) -> Iterator[_Seen]:
    """Go along keys in memory, from where the page before ended."""
    few.sort(key=lambda record: record.id, reverse=True)
    placed = [(_place_at(walk.request.order, record), record) for record in few]
    placed.sort(key=lambda one: one[0][0])  # those of one owner stay as they are: newest first
    begin = ("", *walk.place) if walk.request.order is KeyOrder.CREATION and walk.place else walk.place
    is_beyond = partial(_is_beyond, begin, newest_first=not walk.request.reverse)
    for place, record in reversed(placed) if walk.request.reverse else placed:
        if not begin or is_beyond(place):
            yield _Seen(place[-1:] if walk.request.order is KeyOrder.CREATION else place, record)


def _place_at(order: KeyOrder, record: ManagedObject) -> tuple[str, ...]:
    if order is KeyOrder.OWNER:
        return record.owner or "", record.id
    return (record.handle,) if order is KeyOrder.NAME else ("", record.id)


def _is_beyond(begin: tuple[str, ...], place: tuple[str, ...], *, newest_first: bool) -> bool:
    if place[0] != begin[0]:
        return (place[0] > begin[0]) is newest_first
    return place[1:] != begin[1:] and (place[1:] < begin[1:]) is newest_first


def _scopes(request: FindKeys) -> tuple[str, ...]:
    if request.owner is not None:
        return (_scope_of(request.owner),)
    return (f"g:{request.group}",) if request.group else EVERYWHERE


def _by_creation(walk: _Walk) -> Iterator[_Seen]:
    (below,) = walk.place or ("",)
    scopes = _scopes(walk.request)
    if scopes == EVERYWHERE and (not walk.query.matches or _bytes_of(walk.request)):
        yield from _scanned(walk, below)
        return
    for record in _located(walk, scopes, below):
        yield _Seen((record.id,), record)


def _by_owner(walk: _Walk) -> Iterator[_Seen]:
    """Walk along the owners; of each, along the keys, among them some that were only granted."""
    begin, below = walk.place or ("", "")
    for owner in _owners(walk, begin):
        for record in _located(walk, (_scope_of(owner),), below):
            yield _Seen((owner, record.id), record if (record.owner or "") == owner else None)
        below = ""
        yield _Seen((owner, _NEWEST if walk.request.reverse else _OLDEST), None)


def _owners(walk: _Walk, begin: str) -> Iterator[str]:
    """Yield owners from one on: nobody, then users by name; backwards nobody is the last."""
    only, reverse = walk.request.owner, walk.request.reverse
    if only is not None:
        yield only
        return
    if begin or not reverse or walk.place:
        yield begin
    if reverse and walk.place and not begin:
        return
    reader, realm = walk.call.desk.objects.reader, walk.call.principal.realm
    while users := reader.list_records(KIND_USER, begin, OWNERS_AT_ONCE_COUNT, realm, backwards=reverse):
        for loaded in users:
            begin = loaded.record.handle
            yield begin
    if reverse:
        yield ""


def _by_name(walk: _Walk) -> Iterator[_Seen]:
    (after,) = walk.place or ("",)
    if _bytes_of(walk.request):
        yield from _scanned(walk, after)
        return
    reader, realm = walk.call.desk.objects.reader, walk.call.principal.realm
    for count in _counts(walk.request, MORE_COUNT):
        loaded = reader.list_records(KIND_OBJECT, after, count, realm, backwards=walk.request.reverse)
        for one in loaded:
            if isinstance(one.record, ManagedObject):
                after = one.record.handle
                yield _Seen((after,), one.record)
        if len(loaded) < count:
            return


def _bytes_of(request: FindKeys) -> bytes:
    """Return the part of a name that a scan can look for, empty when there is none."""
    return request.name_part.encode() if request.name_part.isascii() else b""


def _scanned(walk: _Walk, after: str) -> Iterator[_Seen]:
    """Go along the keys, by name or by age, whose documents contain the part of a name somewhere."""
    desk, request, part = walk.call.desk, walk.request, _bytes_of(walk.request)
    by_id = request.order is KeyOrder.CREATION
    scan = Scan(b"", after, 0, walk.call.principal.realm, by_id, backwards=request.reverse is not by_id)
    is_over = False
    for count in repeat(SCANNED_AT_ONCE_COUNT) if part else _counts(request, MORE_COUNT):
        ids, end, is_over = desk.objects.reader.scan(scan._replace(part=part, after=after, limit_count=count))
        for object_id in ids:
            loaded = desk.get(object_id)
            if loaded is not None and isinstance(loaded.record, ManagedObject):
                yield _Seen((object_id if by_id else loaded.record.handle,), loaded.record)
        if is_over:
            return
        after = end
        yield _Seen((end,), None, max(1, count // SCANNED_PER_LOOK_COUNT))


_WALKS = {KeyOrder.NAME: _by_name, KeyOrder.CREATION: _by_creation, KeyOrder.OWNER: _by_owner}
_PARTS = {KeyOrder.NAME: 1, KeyOrder.CREATION: 1, KeyOrder.OWNER: 2}
_OLDEST = "00000000-0000-0000-0000-000000000000"
_NEWEST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
"""Older and newer than every id: nothing of an owner is left."""


def _located(walk: _Walk, scopes: tuple[str, ...], below: str) -> Iterator[ManagedObject]:
    """Yield what the store finds in some scopes, in the order of age that is asked for, by searches of a page each."""
    desk = walk.call.desk
    search = partial(walk.query._replace, scopes=scopes)
    last = _NEWEST if walk.request.reverse else _OLDEST
    for count in _counts(walk.request, LOCATE_COUNT_MAX) if below != last else ():
        found = desk.locate(search(below=below, limit_count=count))
        for object_id in found:
            loaded = desk.get(object_id)
            if loaded is not None and isinstance(loaded.record, ManagedObject):
                yield loaded.record
        if len(found) < count:
            return
        below = found[-1]


def _counts(request: FindKeys, then_count: int) -> Iterator[int]:
    """Yield how many keys to look at together: one more than wanted, which tells whether there is a next page."""
    yield min(request.limit_count + 1, LOCATE_COUNT_MAX)
    yield FEW_COUNT
    while True:
        yield then_count


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
