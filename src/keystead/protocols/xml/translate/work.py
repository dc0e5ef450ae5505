"""What a request becomes, and what its answer is made from."""

from collections.abc import Callable
from typing import Any, NamedTuple

from keystead.core.attribute_table import ObjectType
from keystead.core.records import ManagedObject
from keystead.operations.links import LinkType, link_of
from keystead.protocols.xml.translate.fields import Field, Values
from keystead.protocols.xml.wire.elements import Element

KEY_VERSION = "KeyVersion"
NOWHERE = "no-such-object"
"""Target for a name that names nothing: the gate answers as for an object that may not be seen."""


class Asked(NamedTuple):
    """A request that was read.

    Attributes:
        values: By element.
        data: What followed it; None = nothing.
        find: Returns the object of a name; who asks may not be allowed to know of it, which the gate decides.
        get: Likewise, of an id.
        version: Returns the id of a version of a key by its number, None when there is none.
        now_us: When.
        user: Who is asking; "" = nobody in particular.
    """

    values: Values
    data: bytes | None
    find: Callable[[str], ManagedObject | None]
    get: Callable[[str], ManagedObject | None]
    version: Callable[[ManagedObject, int], str | None]
    now_us: int
    user: str

    def target(self, name: str) -> str:
        """Return the id that a name stands for."""
        record = self.find(name)
        return NOWHERE if record is None else record.id

    def version_target(self, record: ManagedObject | None) -> str:
        """Return the id of the version of a key that the request names, of its default version when it names none."""
        number = self.values.get(KEY_VERSION)
        if record is None or number is None:
            return NOWHERE if record is None else record.id
        return self.version(record, number) or NOWHERE

    def public_half(self, record: ManagedObject | None) -> str | None:
        """Return the id of the public key that goes with a private one, None when there is none any more."""
        if record is None or record.object_type != ObjectType.PRIVATE_KEY:
            return None
        linked_id = link_of(record.attributes, LinkType.PUBLIC_KEY)
        public = None if linked_id is None else self.get(linked_id)
        return None if public is None or public.material is None else public.id


class Answer(NamedTuple):
    """What an answer holds beside ID and Success; `chunks` of data follow it, None = none."""

    elements: tuple[Element, ...] = ()
    chunks: tuple[bytes, ...] | None = None


class Work(NamedTuple):
    """What the gate shall run for a request.

    Attributes:
        requests: Of operations; each has a line of its own in the activity log.
        answer: From their results.
        key: What the client calls the key, for the log.
        detail: For the log, where the operation has none of its own.
    """

    requests: tuple[Any, ...]
    answer: Callable[[list[Any]], Answer]
    key: str = ""
    detail: str = ""


class Row(NamedTuple):
    """One request of the table.

    Attributes:
        fields: What it may hold.
        make: From the values to work.
        about: For the documentation.
        answers: Elements of the answer beside ID and Success.
        data: "" = none, "answer" = data follows the answer, "both" = the request, too.
        unproven: For clients that have not logged in yet.
    """

    fields: tuple[Field, ...]
    make: Callable[[Asked], Work]
    about: str
    answers: tuple[Field, ...] = ()
    data: str = ""
    unproven: bool = False


def words(name: str, value: object) -> Element:
    """Return an element with text; truth is "true" or "false"."""
    return Element(name, str(value).lower() if isinstance(value, bool) else str(value))
