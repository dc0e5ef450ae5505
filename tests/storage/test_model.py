"""A store against a dictionary: whatever is done in whatever order, both answer alike, and the store verifies clean."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keystead.core.attributes import Attributes, text
from keystead.core.authorize import scopes_for
from keystead.core.changes import Change, Put, Transaction
from keystead.core.lifecycle import Dates, next_transition_at, state_at
from keystead.core.permission import Right
from keystead.core.records import ManagedObject
from keystead.core.search import matches
from keystead.storage.store import EVERYWHERE, Match, Query
from keystead.storage.verify import verify_store
from tests.support.engines import ENGINES, reopened
from tests.support.stores import (
    NOW_US,
    attributes,
    equal,
    kmip_name,
    new_object,
    object_id,
    request_id,
    with_material,
)

NUMBERS = st.integers(1, 8)
OWNERS = st.sampled_from(["alice", "bob", None])
WORDS = st.sampled_from(["a", "b", "c"])
MOMENTS = st.none() | st.integers(NOW_US - 3, NOW_US + 12)
GRANTS = st.dictionaries(st.sampled_from(["staff", "ops"]), st.sampled_from([0, int(Right.SEE), int(Right.EXPORT)]))
ATTRIBUTES = st.builds(
    lambda name, group, site: attributes(Name=name, Object_Group=group, x_site=site), WORDS, WORDS, WORDS
)
DATES = st.builds(Dates, *[MOMENTS] * 6)
CONDITIONS = st.lists(
    st.one_of(
        WORDS.map(lambda word: equal("Name", kmip_name(word))),
        WORDS.map(lambda word: equal("Object Group", text(word))),
        WORDS.map(lambda word: equal("x-site", text(word))),
        st.integers(1, 6).map(lambda state: equal("State", state)),
        st.sampled_from([0, 4, 12, 16]).map(lambda mask: equal("Cryptographic Usage Mask", mask)),
    ),
    max_size=4,
)
SCOPES = st.lists(st.sampled_from(["u:alice", "u:bob", "g:staff", "g:ops", "*"]), unique=True, max_size=5).map(
    tuple
) | st.just(EVERYWHERE)


class StoreMachine(RuleBasedStateMachine):
    """Objects by number in `objects`, as the store must have them."""

    engine = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[int, ManagedObject] = {}
        self.written_at_us: dict[int, int] = {}
        self.now_us = NOW_US
        self.pending: list[tuple[dict[int, ManagedObject | None], Change]] = []
        self.journal_count = 0

    @initialize()
    def open(self) -> None:
        self.folder = TemporaryDirectory()
        self.store = ENGINES[self.engine](Path(self.folder.name))
        self.writer, self.reader = self.store.writer(), self.store.reader()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.reader.close()
            self.writer.close()
            report = verify_store(reopened(self.store), anchor=self.store.anchor())
            self.folder.cleanup()
            assert report.findings == ()

    def seen(self) -> dict[int, ManagedObject]:
        """The objects as the transactions planned so far leave them."""
        objects = dict(self.objects)
        for effects, _ in self.pending:
            for number, record in effects.items():
                if record is None:
                    objects.pop(number, None)
                else:
                    objects[number] = record
        return objects

    def plan(self, number: int, record: ManagedObject, put: Put) -> None:
        stored = record._replace(material=put.record.material, revision=record.revision + 1)
        self.pending.append(({number: stored}, Change((put,), None)))

    @rule(number=NUMBERS, owner=OWNERS, held=ATTRIBUTES, dates=DATES, sealed=st.booleans())
    def create(self, number: int, owner: str | None, held: Attributes, dates: Dates, sealed: bool) -> None:
        if number in self.seen():
            return
        record = new_object(number, owner, attributes=held, dates=dates)
        self.plan(number, record, with_material(record, number) if sealed else Put(record))

    @rule(number=NUMBERS, owner=OWNERS, held=ATTRIBUTES, dates=DATES, grants=GRANTS)
    def change(self, number: int, owner: str | None, held: Attributes, dates: Dates, grants: dict[str, int]) -> None:
        record = self.seen().get(number)
        if record is not None:
            changed = record._replace(owner=owner, attributes=held, dates=dates, grants=grants)
            self.plan(number, changed, Put(changed))

    @rule(number=NUMBERS, handle=WORDS)
    def rename(self, number: int, handle: str) -> None:
        seen = self.seen()
        if number in seen and all(record.handle != handle for record in seen.values()):
            self.plan(number, renamed := seen[number]._replace(handle=handle), Put(renamed))

    @rule(number=NUMBERS)
    def erase(self, number: int) -> None:
        record = self.seen().get(number)
        if record is not None:
            self.plan(number, bare := record._replace(material=None), Put(bare, erase_material=True))

    @rule(number=NUMBERS)
    def purge(self, number: int) -> None:
        record = self.seen().get(number)
        if record is not None:
            change = Change((), None, (("object", record.id, record.revision),))
            self.pending.append(({number: None}, change))

    @rule(number=NUMBERS, off_by=st.sampled_from([-1, 1, 5]))
    def conflict(self, number: int, off_by: int) -> None:
        record = self.seen().get(number)
        revision = (record.revision if record else 0) + off_by
        if revision >= 0:
            broken = new_object(number, handle=f"broken-{len(self.pending)}", revision=revision)
            self.pending.append(({}, Change((Put(broken),), None)))

    @precondition(lambda self: self.pending)
    @rule(together=st.booleans(), later_us=st.integers(0, 4))
    def commit(self, together: bool, later_us: int) -> None:
        """Commit what was planned: as one batch if nothing of it is broken, else one transaction each."""
        self.now_us += later_us
        planned, self.pending = self.pending, []
        whole = all(effects for effects, _ in planned)
        batches = [planned] if together and whole else [[each] for each in planned]
        group = [
            Transaction(request_id(1), "user:x", "-", self.now_us, tuple(("change", change) for _, change in batch))
            for batch in batches
        ]
        outcomes = self.writer.commit(group)
        for batch, outcome in zip(batches, outcomes, strict=True):
            assert (outcome is None) == all(effects for effects, _ in batch)
            for effects, _ in batch:
                self.apply(effects)

    def apply(self, effects: dict[int, ManagedObject | None]) -> None:
        for number, record in effects.items():
            self.journal_count += 1
            if record is None:
                del self.objects[number]
            else:
                self.objects[number] = record
                self.written_at_us[number] = self.now_us

    @rule(conditions=CONDITIONS, scopes=SCOPES, destroyed=st.booleans(), limit=st.integers(1, 5), after_us=MOMENTS)
    def locate(
        self, conditions: list[Match], scopes: tuple[str, ...], destroyed: bool, limit: int, after_us: int | None
    ) -> None:
        now_us = max(self.now_us, after_us or 0)
        query = Query("root", scopes, tuple(conditions), now_us, 0, limit, destroyed)
        expected = [record.id for record in self.matching(query)]
        assert self.reader.locate(query) == expected[:limit]
        assert self.reader.locate(query._replace(offset_count=1)) == expected[1 : limit + 1]
        for number, below in enumerate(expected[:limit]):
            assert self.reader.locate(query._replace(below=below)) == expected[number + 1 : number + 1 + limit]
            newer = query._replace(below=below, oldest_first=True)
            assert self.reader.locate(newer) == expected[:number][::-1][:limit]

    def matching(self, query: Query) -> Iterator[ManagedObject]:
        for record in sorted(self.objects.values(), key=lambda each: each.id, reverse=True):
            is_seen = query.scopes == EVERYWHERE or set(query.scopes) & set(scopes_for(record))
            if is_seen and matches(record, query):
                yield record

    @rule(after_us=st.integers(0, 15))
    def due(self, after_us: int) -> None:
        now_us = self.now_us + after_us
        expected = set()
        for number, record in self.objects.items():
            due_us = next_transition_at(record.dates, self.written_at_us[number])
            if due_us is not None and due_us <= now_us:
                expected.add(record.id)
        assert set(self.reader.due_transitions(now_us, 100)) == expected

    @invariant()
    def the_same_objects_are_there(self) -> None:
        if not hasattr(self, "reader"):
            return
        for number in range(1, 9):
            loaded = self.reader.object(object_id(number))
            expected = self.objects.get(number)
            assert (loaded.record if loaded else None) == expected
            if loaded is not None and expected is not None:
                assert (loaded.material is None) == (expected.material is None)
                by_handle: Any = self.reader.by_handle("root", "object", expected.handle)
                assert by_handle == loaded
                assert state_at(expected.dates, self.now_us) == expected.state(self.now_us)

    @invariant()
    def the_journal_has_every_change(self) -> None:
        if hasattr(self, "reader"):
            assert self.reader.changes_since(0)[0] == self.journal_count


class PostgresqlMachine(StoreMachine):
    engine = "postgresql"


TestPostgresql = PostgresqlMachine.TestCase
TestPostgresql.settings = settings(
    max_examples=6, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
