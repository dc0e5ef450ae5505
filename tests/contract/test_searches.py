"""Searches page by page and everywhere, as administrators need them, on every engine."""

import pytest

from keystead.core.attributes import text
from keystead.core.errors import Invalid, TooLarge
from keystead.core.lifecycle import Dates
from keystead.core.permission import Right
from keystead.storage import locate
from keystead.storage.store import EVERYWHERE, Reader, Scan, Writer
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


def test_locate_goes_by_age_the_other_way(reader: Reader, writer: Writer) -> None:
    sites = [attributes(x_site=str(number % 2), x_floor="1") for number in range(10)]
    put(writer, *(new_object(number, owner=f"o{number % 3}", attributes=sites[number]) for number in range(1, 10)))
    oldest = query(scopes=EVERYWHERE, oldest_first=True)
    assert numbers(reader.locate(oldest)) == [*range(1, 10)]
    assert numbers(reader.locate(oldest._replace(below=object_id(5), limit_count=3))) == [6, 7, 8]
    assert numbers(reader.locate(oldest._replace(below=object_id(9)))) == []
    both = (equal("x-site", text("1")), equal("x-floor", text("1")))
    assert numbers(reader.locate(query(*both, scopes=("u:o1", "u:o0"), oldest_first=True))) == [1, 3, 7, 9]
    assert numbers(reader.locate(query(*both, scopes=EVERYWHERE, oldest_first=True, below=object_id(3)))) == [5, 7, 9]


def test_a_scan_proposes_what_has_some_bytes_in_its_document(reader: Reader, writer: Writer) -> None:
    put(writer, *(new_object(number, attributes=attributes(x_site=f"Site{number % 2}")) for number in range(1, 6)))
    assert numbers(reader.scan(Scan(b"sITE1", "", 10)).ids) == [1, 3, 5]
    first = reader.scan(Scan(b"site0", "", 3))
    assert (numbers(first.ids), first.is_over) == ([2], False)
    rest = reader.scan(Scan(b"site0", first.end, 3))
    assert (numbers(rest.ids), rest.is_over) == ([4], True)
    back = reader.scan(Scan(b"site1", "", 2, backwards=True))
    assert (numbers(back.ids), back.is_over) == ([5], False)
    assert numbers(reader.scan(Scan(b"site1", back.end, 9, backwards=True)).ids) == [3, 1]
    assert reader.scan(Scan(b"site1", "", 10, "other")) == ([], "", True)
    by_age = Scan(b"", "", 2, by_id=True)
    assert numbers(reader.scan(by_age).ids) == [1, 2]
    assert numbers(reader.scan(by_age._replace(after=object_id(2))).ids) == [3, 4]
    assert numbers(reader.scan(by_age._replace(backwards=True)).ids) == [5, 4]
    assert numbers(reader.scan(by_age._replace(backwards=True, after=object_id(2), part=b"site1")).ids) == [1]
    with pytest.raises(Invalid):
        reader.scan(by_age._replace(after="no id"))


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
