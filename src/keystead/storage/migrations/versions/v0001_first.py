"""The first schema: format 1.

Every table of records carries its realm; no foreign keys, triggers, sequences or serial numbers, so that the same
tables serve in SQLite and PostgreSQL and rows can be moved between them. Documents, leaves and digests are encoded as
docs/adr/0010 says; what is beside a document in its row is a hint, repeated from inside it.
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None

FORMAT = 1

SCHEMA = MetaData()

_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str) -> Column[str]:
    return Column(name, _TEXT, nullable=False)


def _bytes(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False)


def _number(name: str, *, optional: bool = False) -> Column[int]:
    kind: TypeEngine[int] = _NUMBER
    return Column(name, kind, nullable=optional, autoincrement=False)


def _single() -> tuple[Column[int], CheckConstraint]:
    return Column("id", Integer, primary_key=True, autoincrement=False), CheckConstraint("id = 1")


META = Table("meta", SCHEMA, Column("name", _TEXT, primary_key=True), _text("value"), sqlite_strict=True)
"""format, min_reader, min_writer, store_id: what must be known before any key can be tried."""

MARKS = Table("marks", SCHEMA, *_single(), _bytes("marks"), _bytes("mac"), sqlite_strict=True)
"""Permanent marks in one authenticated row: canonical CBOR map of text to text."""

ROOT = Table("root", SCHEMA, *_single(), _bytes("sealed"), sqlite_strict=True)
"""Root over all live records, heads of chain and audit trail; sealed, rewritten by every commit."""

RECORDS = Table(
    "records",
    SCHEMA,
    *(_text("kind"), _bytes("id"), _text("realm"), _text("handle"), _number("revision"), _number("at_us")),
    *(_number("next_us", optional=True), _bytes("document"), _bytes("mac")),
    Column("sealed", LargeBinary),
    UniqueConstraint("kind", "id", name="records_by_id"),
    UniqueConstraint("realm", "kind", "handle", name="records_by_handle"),
    sqlite_strict=True,
)
"""The truth: one authenticated document per live record, with its sealed material, which the document names by digest.

at_us = when this revision was written, next_us = when the state it was written with ends.
"""

Index(
    "records_due",
    RECORDS.c.next_us,
    sqlite_where=RECORDS.c.next_us.is_not(None),
    postgresql_where=RECORDS.c.next_us.is_not(None),
)

JOURNAL = Table(
    "journal",
    SCHEMA,
    Column("sequence", _NUMBER, primary_key=True, autoincrement=False),
    *(_number("at_us"), _bytes("request_id"), _text("principal"), _text("origin"), _text("operation")),
    *(_number("action"), _text("kind"), _bytes("id"), _number("revision"), _bytes("document"), _bytes("mac")),
    _bytes("chain"),
    sqlite_strict=True,
)
"""Every change of every record, whole, under the keyed chain."""

AUDIT = Table(
    "audit",
    SCHEMA,
    Column("sequence", _NUMBER, primary_key=True, autoincrement=False),
    *(_bytes("request_id"), _bytes("leaf"), _bytes("digest")),
    sqlite_strict=True,
)
"""Audit leaves, written with the change they tell of; taken over into the node's tree by (store, sequence)."""

Index("audit_by_request", AUDIT.c.request_id)

ATTRIBUTE_INDEX = Table(
    "attribute_index",
    SCHEMA,
    *(_bytes("term"), _bytes("object")),
    PrimaryKeyConstraint("term", "object"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""Hints for searches: one row per scope and indexed value of an attribute (docs/adr/0011)."""

LISTING = Table(
    "listing",
    SCHEMA,
    *(_bytes("place"), _bytes("object"), _number("object_type"), _number("state")),
    *(_number("next_us", optional=True), _number("algorithm"), _number("length_bits"), _number("format")),
    *(_number("usage_mask"), _number("flags"), _number("initial_us"), _number("last_change_us")),
    *(_number("activation_us", optional=True), _number("process_start_us", optional=True)),
    *(_number("protect_stop_us", optional=True), _number("deactivation_us", optional=True)),
    *(_number("destroy_us", optional=True), _number("compromise_us", optional=True)),
    *(_number("compromise_occurrence_us", optional=True), _number("original_creation_us", optional=True)),
    PrimaryKeyConstraint("place", "object"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""Hints for searches: one row per scope, with the object's head beside it."""


def upgrade() -> None:
    """Create all tables; the ids and numbers of `meta` are added by whoever creates the store."""
    bind = op.get_bind()
    SCHEMA.create_all(bind)
    bind.execute(
        META.insert(),
        [{"name": name, "value": str(FORMAT)} for name in ("format", "min_reader", "min_writer")],
    )
