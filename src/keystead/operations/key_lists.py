"""Keys as administrators list them: whose they are and what they are, never what is in them.

Source: requirements KS-KEY-001, 003; chapter Keys.
"""

from dataclasses import dataclass

from keystead.core.algorithms import name_of
from keystead.core.attribute_table import ObjectType
from keystead.core.authorize import scopes_of
from keystead.core.errors import Invalid
from keystead.core.lifecycle import State, state_at
from keystead.core.permission import Access, Right
from keystead.core.records import ManagedObject
from keystead.core.search import TAG_NAME_VALUE
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.operations.grants import NoName
from keystead.storage.store import LOCATE_OFFSET_MAX, Query

KEYS_LISTED_COUNT_MAX = 1000


@dataclass(frozen=True, slots=True)
class ListKeys:
    """List keys, newest first, at most 1000.

    Attributes:
        user: Those that a user owns or was granted.
        group: Those that a group was granted; with neither, those of nobody.
        offset: How many to leave out at the beginning.
    """

    user: NoName = ""
    group: NoName = ""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Key:
    """A key as administrators see it; `names` are those that its users gave it."""

    id: str
    owner: str | None
    kind: str
    algorithm: str
    length_bits: int
    state: str
    names: tuple[str, ...]


@operation(ListKeys, "key.list", "KeyList", administrator=Access.KEYS, route=None)
def list_keys(call: Call, request: ListKeys) -> tuple[Key, ...]:
    """Return the keys, destroyed ones among them."""
    if request.user and request.group:
        raise Invalid("name a user or a group, not both", "invalid.field")
    scope = f"u:{request.user}" if request.user else f"g:{request.group}" if request.group else "*"
    limit = KEYS_LISTED_COUNT_MAX
    query = Query(call.principal.realm, (scope,), (), call.now_us, request.offset, limit, destroyed=True)
    loaded = [call.desk.get(object_id) for object_id in call.desk.objects.reader.locate(query)]
    records = [one.record for one in loaded if one is not None and isinstance(one.record, ManagedObject)]
    return tuple(_key(record, call.now_us) for record in records)


@dataclass(frozen=True, slots=True)
class ListOwnKeys:
    """List the objects that the asker may see and that are not destroyed, newest first.

    Attributes:
        offset: How many to leave out at the beginning.
        limit_count: At most so many; 1000 are the most there can be.
    """

    offset: int = 0
    limit_count: int = KEYS_LISTED_COUNT_MAX


@operation(ListOwnKeys, "key.list_own", "KeyNames", user=Right.SEE)
def list_own_keys(call: Call, request: ListOwnKeys) -> tuple[ManagedObject, ...]:
    """Return the records; nothing outside of the asker's scopes is looked at."""
    if not (0 <= request.offset <= LOCATE_OFFSET_MAX and 1 <= request.limit_count <= KEYS_LISTED_COUNT_MAX):
        raise Invalid("ask for 1 to 1000 keys, and leave out at most 100,000", "invalid.field")
    scopes = scopes_of(call.principal, call.switches)
    query = Query(call.principal.realm, scopes, (), call.now_us, request.offset, request.limit_count)
    loaded = [call.desk.get(object_id) for object_id in call.desk.locate(query)]
    return tuple(one.record for one in loaded if one is not None and isinstance(one.record, ManagedObject))


def _key(record: ManagedObject, now_us: int) -> Key:
    names = [
        str(content)
        for instance in record.attributes.instances("Name")
        for tag, _, content in instance.value.content
        if tag == TAG_NAME_VALUE
    ]
    return Key(
        record.id,
        record.owner,
        ObjectType(record.object_type).name.lower().replace("_", " "),
        name_of(record.shape.algorithm) if record.shape.algorithm else "-",
        record.shape.length_bits,
        State(state_at(record.dates, now_us)).name.lower().replace("_", "-"),
        tuple(names),
    )
