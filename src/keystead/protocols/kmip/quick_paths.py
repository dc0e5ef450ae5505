"""Quick paths of common operations: no tree for a message of a shape seen before, a template for its answer.

The generic path (messages) is the reference: a quick path is learned from a message that it has read, and the template
is made by the same functions that write the generic answer, with slots in the place of values. So there is one place
that says what a message means, and a differential test that both ways agree. Nothing of what was learned keeps a value
of the message it was learned from.

Source: design.md section 4; performance.md section 8 rule 4.
"""

from collections.abc import Callable, Hashable
from dataclasses import replace
from struct import Struct
from typing import Any, NamedTuple

from keystead.core.attributes import ItemType, Value
from keystead.core.secret import Secret
from keystead.core.structures import TAG_NAME_VALUE
from keystead.gate.call import Reply
from keystead.operations.requests import (
    Create,
    Created,
    Decrypt,
    Decrypted,
    Encrypt,
    Encrypted,
    Get,
    Got,
    GotWrapped,
    Locate,
    Located,
)
from keystead.protocols.kmip.messages import CORRELATION_SINCE, Incoming, Item, header_node, item_node
from keystead.protocols.kmip.translate.key_blocks import STRUCTURED
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.shape_cache import ShapeCache
from keystead.protocols.kmip.wire.shapes import Freedom, Path, Shape
from keystead.protocols.kmip.wire.tags_table import Tag
from keystead.protocols.kmip.wire.templates import Slot, Template

LOCATED_COUNT_MAX = 7
"""Hits of a search that is answered from a template."""
TEMPLATES_PER_SHAPE_MAX = 16
"""Kinds of answers that are remembered for a shape: what kinds of keys there are is the clients' choice."""

_HEADER: Path = (Tag.REQUEST_MESSAGE, Tag.REQUEST_HEADER)
_ITEM: Path = (Tag.REQUEST_MESSAGE, Tag.BATCH_ITEM)
_PAYLOAD: Path = (*_ITEM, Tag.REQUEST_PAYLOAD)
_BATCH_ID: Path = (*_ITEM, Tag.UNIQUE_BATCH_ITEM_ID)
_NAMES: frozenset[Path] = frozenset(
    {
        (*_PAYLOAD, Tag.TEMPLATE_ATTRIBUTE, Tag.ATTRIBUTE, Tag.ATTRIBUTE_VALUE, Tag.NAME_VALUE),
        (*_PAYLOAD, Tag.ATTRIBUTE, Tag.ATTRIBUTE_VALUE, Tag.NAME_VALUE),
        (*_PAYLOAD, Tag.ATTRIBUTES, Tag.NAME, Tag.NAME_VALUE),
    }
)
"""Where the text of a Name stands: in Create and Locate of 1.x, and in both of 2.x."""

FREE: dict[Path, Freedom] = {
    (*_HEADER, Tag.CLIENT_CORRELATION_VALUE): Freedom.VALUE,
    (*_HEADER, Tag.TIME_STAMP): Freedom.VALUE,
    _BATCH_ID: Freedom.VALUE,
    (*_PAYLOAD, Tag.UNIQUE_IDENTIFIER): Freedom.VALUE,
    (*_PAYLOAD, Tag.DATA): Freedom.LENGTH,
    (*_PAYLOAD, Tag.IV_COUNTER_NONCE): Freedom.VALUE,
    (*_PAYLOAD, Tag.AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA): Freedom.VALUE,
    (*_PAYLOAD, Tag.AUTHENTICATED_ENCRYPTION_TAG): Freedom.VALUE,
    **dict.fromkeys(_NAMES, Freedom.LENGTH),
}
"""Leaves that differ between messages of one shape."""

NAME = "Name"

_FIELDS: dict[Path, str] = {
    (*_PAYLOAD, Tag.UNIQUE_IDENTIFIER): "target",
    (*_PAYLOAD, Tag.DATA): "data",
    (*_PAYLOAD, Tag.IV_COUNTER_NONCE): "iv",
    (*_PAYLOAD, Tag.AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA): "associated",
    (*_PAYLOAD, Tag.AUTHENTICATED_ENCRYPTION_TAG): "tag",
}
"""Free leaf -> field of the request."""


_seconds = Struct(">q").pack
_tuple: Callable[..., Any] = tuple.__new__  # makes a named tuple without a look at its defaults

_SLOT: Any = Slot()  # stands in results and nodes, where a value of any type may


