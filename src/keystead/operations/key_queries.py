"""Queries of keys that administrators save, change, run again and build others upon.

Laws: a query that is saved leads to nothing that is missing and never back to itself; nothing that another query
refers to is deleted; the query of all keys is always there. What somebody runs without saving is kept once for each
administrator.

Source: requirements KS-KEY-046 to 050; chapter Keys (Query Keys, Saved Queries); docs/adr/0077-key-queries.md.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from keystead.core.changes import Change, Put
from keystead.core.errors import Exists, Invalid, NotFound, Refused
from keystead.core.fields import Items, Number, Text
from keystead.core.key_columns import COLUMNS_COUNT_MAX, USUAL, check_columns
from keystead.core.key_query import TEXT_CHARACTERS_MAX, Everything, Expression, references, written
from keystead.core.key_query_match import Matcher, resolved
from keystead.core.key_query_reader import read_query
from keystead.core.permission import Access
from keystead.core.records import KIND_ADMINISTRATOR, KIND_KEY_QUERY, Record
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import operation
from keystead.operations.key_query_plan import plan
from keystead.operations.key_query_run import QUERIED_COUNT_MAX, QueriedKeys, QueryOrder, Run, page_of
from keystead.operations.users import records_of

ALL_KEYS = "[All]"
UNNAMED = "Unnamed Query"
QUERIES_COUNT_MAX = 1000
ABOUT_CHARACTERS_MAX = 1024
PATTERN = r"[A-Za-z][A-Za-z0-9_.-]{0,63}"
NewQueryName = Annotated[str, Text(PATTERN, 64, example="old-tapes")]
QueryName = Annotated[str, Text(r"\[All\]|Unnamed Query|" + PATTERN, 64, example="old-tapes")]
QueryText = Annotated[str, Text(characters_max=TEXT_CHARACTERS_MAX, example="owner = storage1 and state = active")]
About = Annotated[str, Text(characters_max=ABOUT_CHARACTERS_MAX)]
Columns = Annotated[tuple[str, ...], Items(COLUMNS_COUNT_MAX), Text(characters_max=255)]
KeysCount = Annotated[int, Number(1, QUERIED_COUNT_MAX)]
_NAME = re.compile(PATTERN)


@dataclass(frozen=True, slots=True)
class CreateQuery:
    """Save a query of keys.

    Attributes:
        name: A letter and up to 63 letters, digits, "_", "." and "-".
        text: Which keys it finds, such as: owner = storage1 and (state = active or created > -30d).
        description: What it is for.
        columns: What it shows of each key; empty = name, owner, algorithm, state and created.
    """

    name: NewQueryName
    text: QueryText
    description: About = ""
    columns: Columns = ()


@dataclass(frozen=True, slots=True)
class ListQueries:
    """List saved queries by name, after the one of all keys and the asker's own unnamed one."""


@dataclass(frozen=True, slots=True)
class ShowQuery:
    """Show a query.

    Attributes:
        name: Of a saved one, "[All]" or "Unnamed Query".
    """

    name: QueryName


@dataclass(frozen=True, slots=True)
class ChangeQuery:
    """Change a saved query; what is left out stays as it is. Of "[All]" only the columns change.

    Attributes:
        name: Of the query.
        text: Which keys it finds.
        description: What it is for.
        columns: What it shows of each key.
    """

    name: QueryName
    text: QueryText | None = None
    description: About | None = None
    columns: Columns | None = None


@dataclass(frozen=True, slots=True)
class CopyQuery:
    """Save a query once more under another name; this is how the unnamed one is saved.

    Attributes:
        name: Of the query.
        new_name: Of the copy.
    """

    name: QueryName
    new_name: NewQueryName


