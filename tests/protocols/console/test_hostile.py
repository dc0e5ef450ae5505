"""Whatever names hold, wherever they come from, they pass through every page unharmed and do no harm."""

from urllib.parse import quote

import pytest

from tests.protocols.console.conftest import audited
from tests.protocols.console.test_forms import form_at, values_of
from tests.protocols.console.test_pages import check
from tests.support.console import Browser
from tests.support.dev_node import DevNode
from tests.support.kmip import messages

MARKUP = "<script>alert(1)</script>"
NAMES = {
    "markup": MARKUP,
    "attribute": '" onfocus="alert(1)" autofocus="',
    "quotes": "'\"`&amp;&lt;",
    "template": "{{ 7 * 7 }}{% raw %}${7*7}",
    "comment": "--><img src=x onerror=alert(1)><!--",
    "closing": "</textarea></title></main><h1>mine</h1>",
    "link": "javascript:alert(1)",
    "accents": "Zoë Ångström 日本語 🔑",
    "long": "x" * 256,
}
UNSEEN = {
    "override": ("abc\u202egpj.exe", "U+202E"),
    "isolate": ("a\u2066b", "U+2066"),
    "nothing": ("al\u200bice", "U+200B"),
    "bell": ("a\x07b", "U+0007"),
    "escape": ("a\x1b[31mb", "U+001B"),
    "newline": ("a\x85b", "U+0085"),
    "blank": ("a\u00a0b", "U+00A0"),
}


@pytest.fixture(scope="module")
def hugo(admin: Browser) -> str:
    admin.send(form_at(admin, "/administrators/do/create"), name="hugo", password="telescope-dragon-7")
    return "hugo"


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_comes_through_as_it_is(admin: Browser, hugo: str, name: str) -> None:
    path = "/administrators/do/change"
    done = admin.send(form_at(admin, f"{path}?item={hugo}"), full_name=name, description=name)
    assert done.status == 200
    for page in (admin.get("/administrators?per=all"), done, admin.get(f"{path}?item={hugo}")):
        check(page)
    assert " ".join(name.split()) in done.text
    form = admin.get(f"{path}?item={hugo}").form(path)
    assert dict(form.values)["full_name"] == name
    assert dict(admin.send(form).forms[0].values).keys() == {"form-token"}
    assert dict(admin.get(f"{path}?item={hugo}").form(path).values)["description"] == name


@pytest.mark.parametrize("name", [*NAMES.values(), *(text for text, _ in UNSEEN.values())])
def test_whatever_is_typed_comes_back_in_a_refused_form(admin: Browser, name: str) -> None:
    for path, field in (("/users/do/create", "name"), ("/groups/do/create", "name"), ("/new-client", "user")):
        page = admin.send(form_at(admin, path), **{field: name})
        assert page.status == 422
        check(page)
        assert values_of(page, path)[field] == name


@pytest.mark.parametrize("name", [*NAMES.values(), *(text for text, _ in UNSEEN.values())])
def test_addresses_are_shown_harmlessly(admin: Browser, name: str) -> None:

    word = quote(name, safe="")
    for path in (
        f"/users/show/{word}",
        f"/groups/show/{word}",
        f"/keys/show/{word}",
        f"/users/do/delete?item={word}",
        f"/users?filter={word}&sort={word}&done={word}&per={word}",
        f"/keys?owner={word}",
        f"/certificates?user={word}",
        f"/audit?user={word}&named={word}",
        f"/new-client?user={word}",
        f"/log-in?next={word}",
        f"/{word}",
    ):
        page = admin.get(path)
        assert page.status in (200, 404, 409, 422), path
        check(page)
        assert MARKUP not in page.html


def make_key(node: DevNode, name: str) -> None:
    with node.session("bob") as session:
        session.ask(messages.create(name))


@pytest.mark.parametrize(("name", "told"), UNSEEN.values(), ids=UNSEEN)
def test_what_cannot_be_seen_is_made_visible(admin: Browser, node: DevNode, name: str, told: str) -> None:
    """By way of a client, who may name keys as it likes."""
    make_key(node, name)
    page = admin.get("/keys?owner=bob&per=all")
    check(page)
    assert told in page.text
    assert name not in page.html


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_that_clients_give_to_keys_are_shown(admin: Browser, node: DevNode, name: str) -> None:
    make_key(node, name)
    page = admin.get("/keys?owner=bob&per=all")
    check(page)
    assert " ".join(name.split()) in page.text


def test_names_that_look_like_others_are_said_to(admin: Browser, node: DevNode) -> None:
    make_key(node, "p\u0430ypal")  # a Cyrillic letter among Latin ones
    assert "p\u0430ypal mixed alphabets" in admin.get("/keys?owner=bob&per=all").text
    assert "mixed alphabets" not in admin.get("/keys?owner=bob&name_part=日本語").text


def test_a_failed_login_with_a_hostile_name_is_not_in_the_audit_log(admin: Browser, stranger: Browser) -> None:
    assert stranger.log_in("<svg onload=alert(2)>\u202e", "whatever-1").status == 401
    audited(admin, "no such administrator via web")
    for path in ("/", "/audit"):
        page = admin.get(path)
        check(page)
        assert "<svg onload" not in page.html
