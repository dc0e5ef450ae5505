"""Searches page by page and everywhere, as administrators need them, on every engine."""

import pytest

from keystead.core.attributes import text
from keystead.core.errors import Invalid, TooLarge
from keystead.core.lifecycle import Dates
from keystead.core.permission import Right
from keystead.storage import locate
from keystead.storage.store import EVERYWHERE, Reader, Writer
from tests.support.stores import attributes, equal, new_object, numbers, object_id, put, query


def test_locate_goes_on_below_an_object(reader: Reader, writer: Writer) -> None:
    put(writer, *(new_object(number, attributes=attributes(x_site=str(number % 2))) for number in range(1, 10)))
    assert numbers(reader.locate(query(below=object_id(5), limit_count=3))) == [4, 3, 2]
    assert numbers(reader.locate(query(below=object_id(1)))) == []
    odd = equal("x-site", text("1"))
    assert numbers(reader.locate(query(odd, below=object_id(6)))) == [5, 3, 1]
    assert numbers(reader.locate(query(odd, equal("Object Type", 2), below=object_id(6), limit_count=1))) == [5]
    with pytest.raises(Invalid):
        reader.locate(query(below="no id"))


def test_locate_everywhere_finds_what_anybody_has(reader: Reader, writer: Writer) -> None:
    assert reader.locate(query(scopes=EVERYWHERE)) == []
    put(
        writer,
        new_object(1),
        new_object(2, owner="bob", grants={"staff": int(Right.DECRYPT), "user:alice": int(Right.DECRYPT)}),
        new_object(3, owner=None, attributes=attributes(x_site="north")),
        new_object(4, dates=Dates(destroy_us=1), attributes=attributes(x_site="north")),
        new_object(5, realm="other"),
        new_object(6, attributes=attributes(x_site="north")),
    )
    north = equal("x-site", text("north"))
    for below, rest in (("", [6, 3, 2, 1]), (object_id(3), [2, 1])):
        assert numbers(reader.locate(query(scopes=EVERYWHERE, below=below))) == rest
    assert numbers(reader.locate(query(scopes=EVERYWHERE, destroyed=True))) == [6, 4, 3, 2, 1]
    assert numbers(reader.locate(query(north, scopes=EVERYWHERE))) == [6, 3]
    assert numbers(reader.locate(query(north, scopes=EVERYWHERE, destroyed=True))) == [6, 4, 3]


def test_a_search_everywhere_has_a_limit(reader: Reader, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "LOCATE_PLACES_COUNT_MAX", 2)
    put(writer, new_object(1, owner="a"), new_object(2, owner="b"))
    assert len(reader.locate(query(scopes=EVERYWHERE))) == 2
    put(writer, new_object(3, owner="c"))
    with pytest.raises(TooLarge):
        reader.locate(query(scopes=EVERYWHERE))
