"""The list of keys: gone through both ways in every order that is offered, narrowed down, ended a page at a time."""

import re
from collections.abc import Iterator

import pytest

from keystead.node.folder import read_config, unix_address
from keystead.protocols.local.client import ask
from tests.protocols.console.conftest import password_of, visitor
from tests.protocols.console.test_pages import check
from tests.support.console import Browser, Page
from tests.support.dev_node import DevNode

COUNT = 60
OWNERS = ("alice", "bob", None)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The administrator of a node with many keys."""
    node = DevNode(tmp_path_factory.mktemp("vault"), ("key_server.allow_global_keys=true",), web=True)
    node.start()
    try:
        address = unix_address(read_config(node.data).local_socket)
        for number in range(COUNT):
            algorithm = "AES-128" if number == 7 else "AES-256"
            site = (f"x-site=s{number % 10}",)
            name, owner = f"k{number * 7 % COUNT:04}", OWNERS[number % 3]
            ask(address, "key.generate", name=name, algorithm=algorithm, owner=owner, attributes=site)
        browser = visitor(node)
        browser.log_in("admin", password_of(node))
        yield browser
    finally:
        node.stop()


ALL = [f"k{number:04}" for number in range(COUNT)]
MADE = [f"k{number * 7 % COUNT:04}" for number in range(COUNT)]


def names(page: Page) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/keys/show/[^"]+"><bdi>([^<]+)</bdi>', page.html)


def led(page: Page, rel: str) -> str:
    found = re.search(rf'rel="{rel}" href="([^"]+)"', page.html)
    return "" if found is None else found[1].replace("&amp;", "&")


def labelled(page: Page, label: str) -> str:
    found = re.search(rf'<a href="([^"]+)">{label}</a>', page.html)
    return "" if found is None else found[1].replace("&amp;", "&")


def walked(vault: Browser, path: str, rel: str) -> list[list[str]]:
    page = vault.get(path)
    found = [names(page)]
    while led(page, rel):
        page = vault.get(led(page, rel))
        found.append(names(page))
    return found


@pytest.mark.row("KS-UI-023")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sort=name", ALL),
        ("sort=name&down=1", ALL[::-1]),
        ("sort=created_us&down=1", MADE[::-1]),
        ("sort=created_us", MADE),
        ("sort=name&attribute=x-site%3Ds3", sorted(MADE[3::10])),
        ("sort=name&name_part=K000", ALL[:10]),
    ],
)
def test_every_page_is_reached_from_either_end(vault: Browser, query: str, expected: list[str]) -> None:
    first = f"/keys?{query}&per=10"
    there = walked(vault, first, "next")
    assert [name for page in there for name in page] == expected
    last = labelled(vault.get(first), "Last")
    if len(expected) > 10:
        back = walked(vault, last, "prev")
        assert [name for page in reversed(back) for name in page] == expected
        assert back[-1] == there[0]
        assert not led(vault.get(last), "next")


def test_by_owner_those_of_nobody_come_first(vault: Browser) -> None:
    there = [name for page in walked(vault, "/keys?sort=owner", "next") for name in page]
    by_owner = [MADE[2::3][::-1], MADE[0::3][::-1], MADE[1::3][::-1]]
    assert there == [name for keys in by_owner for name in keys]
    down = [name for page in walked(vault, "/keys?sort=owner&down=1&per=50", "next") for name in page]
    assert down == there[::-1]


def test_only_columns_that_can_be_gone_along_are_sorted(vault: Browser) -> None:
    page = vault.get("/keys")
    check(page)
    assert page.html.count("aria-sort=") == 3
    assert 'aria-sort="ascending"' in page.html
    assert "Sorted by name, creation or owner" in page.text
    down = vault.get(next(link for link in page.links if "sort=name" in link))
    assert 'aria-sort="descending"' in down.html
    assert names(down)[0] == ALL[-1]
    for strange in ("sort=state", "sort=nonsense&down=7", "placed=-5", "placed=999999999999", "back=maybe"):
        assert names(vault.get(f"/keys?{strange}"))[0] == ALL[0]


def test_what_is_not_known_is_not_counted(vault: Browser) -> None:
    page = vault.get("/keys?per=25")
    assert "1 to 25 of more than 25" in page.text
    page = vault.get(led(page, "next"))
    assert "26 to 50 of more than 50" in page.text
    page = vault.get(led(page, "next"))
    assert "51 to 60 of 60" in page.text
    assert "26 to 50 of more than 50" in vault.get(led(page, "prev")).text
    assert "the last 25" in vault.get("/keys?per=25&back=1").text
    assert "Page" not in vault.get("/keys?per=25").text
    assert "60" in vault.get("/keys?per=all").text


@pytest.mark.row("KS-UI-023")
def test_the_form_keeps_what_was_asked_for(vault: Browser) -> None:
    form = vault.get("/keys?sort=created_us").form("/keys")
    assert {"name_part", "owner", "group", "kind", "algorithm", "state", "created_from_us", "attribute"} <= form.names
    page = vault.send(form, name_part="k00", owner="bob", state="active", per="10")
    assert names(page) == [name for name in MADE if MADE.index(name) % 3 == 1][:10]
    kept = dict(page.form("/keys").values)
    assert (kept["name_part"], kept["owner"], kept["state"], kept["per"]) == ("k00", "bob", "active", "10")
    assert {"name_part=k00", "owner=bob", "state=active"} <= set(led(page, "next").partition("?")[2].split("&"))
    assert names(vault.send(form, owner="-")) == MADE[2::3]
    assert names(vault.send(form, algorithm="AES-128")) == [MADE[7]]
    assert names(vault.send(form, created_until_us="2001-01-01 00:00")) == []
    assert names(vault.send(form, name_part="nowhere")) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("created_from_us=yesterday", "created_from_us"),
        ("algorithm=ROT-13", "algorithm"),
        ("attribute=nonsense", "attribute"),
        ("state=lost", "state"),
        ("after=nonsense", ""),
    ],
)
def test_a_filter_that_cannot_be_is_said_to_be_one(vault: Browser, query: str, field: str) -> None:
    page = vault.get(f"/keys?{query}")
    assert page.status == 422
    check(page)
    assert not names(page)
    assert 'role="alert"' in page.html
    if field:
        assert page.inputs[field]["aria-invalid"] == "true"


@pytest.mark.row("KS-KEY-043", "KS-KEY-045")
def test_a_page_of_keys_is_erased_at_once_after_a_page_that_asks(vault: Browser) -> None:
    made = [vault.post(*_made(vault, f"doomed{number}")) for number in range(3)]
    assert all(page.status == 200 for page in made)
    assert "whole-page" not in vault.get("/keys?per=100").form("/keys/several").names
    listed = vault.get("/keys?name_part=doomed&per=50")
    form = listed.form("/keys/several")
    asked = vault.get(f"/keys/several?whole-page=1&item=x&{_query(form.values, 'on-page')}")
    check(asked)
    assert "bring each of them in line by hand" in asked.text
    assert "doomed0 doomed1 doomed2" in asked.text  # not only by their ids
    assert len([value for name, value in asked.form("/keys/several").values if name == "item"]) == 3
    assert len(names(vault.get("/keys?name_part=doomed"))) == 3
    done = vault.send(asked.form("/keys/several"))
    assert "3 of 3 done" in done.text
    assert "doomed1 done" in done.text
    emptied = vault.get("/keys?name_part=doomed&per=50")
    assert not names(emptied)
    assert "There is nothing here" in emptied.text


def _made(vault: Browser, name: str) -> tuple[str, list[tuple[str, str]]]:
    form = vault.get("/keys/do/generate").form("/keys/do/generate")
    return form.action, form.filled(name=name)


def _query(values: list[tuple[str, str]], wanted: str) -> str:
    return "&".join(f"{name}={value}" for name, value in values if name == wanted)


@pytest.mark.row("KS-KEY-053")
def test_a_new_key_reminds_of_a_backup(vault: Browser) -> None:
    page = vault.post(*_made(vault, "fresh"))
    assert "back up" in page.text.lower()
    assert "back up" not in vault.get(page.url.partition("?")[0]).text.lower()