class _SlotSecret(Secret):
    """Stands for key bytes in the tree of a template."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(b"")

    def reveal(self) -> Any:
        """Return a slot."""
        return _SLOT


class _Recipe(NamedTuple):
    """How results of an operation become answers.

    Attributes:
        parts: What decides which template a result needs (None = no template serves), and the values for its slots.
        stand_in: A result like this one, with slots for its values.
    """

    parts: Callable[[Any], tuple[Hashable, tuple[bytes, ...]]]
    stand_in: Callable[[Any], Any]


def _got(result: Got | GotWrapped) -> tuple[Hashable, tuple[bytes, ...]]:
    if type(result) is not Got:
        return None, ()
    held, object_type, block, _ = result
    if block is None:
        return None, ()
    form, material, algorithm, length_bits, subtype, split = block
    if form in STRUCTURED or split is not None:
        return None, ()
    return (object_type, form, algorithm, length_bits, subtype), (held.encode(), material.reveal())


def _got_stand_in(result: Got) -> Got:
    block = result.block
    slots = None if block is None else block._replace(material=_SlotSecret())
    return Got(_SLOT, result.object_type, slots)


def _encrypted(result: Encrypted) -> tuple[Hashable, tuple[bytes, ...]]:
    held, data, iv, tag, _ = result
    if iv is None:
        return (0, (held.encode(), data)) if tag is None else (1, (held.encode(), data, tag))
    return (2, (held.encode(), data, iv)) if tag is None else (3, (held.encode(), data, iv, tag))


def _encrypted_stand_in(result: Encrypted) -> Encrypted:
    return Encrypted(_SLOT, _SLOT, None if result.iv is None else _SLOT, None if result.tag is None else _SLOT)


def _decrypted(result: Decrypted) -> tuple[Hashable, tuple[bytes, ...]]:
    return 0, (result.id.encode(), result.data)


def _created(result: Created) -> tuple[Hashable, tuple[bytes, ...]]:
    return (result.object_type, result.implicit), (result.id.encode(),)


def _located(result: Located) -> tuple[Hashable, tuple[bytes, ...]]:
    ids = result.ids
    if len(ids) > LOCATED_COUNT_MAX:
        return None, ()
    return (len(ids), result.total_count), tuple([held.encode() for held in ids])


_RECIPES: dict[type, _Recipe] = {
    Create: _Recipe(_created, lambda result: result._replace(id=_SLOT)),
    Locate: _Recipe(_located, lambda result: result._replace(ids=(_SLOT,) * len(result.ids))),
    Get: _Recipe(_got, _got_stand_in),
    Encrypt: _Recipe(_encrypted, _encrypted_stand_in),
    Decrypt: _Recipe(_decrypted, lambda _result: Decrypted(_SLOT, _SLOT)),
}
"""Request type -> recipe of its results. Operations that are not here take the generic path."""


class _Named(NamedTuple):
    """The one Name among the attributes of a request, whose text differs from message to message.

    Attributes:
        position: Of the attributes, or conditions, in the request.
        place: Of the text among the values of a match.
        before, after: The other attributes; the same objects in every request.
        name: The Name without its value, which stands last.
        begin, end: The fields of its value before and after the text.
        kind: Of the Name: an attribute or a condition.
    """

    position: int
    place: int
    before: tuple[Any, ...]
    after: tuple[Any, ...]
    name: tuple[Any, ...]
    begin: tuple[Any, ...]
    end: tuple[Any, ...]
    kind: type

    @classmethod
    def within(cls, request: Any, paths: tuple[Path, ...]) -> "_Named | None":
        """Find it; None when there is none."""
        place = next((place for place, path in enumerate(paths) if path in _NAMES), None)
        if place is None:
            return None
        position = request._fields.index("attributes" if isinstance(request, Create) else "conditions")
        held = request[position]
        at = next(at for at, one in enumerate(held) if one.name == NAME)
        content = held[at].value.content
        text = next(i for i, (tag, _, _) in enumerate(content) if tag == TAG_NAME_VALUE)
        others = held[:at], held[at + 1 :]
        return cls(position, place, *others, held[at][:-1], content[:text], content[text + 1 :], type(held[at]))

    def filled(self, values: list[Any]) -> tuple[Any, ...]:
        """Return the attributes with this text in the Name."""
        text = (TAG_NAME_VALUE, ItemType.TEXT_STRING, values[self.place])
        value = Value(ItemType.STRUCTURE, (*self.begin, text, *self.end))
        return (*self.before, _tuple(self.kind, (*self.name, value)), *self.after)


class QuickPath:
    """What a learned shape means.

    Args:
        incoming: The message that the shape was made of, as the generic path has read it.
        paths: The shape's free leaves, in the order of the values that a match gives.

    Attributes:
        dialect: In which to answer.
        response_bytes_max: What the client can take.
        operation: KMIP's Operation.
        is_correlated: Answers carry a Server Correlation Value.
    """

    __slots__ = (
        *("_batch_id", "_constants", "_named", "_parts", "_places", "_stand_in", "_templates", "_type"),
        *("dialect", "is_correlated", "operation", "response_bytes_max"),
    )

    def __init__(self, incoming: Incoming, paths: tuple[Path, ...]) -> None:
        self.dialect = incoming.dialect
        self.response_bytes_max = incoming.response_bytes_max
        self.operation, _, request = incoming.items[0]
        self._type = type(request)
        self._parts, self._stand_in = _RECIPES[self._type]
        self._templates: dict[Hashable, Template] = {}
        free = {_FIELDS[path]: place for place, path in enumerate(paths) if path in _FIELDS}
        self._constants = [None if name in free else getattr(request, name) for name in request._fields]
        self._places = tuple((request._fields.index(name), place) for name, place in free.items())
        self._named = _Named.within(request, paths)
        self._batch_id = paths.index(_BATCH_ID) if _BATCH_ID in paths else None
        self.is_correlated = self.dialect.version >= CORRELATION_SINCE

    def request(self, values: list[Any]) -> Any:
        """Return the request of a message with these values in its free leaves."""
        arguments = self._constants.copy()
        for position, place in self._places:
            arguments[position] = values[place]
        named = self._named
        if named is not None:
            arguments[named.position] = named.filled(values)
        return _tuple(self._type, arguments)

    def incoming(self, values: list[Any]) -> Incoming:
        """Return what the generic path needs to answer that message."""
        item = Item(self.operation, None if self._batch_id is None else values[self._batch_id], None)
        return Incoming(self.dialect, (item,), response_bytes_max=self.response_bytes_max)

    def answer(self, values: list[Any], result: Any, seconds: int, correlation: bytes) -> bytes | None:
        """Return the answer to that message; None when no template serves.

        Args:
            values: Of the message's free leaves.
            result: Of its request.
            seconds: Time stamp.
            correlation: Server Correlation Value, for versions that have it.
        """
        kind, parts = self._parts(result)
        template = self._templates.get(kind)
        if template is None:
            if kind is None or len(self._templates) >= TEMPLATES_PER_SHAPE_MAX:
                return None
            template = self._templates[kind] = self._template(result)
        if self._batch_id is not None:
            parts = (values[self._batch_id], *parts)
        if self.is_correlated:
            parts = (correlation, *parts)
        parts = (_seconds(seconds), *parts)
        form = template.formats.get(tuple(map(len, parts)))
        message = template.render(parts) if form is None else form % parts
        return message if len(message) <= self.response_bytes_max else None

    def _template(self, result: Any) -> Template:
        item = Item(self.operation, None if self._batch_id is None else _SLOT, None)
        return Template(
            nodes.structure(
                Tag.RESPONSE_MESSAGE,
                header_node(self.dialect.version, _SLOT, _SLOT, 1),
                item_node(item, Reply(self._stand_in(result)), self.dialect),
            )
        )


class QuickPaths:
    """The quick paths that one server has learned; bounded, because clients choose what they send."""

    def __init__(self) -> None:
        self._shapes: ShapeCache[QuickPath] = ShapeCache(FREE)
        self.match = self._shapes.match

    def learn(self, message: bytes, incoming: Incoming) -> None:
        """Consider a message that `match` did not serve and that the generic path has read."""
        if len(incoming.items) == 1 and type(incoming.items[0].request) in _RECIPES:
            self._shapes.learn(message, lambda shape: _quick_path(incoming, shape))


def _quick_path(incoming: Incoming, shape: Shape) -> QuickPath | None:
    """Return the meaning of a shape; None when its message does not name its object by a text, or gives two Names."""
    operation, batch_id, request = incoming.items[0]
    if isinstance(request, Create | Locate):
        held = request.attributes if isinstance(request, Create) else request.conditions
        if sum(path in _NAMES for path in shape.paths) != sum(one.name == NAME for one in held):
            return None
        if isinstance(request, Create):
            like_others = request._replace(is_like_others=True)
            incoming = replace(incoming, items=(Item(operation, batch_id, like_others),))
        return QuickPath(incoming, shape.paths) if sum(one.name == NAME for one in held) < 2 else None
    return QuickPath(incoming, shape.paths) if request.target else None
