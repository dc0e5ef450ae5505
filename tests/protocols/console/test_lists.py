"""Lists: sorted by a click on a column's title, filtered, cut into pages, or whole."""

import re
from collections.abc import Iterator

import pytest

from keystead.node.folder import read_config, unix_address
from keystead.protocols.local.client import ask
from tests.protocols.console.conftest import audited, password_of, visitor
from tests.support.console import Browser, Page
from tests.support.dev_node import DevNode

COUNT = 120


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The administrator of a node with many users."""
    node = DevNode(tmp_path_factory.mktemp("crowded"), web=True)
    node.start()
    address = unix_address(read_config(node.data).local_socket)
    for number in range(COUNT):
        ask(address, "user.create", name=f"u{number:04}", groups=["odd" if number % 2 else "even"])
    browser = visitor(node)
    browser.log_in("admin", password_of(node))
    yield browser
    node.stop()


def names(page: Page) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/users/show/([^"]+)"', page.html)


@pytest.mark.row("KS-UI-023")
def test_a_list_is_cut_into_pages(crowded: Browser) -> None:
    page = crowded.get("/users")
    assert len(names(page)) == 25
    assert "Page 1 of 5" in page.text
    walked = names(page)
    while 'rel="next"' in page.html:
        page = crowded.get(next(link for link in page.links if is_next(page, link)))
        walked += names(page)
    assert walked == sorted([*(f"u{number:04}" for number in range(COUNT)), "alice", "bob"])
    assert len(names(crowded.get("/users?per=50"))) == 50
    assert len(names(crowded.get("/users?per=all"))) == COUNT + 2
    assert len(names(crowded.get("/users?per=all&page=9"))) == COUNT + 2  # there is one page only


def is_next(page: Page, link: str) -> bool:
    return f'rel="next" href="{link.replace("&", "&amp;")}"' in page.html


@pytest.mark.row("KS-UI-023")
def test_a_click_on_a_title_sorts_and_a_second_one_turns_round(crowded: Browser) -> None:
    page = crowded.get("/users")
    assert page.html.count('aria-sort="none"') == 3
    down = crowded.get(next(link for link in page.links if "sort=groups" in link))
    assert 'aria-sort="ascending"' in down.html
    found = names(crowded.get("/users?sort=groups&per=all"))
    assert found[:3] == ["alice", "bob", "u0000"]
    assert found[-1] == "u0119"
    turned = crowded.get(next(link for link in down.links if "sort=groups" in link))
    assert 'aria-sort="descending"' in turned.html
    assert names(crowded.get("/users?sort=groups&down=1&per=all"))[-2:] == ["alice", "bob"]
    assert names(crowded.get("/users?sort=name&down=1"))[0] == "u0119"


@pytest.mark.row("KS-UI-023")
def test_a_list_is_filtered_by_what_any_column_contains(crowded: Browser) -> None:
    page = crowded.send(crowded.get("/users").form("/users"), filter="U001")
    assert names(page) == [f"u{number:04}" for number in range(10, 20)]
    assert "10 of 122" in page.text
    assert len(names(crowded.get("/users?filter=odd&per=all"))) == COUNT // 2
    page = crowded.get("/users?filter=<script>")
    assert names(page) == []
    assert "Nothing contains" in page.text
    assert "<script>" not in page.html
    kept = crowded.get("/users?filter=u&sort=name&down=1&per=10")
    assert {"filter=u", "down=1", "per=10"} <= set(next(one for one in kept.links if is_next(kept, one)).split("&"))


@pytest.mark.parametrize(
    "query",
    [
        *("page=0", "page=-1", "page=x", "page=99999999999", "page=１", "per=0", "per=7", "per=99999", "sort=password"),
        *("sort=name&sort=groups", "filter=" + "x" * 5_000, "down=maybe", "per=All", "%00=1", "filter=%00%ff"),
    ],
)
def test_a_strange_address_shows_the_list_all_the_same(crowded: Browser, query: str) -> None:
    page = crowded.get(f"/users?{query}")
    assert page.status == 200
    assert not page.faults


def test_the_audit_log_is_gone_through_from_either_end(crowded: Browser) -> None:
    audited(crowded, f"user u{COUNT - 1:04} created")
    page = crowded.get("/audit")
    assert "Newer" not in page.text
    oldest = crowded.get("/audit?before=50")
    assert f'href="{oldest.url}">Oldest</a>' in page.html
    assert "Older" not in oldest.text
    newer = crowded.get("/audit?before=100")
    assert 'rel="prev" href="/audit?before=100"' in oldest.html
    assert 'rel="next" href="/audit?before=50&amp;' in newer.html
    assert "Oldest" not in crowded.get("/audit?user=root").text
