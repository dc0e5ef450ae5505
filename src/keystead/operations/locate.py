"""Locate: find objects by their attributes, among those the asker may see.

Laws: nothing outside the asker's scopes is looked at; a negative or missing limit never lifts the server's own; Locate
never writes.

Conditions that the store's index does not know (digests, lease times, usage limits, …) are decided here on what the
others leave, over a bounded number of objects. No default objects of groups are kept, so Object Group Member "default"
adds no condition.

Source: KMIP 1.4 section 4.9, 11.10; KMIP 2.1 section 6.1.28; requirements KS-KMIP-043, 044; attacks.md class 14.
"""

from collections.abc import Iterator

from keystead.core.attribute_values import DATE_S_MAX, checked, known_rule, micros
from keystead.core.attribute_views import READERS, instances_of
from keystead.core.attributes import ItemType, Value
from keystead.core.authorize import scopes_of
from keystead.core.errors import Invalid, TooLarge
from keystead.core.lifecycle import GONE
from keystead.core.permission import Right
from keystead.core.records import ManagedObject
from keystead.core.search import HEAD_NAMES
from keystead.core.structures import TAG_USAGE_LIMITS_COUNT, TAG_USAGE_LIMITS_TOTAL
from keystead.gate.call import Call
from keystead.gate.operation import PLACEHOLDER, operation
from keystead.operations.requests import Condition, Locate, Located
from keystead.storage.store import LOCATE_COUNT_MAX, LOCATE_MATCHES_COUNT_MAX, LOCATE_OFFSET_MAX, Match, Query

WALKED_COUNT_MAX = 10_000
"""Objects looked at one by one for conditions that no index decides."""

ONLINE, DESTROYED = 1, 4  # Storage Status Mask
GROUP_MEMBER_FRESH = 1
LIMITS = "Usage Limits"

_DATES = (ItemType.DATE_TIME, ItemType.DATE_TIME_EXTENDED)
_UNINDEXED = (READERS.keys() - HEAD_NAMES) | {LIMITS}


def _placed(result: Located) -> str:
    """Return the only hit; several or none empty the ID Placeholder (KMIP 1.4 section 4.9)."""
    return result.ids[0] if len(result.ids) == 1 else PLACEHOLDER


@operation(Locate, "key.locate", "Locate", user=Right.SEE, places=_placed)
def locate(call: Call, request: Locate) -> Located:
    """Return the ids of what matches, newest first."""
    limit_count = _limit(request)
    storage = ONLINE if request.storage_mask is None else request.storage_mask
    if not storage & (ONLINE | DESTROYED):
        return Located((), 0)
    matches, rest = _conditions(request)
    query = Query(
        call.principal.realm,
        scopes_of(call.principal, call.switches),
        matches,
        call.now_us,
        request.offset_count,
        limit_count,
        destroyed=bool(storage & DESTROYED),
    )
    if rest or not storage & ONLINE:
        ids = _walked(call, query, rest, only_gone=not storage & ONLINE)
    else:
        ids = call.desk.locate(query)
    whole = len(ids) < limit_count and (ids or not request.offset_count)
    return Located(tuple(ids), request.offset_count + len(ids) if whole else None)


def _limit(request: Locate) -> int:
    wanted = request.maximum_count
    if (wanted is not None and wanted < 0) or not 0 <= request.offset_count <= LOCATE_OFFSET_MAX:
        raise Invalid("Maximum Items and Offset Items count from 0", "invalid.field")
    return min(wanted or LOCATE_COUNT_MAX, LOCATE_COUNT_MAX)


def _conditions(request: Locate) -> tuple[tuple[Match, ...], list[Condition]]:
    """Return what the index decides, and the rest."""
    if len(request.conditions) > LOCATE_MATCHES_COUNT_MAX:
        raise Invalid("a search has at most 100 conditions", "invalid.field")
    matches: list[Match] = []
    rest: list[Condition] = []
    dates: dict[str, list[Value]] = {}
    for condition in request.conditions:
        value = _checked(condition)
        if value.type in _DATES:
            dates.setdefault(condition.name, []).append(value)
        elif condition.name in _UNINDEXED:
            rest.append(Condition(condition.name, value))
        else:
            matches.append(Match(condition.name, value))
    matches.extend(_range(name, values) for name, values in dates.items())
    if request.group_member == GROUP_MEMBER_FRESH:
        matches.append(Match("Fresh", Value(ItemType.BOOLEAN, True)))
    return tuple(matches), rest


def _checked(condition: Condition) -> Value:
    value = condition.value
    known_rule(condition.name)
    if value.type in _DATES:  # "its largest possible value" means no bound (KMIP 1.4 section 4.9)
        scale = 1 if value.type == ItemType.DATE_TIME else 1_000_000
        value = Value(value.type, min(value.content, DATE_S_MAX * scale))
    return checked(condition.name, value, partial=True)


def _range(name: str, values: list[Value]) -> Match:
    """Two dates of one name are the ends of a range, inclusive."""
    if len(values) == 1:
        return Match(name, values[0])
    if len(values) > 2:
        raise Invalid(f"give one {name}, or two for a range", "invalid.field")
    low, high = sorted(values, key=micros)
    if low.type != high.type:
        low, high = (Value(ItemType.DATE_TIME_EXTENDED, micros(value)) for value in (low, high))
    return Match(name, low, high)


def _walked(call: Call, query: Query, rest: list[Condition], *, only_gone: bool) -> list[str]:
    found: list[str] = []
    wanted_count = query.offset_count + query.limit_count
    for record in _records(call, query):
        if only_gone and record.state(call.now_us) not in GONE:
            continue
        if all(_holds(record, condition, call.now_us) for condition in rest):
            found.append(record.id)
            if len(found) == wanted_count:
                break
    return found[query.offset_count :]


def _records(call: Call, query: Query) -> Iterator[ManagedObject]:
    for offset_count in range(0, WALKED_COUNT_MAX, LOCATE_COUNT_MAX):
        page = call.desk.locate(query._replace(offset_count=offset_count, limit_count=LOCATE_COUNT_MAX))
        for object_id in page:
            loaded = call.desk.get(object_id)
            if loaded is not None and isinstance(loaded.record, ManagedObject):
                yield loaded.record
        if len(page) < LOCATE_COUNT_MAX:
            return
    raise TooLarge("the search looks at too many objects; add a condition, such as a Name or Object Group")


def _holds(record: ManagedObject, condition: Condition, now_us: int) -> bool:
    wanted = condition.value
    for _, _, held in instances_of(record, condition.name, now_us):
        if condition.name == LIMITS:
            if _limits_suffice(held, wanted):
                return True
        elif wanted.type == ItemType.STRUCTURE:
            if all(field in held.content for field in wanted.content):
                return True
        elif held == wanted:
            return True
    return False


def _limits_suffice(held: Value, wanted: Value) -> bool:
    """Totals and counts are at least what is asked for (KMIP 1.4 section 4.9)."""
    for tag, _, content in wanted.content:
        found = held.field(tag)
        if tag in (TAG_USAGE_LIMITS_TOTAL, TAG_USAGE_LIMITS_COUNT):
            if found is None or found < content:
                return False
        elif found != content:
            return False
    return True