@dataclass(frozen=True, slots=True)
class DeleteQuery:
    """Delete a saved query that no other one refers to."""

    name: QueryName


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Find the keys of a saved query, of "[All]", or once more of the "Unnamed Query" that the asker ran last.

    Attributes:
        name: Of the query.
        order: By creation, newest first, as quickly as the index allows; or by name.
        after: `next` of the page before, in the same order; "" = from the beginning.
        limit_count: At most so many, 1 to 1000.
    """

    name: QueryName
    order: QueryOrder = QueryOrder.CREATION
    after: str = ""
    limit_count: KeysCount = 100


@dataclass(frozen=True, slots=True)
class ApplyQuery:
    """Find keys by a query that is not saved; it is kept as the asker's "Unnamed Query", under which it goes on.

    Attributes:
        text: Which keys it finds, such as: owner = storage1 and (state = active or created > -30d).
        columns: What it shows of each key; empty = name, owner, algorithm, state and created.
        order: By creation, newest first, as quickly as the index allows; or by name.
        limit_count: At most so many, 1 to 1000.
    """

    text: QueryText
    columns: Columns = ()
    order: QueryOrder = QueryOrder.CREATION
    limit_count: KeysCount = 100


@dataclass(frozen=True, slots=True)
class KeyQuery:
    """A query.

    Attributes:
        name: Of the query.
        text: Which keys it finds, as it is written here.
        description: What it is for.
        columns: What it shows of each key.
        refers_to: Saved queries that it needs.
        referred_by: Saved queries that need it.
        changed_us: When it was last changed; None = never.
    """

    name: str
    text: str
    description: str
    columns: tuple[str, ...]
    refers_to: tuple[str, ...]
    referred_by: tuple[str, ...]
    changed_us: int | None


@operation(CreateQuery, "query.create", "QueryCreate", administrator=Access.KEYS, answer=KeyQuery)
def create_query(call: Call, request: CreateQuery) -> Change:
    """Save it in its canonical form."""
    return _created(call, request.name, request.text, request.description, request.columns)


@operation(ListQueries, "query.list", "QueryList", administrator=Access.KEYS)
def list_queries(call: Call, _request: ListQueries) -> tuple[KeyQuery, ...]:
    """Return what the asker can run."""
    saved = {record.handle: record for record in _saved(call)}
    unnamed = _unnamed(call)
    found = [_all_keys(call), *([] if unnamed is None else [unnamed]), *saved.values()]
    referring: dict[str, list[str]] = {}
    for record in saved.values():
        for name in record.fields["refers_to"]:
            referring.setdefault(name, []).append(record.handle)
    return tuple(_shown(record, tuple(referring.get(record.handle, ()))) for record in found)


@operation(ShowQuery, "query.show", "QueryShow", administrator=Access.KEYS)
def show_query(call: Call, request: ShowQuery) -> KeyQuery:
    """Return one query."""
    return _shown(_found(call, request.name), _referring(call, request.name))


@operation(ChangeQuery, "query.change", "QueryChange", administrator=Access.KEYS, answer=KeyQuery)
def change_query(call: Call, request: ChangeQuery) -> Change:
    """Change what was given."""
    if request.name == UNNAMED:
        raise Refused("the unnamed query is what you ran last; copy it to save it", "refused.permission")
    if request.name == ALL_KEYS and (request.text is not None or request.description is not None):
        raise Refused(f"of {ALL_KEYS} only the columns can be changed", "refused.permission")
    if request.text is None and request.description is None and request.columns is None:
        raise Invalid("say what to change", "invalid.missing")
    record = _found(call, request.name)
    fields = dict(record.fields)
    if request.text is not None:
        fields |= _read(call, request.text, request.name)
    if request.description is not None:
        fields["description"] = _checked_about(request.description)
    if request.columns is not None:
        fields["columns"] = _checked_columns(request.columns)
    changed = record._replace(fields={**fields, "changed_us": call.now_us})
    return _stored(call, changed, f"query {request.name} changed: {fields['text']}")


@operation(CopyQuery, "query.copy", "QueryCopy", administrator=Access.KEYS, answer=KeyQuery)
def copy_query(call: Call, request: CopyQuery) -> Change:
    """Save the same under another name."""
    fields = _found(call, request.name).fields
    return _created(call, request.new_name, fields["text"], fields["description"], tuple(fields["columns"]))


@operation(DeleteQuery, "query.delete", "QueryDelete", administrator=Access.KEYS, answer=KeyQuery)
def delete_query(call: Call, request: DeleteQuery) -> Change:
    """Delete it, unless it is needed; returns what it was."""
    if request.name in (ALL_KEYS, UNNAMED):
        raise Refused(f"{request.name} is always there", "refused.permission")
    record = _found(call, request.name)
    referring = _referring(call, request.name)
    if referring:
        raise Refused(f"{request.name} is needed by {', '.join(referring)}; change or delete those first")
    gone = (KIND_KEY_QUERY, record.id, record.revision)
    return Change((), _shown(record, ()), (gone,), f"query {request.name} deleted: {record.fields['text']}")


@operation(RunQuery, "query.run", "QueryRun", administrator=Access.KEYS, route="GET /queries/{name}/keys")
def run_query(call: Call, request: RunQuery) -> QueriedKeys:
    """Return one page."""
    fields = _found(call, request.name).fields
    return _page(call, read_query(fields["text"]), tuple(fields["columns"]), request.order, request)


@operation(
    ApplyQuery,
    "query.apply",
    "QueryApply",
    administrator=Access.KEYS,
    route="PUT /unnamed-query",
    answer=QueriedKeys,
)
def apply_query(call: Call, request: ApplyQuery) -> Change | QueriedKeys:
    """Return the first page, and keep the query; nothing is written when it is the one that was kept."""
    read = _read(call, request.text)
    columns = _checked_columns(request.columns)
    page = _page(call, read_query(read["text"]), tuple(columns), request.order, request)
    held = _unnamed(call)
    if held is not None and (held.fields["text"], held.fields["columns"]) == (read["text"], columns):
        return page
    place = _unnamed_place(call)
    record = call.desk.objects.record(KIND_KEY_QUERY, place, call.principal.realm)
    if record is None:
        record = Record(KIND_KEY_QUERY, new_id(call.now_us), place, {}, call.principal.realm)
    fields = {**read, "description": "", "columns": columns, "changed_us": call.now_us, "account": _account(call)}
    return Change((Put(record._replace(fields=fields)),), page, detail=f"query without a name: {read['text']}")


def matcher_of(call: Call, name: str) -> Matcher:
    """Return what puts keys to a query; raises as `query.run` does."""
    expression = read_query(_found(call, name).fields["text"])
    return Matcher(expression, resolved(expression, partial(_looked_up, call)), call.now_us)


def _page(
    call: Call, expression: Expression, columns: tuple[str, ...], order: QueryOrder, request: RunQuery | ApplyQuery
) -> QueriedKeys:
    others = resolved(expression, partial(_looked_up, call))
    matcher = Matcher(expression, others, call.now_us)
    after = request.after if isinstance(request, RunQuery) else ""
    searches = plan(expression, others, call.now_us)
    return page_of(call, Run(matcher, searches, columns, order, after, request.limit_count))


def _created(call: Call, name: str, text: str, description: str, columns: tuple[str, ...]) -> Change:
    if _NAME.fullmatch(name) is None:
        raise Invalid(
            "a query's name begins with a letter and has up to 64 letters, digits, underscores, periods and hyphens",
            "invalid.field",
        )
    if call.desk.objects.record(KIND_KEY_QUERY, name, call.principal.realm) is not None:
        raise Exists(f"there is a query {name} already; choose another name")
    if sum(1 for _ in _saved(call)) >= QUERIES_COUNT_MAX:
        raise Refused(f"at most {QUERIES_COUNT_MAX} queries are saved; delete one first")
    fields = {
        **_read(call, text, name),
        "description": _checked_about(description),
        "columns": _checked_columns(columns),
        "changed_us": call.now_us,
    }
    record = Record(KIND_KEY_QUERY, new_id(call.now_us), name, fields, call.principal.realm)
    return _stored(call, record, f"query {name} saved: {fields['text']}")


def _read(call: Call, text: str, name: str = "") -> dict[str, Any]:
    """Return the canonical text of a query and what it refers to, as it is kept.

    Raises:
        Invalid, NotFound: as reading and `resolved` do.
    """
    expression = read_query(text)
    resolved(expression, partial(_looked_up, call), name)
    return {"text": written(expression), "refers_to": list(references(expression))}


def _looked_up(call: Call, name: str) -> Expression:
    if name == ALL_KEYS:
        return Everything()
    record = call.desk.objects.record(KIND_KEY_QUERY, name, call.principal.realm)
    if record is None or _NAME.fullmatch(name) is None:
        raise NotFound(f"there is no saved query {name[:64]!r} to refer to")
    return read_query(record.fields["text"])


def _checked_about(description: str) -> str:
    if len(description) > ABOUT_CHARACTERS_MAX:
        raise Invalid(f"a description has at most {ABOUT_CHARACTERS_MAX} characters", "invalid.field")
    return description


def _checked_columns(columns: tuple[str, ...]) -> list[str]:
    check_columns(columns)
    return list(columns or USUAL)


def _found(call: Call, name: str) -> Record:
    if name == ALL_KEYS:
        return _all_keys(call)
    is_saved = _NAME.fullmatch(name) is not None
    record = _kept(call, name) if is_saved else _unnamed(call) if name == UNNAMED else None
    if record is None:
        raise NotFound(f"there is no query {name[:64]!r}; the list shows them")
    return record


def _kept(call: Call, place: str) -> Record | None:
    return call.desk.objects.record(KIND_KEY_QUERY, place, call.principal.realm)


def _all_keys(call: Call) -> Record:
    """Return the query of all keys; it is kept once somebody has changed its columns."""
    fields = {"text": "all", "refers_to": [], "description": "all keys", "columns": list(USUAL), "changed_us": None}
    record = Record(KIND_KEY_QUERY, new_id(call.now_us), ALL_KEYS, fields, call.principal.realm)
    return _kept(call, ALL_KEYS) or record


def _unnamed(call: Call) -> Record | None:
    """Return what the asker ran last, None = nothing; a namesake's does not count."""
    record = _kept(call, _unnamed_place(call))
    return record if record is not None and record.fields["account"] == _account(call) else None


def _unnamed_place(call: Call) -> str:
    return f"~{call.principal.kind}:{call.principal.name}"


def _account(call: Call) -> str:
    account = call.desk.objects.record(KIND_ADMINISTRATOR, call.principal.name)
    return "" if call.principal.kind != "administrator" or account is None else account.id


def _saved(call: Call) -> Iterator[Record]:
    return (record for record in records_of(call, KIND_KEY_QUERY) if _NAME.fullmatch(record.handle) is not None)


def _referring(call: Call, name: str) -> tuple[str, ...]:
    return tuple(record.handle for record in _saved(call) if name in record.fields["refers_to"])


def _shown(record: Record, referred_by: tuple[str, ...]) -> KeyQuery:
    fields = record.fields
    return KeyQuery(
        UNNAMED if record.handle.startswith("~") else record.handle,
        fields["text"],
        fields["description"],
        tuple(fields["columns"]),
        tuple(fields["refers_to"]),
        referred_by,
        fields["changed_us"],
    )


def _stored(call: Call, record: Record, detail: str) -> Change:
    return Change((Put(record),), _shown(record, _referring(call, record.handle)), detail=detail)
