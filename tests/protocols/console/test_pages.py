"""Every page that the declarations give: drawn for who may see it, refused to everybody else, and sound as HTML."""

import pytest

from keystead.core.permission import Access
from keystead.protocols.console.catalogue import TABS, Verb, nouns, places, tree
from keystead.protocols.console.guard import HEADERS, PASSWORD
from keystead.settings.all import SECTIONS
from tests.support.console import Browser, Page
from tests.support.dev_node import DevNode

VERBS = [verb for noun in nouns().values() for verb in noun.verbs if verb not in noun.told_with_item]
ITEMS = {
    "administrator": "admin",
    "api_token": "0123456789abcdef",
    "authority": "clients",
    "certificate": "00",
    "group": "staff",
    "key": "01890000-0000-7000-8000-000000000000",
    "policy": "office",
    "trust_profile": "default",
    "user": "alice",
}
PAGES = [
    *("/", "/preferences", "/audit", PASSWORD, "/new-client", "/device", "/security"),
    *("/first-steps", "/back-up", "/new-key", "/lost-administrator"),
    *(noun.path for noun in nouns().values()),
    *(f"/settings/{name}" for name in SECTIONS),
    *(f"/settings/{name}/edit" for name, section in SECTIONS.items() if not section.own),
]


OF_A_DIRECTORY = {"/directory-groups", "/directory-users"}
"""Pages that say what to do on a node whose users are its own."""


def form_path(verb: Verb) -> str:
    return verb.path + (f"?item={ITEMS.get(verb.noun, 'alice')}" if verb.item_field else "")


def full_name(verb: Verb) -> str:
    return verb.route.declaration.name


def check(page: Page) -> None:
    """What holds for every page, refusals among them."""
    assert not page.faults
    assert {"main", "header", "footer", "h1"} <= page.landmarks
    assert page.title.endswith(" · keystead")
    for name, value in HEADERS.items():
        assert page.headers[name] == value
    assert page.headers["cache-control"] == "no-store"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not [link for link in page.links if not link.startswith(("/", "#", "data:application/x-pem-file;"))]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_shown_and_sound(admin: Browser, path: str) -> None:
    page = admin.get(path)
    assert (page.status, page.url) == (403 if path in OF_A_DIRECTORY else 200, path)
    assert (path in OF_A_DIRECTORY) is ("set user_directory.kind to ldap" in page.text)
    check(page)
    assert 'lang="en"' in page.html
    assert "Skip to the content" in page.text


@pytest.mark.parametrize("verb", VERBS, ids=full_name)
def test_a_form_says_all_there_is_to_say(admin: Browser, verb: Verb) -> None:
    page = admin.get(form_path(verb))
    if page.status == 404:  # things that the node does not have: the form is not, either
        assert verb.noun in ("approval", "certificate", "group", "key", "key_attribute", "policy", "query")
        return
    assert page.status == 200
    check(page)
    form = page.form(verb.path)
    for field in verb.fields:
        assert (field.name in form.names) is (field in verb.asked)
    assert verb.about in page.text
    assert ("cannot be taken back" in page.text) is verb.is_destructive


@pytest.mark.row("KS-UI-001")
@pytest.mark.parametrize(
    "path", [*PAGES, *map(form_path, VERBS), "/nowhere", "/users/show/alice", "/users/several?item=alice"]
)
def test_nobody_sees_anything_before_logging_in(stranger: Browser, path: str) -> None:
    for page in (stranger.request("GET", path), stranger.request("POST", path.partition("?")[0], b"name=eve")):
        assert (page.status, page.location.partition("?")[0], page.body) == (303, "/log-in", b"")


def test_a_session_from_elsewhere_opens_nothing(stranger: Browser) -> None:
    for cookie in ("x", "a" * 43, "kst_0123456789abcdef_secret", "a" * 5000, '"'):
        stranger.cookie = cookie
        assert stranger.request("GET", "/users").status == 303


@pytest.mark.parametrize("verb", VERBS, ids=full_name)
def test_without_the_right_there_is_no_form_and_no_deed(watcher: Browser, verb: Verb) -> None:
    is_open = verb.is_open(Access.ANY | Access.OWN | Access.WEB)
    page = watcher.get(form_path(verb))
    if is_open:
        assert page.status in (200, 404)
        return
    assert page.status == 403
    check(page)
    assert "Not permitted" in page.text
    token = dict(watcher.get("/preferences").form("/preferences").values)["form-token"]
    values = [("form-token", token), ("item", ITEMS.get(verb.noun, "")), ("name", "alice")]
    sent = watcher.post(verb.path, values)
    assert (sent.status, "Not permitted" in sent.text) == (403, True)


@pytest.mark.parametrize("name", [name for name, section in SECTIONS.items() if not section.own])
def test_without_the_right_no_setting_is_changed(watcher: Browser, admin: Browser, name: str) -> None:
    assert watcher.get(f"/settings/{name}/edit").status == 403
    assert f"/settings/{name}/edit" not in watcher.get(f"/settings/{name}").links
    form = admin.get(f"/settings/{name}/edit").form(f"/settings/{name}/edit")
    field = next(one for one in form.values if one[0] in form.options or one[1].isdigit())
    others = [one for one in form.options.get(field[0], []) if one != field[1]]
    changed = others[0] if others else str(int(field[1]) + 1)
    token = dict(watcher.get("/preferences").form("/preferences").values)["form-token"]
    values = [one for one in form.values if one[0] not in ("form-token", field[0])]
    sent = watcher.post(form.action, [*values, (field[0], changed), ("form-token", token)])
    assert sent.status == 403
    assert dict(admin.get(form.action).form(form.action).values)[field[0]] == field[1]


@pytest.mark.parametrize("verb", VERBS, ids=full_name)
@pytest.mark.parametrize("fault", ["no token", "another session's token", "another origin", "null origin", "no origin"])
def test_a_form_that_is_not_ours_does_nothing(admin: Browser, watcher: Browser, verb: Verb, fault: str) -> None:
    mine, others = (
        dict(browser.get("/preferences").form("/preferences").values)["form-token"] for browser in (admin, watcher)
    )
    token = {"no token": "", "another session's token": others}.get(fault, mine)
    origin = {"another origin": "https://evil.example", "null origin": "null", "no origin": ""}.get(fault, admin.url)
    body = f"form-token={token}&item={ITEMS.get(verb.noun, '')}&name=eve&role=crypto-user&enabled=no"
    page = admin.request("POST", verb.path, body.encode(), {"origin": origin})
    assert page.status == 403
    check(page)
    assert "not sent by a page of this session" in page.text


def test_forms_come_as_forms_and_are_bounded(admin: Browser) -> None:
    token = dict(admin.get("/preferences").form("/preferences").values)["form-token"].encode()
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        headers = {"content-type": kind}
        assert admin.request("POST", "/preferences", b"form-token=" + token, headers).status == 415
    assert admin.request("POST", "/preferences", b"a=b&" * 1_001 + b"form-token=" + token).status == 413
    assert admin.request("POST", "/preferences", b"a" * 1_048_577).status == 413
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert admin.request(method, "/preferences").status in (403, 405)


@pytest.mark.parametrize(
    "path", ["/nowhere", "/users/do/fly", "/users/show/nobody", "/settings/nothing", "/node/show/x"]
)
def test_what_is_not_there_is_said_to_be_missing(admin: Browser, path: str) -> None:
    page = admin.get(path)
    assert page.status == 404
    check(page)


def test_rest_stays_where_it_is(node: DevNode, stranger: Browser, admin: Browser) -> None:
    for path in ("/v1/users", "/v1", "/v1/"):
        assert stranger.request("GET", path).headers["content-type"] == "application/problem+json"
    assert admin.request("GET", "/v1/users").status == 401  # a cookie is nothing to programs' door


def test_the_style_sheet_is_found_and_kept(stranger: Browser) -> None:
    html = stranger.get("/log-in").html
    path = html.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    sheet = stranger.request("GET", path)
    assert sheet.headers["content-type"].startswith("text/css")
    assert "immutable" in sheet.headers["cache-control"]
    assert "url(" not in sheet.html
    assert "@import" not in sheet.html
    assert "prefers-color-scheme: dark" in sheet.html


def test_the_device_tab_has_its_places(admin: Browser) -> None:
    page = admin.get("/device")
    for path in ("/settings/key_server", "/settings/user_lockout", "/settings/health", "/settings/kmip", "/module"):
        assert path in page.links
    for path in ("/administrators", "/settings/passwords", "/settings/web", "/audit", "/node"):
        assert path in page.links
    assert "/users" not in page.links


def test_the_security_tab_has_its_places(admin: Browser) -> None:
    page = admin.get("/security")
    for path in ("/keys", "/certificates", "/users", "/groups", "/authorities", "/trust-profiles", "/settings/legacy"):
        assert path in page.links
    assert "/administrators" not in page.links


def test_everything_that_is_declared_has_a_place_in_a_tab() -> None:
    leaves = [leaf for _, _, found in places() for leaf in found]
    assert sorted(leaves) == sorted(set(leaves))
    assert {f"noun:{name}" for name in nouns()} | {f"section:{name}" for name in SECTIONS} <= set(leaves)
    shown = {leaf.path for tab in TABS for _, found in tree(tab, ~Access.NONE) for leaf in found}
    assert {noun.path for noun in nouns().values()} <= shown


def test_who_may_not_see_a_list_is_not_led_there(watcher: Browser) -> None:
    assert "/keys" not in watcher.get("/security").links
    assert watcher.get("/keys").status == 403


@pytest.mark.row("KS-UI-018")
def test_authorization_policies_stand_under_security(admin: Browser) -> None:
    page = admin.get("/security")
    assert "Authorization policies" in page.text
    policies = admin.get(next(link for link in page.links if "polic" in link))
    assert policies.status == 200
    check(policies)


def test_nothing_is_left_for_the_last_place_of_the_tree(admin: Browser) -> None:
    text = admin.get("/device").text
    assert "Multiple credentials" in text
    assert "Password management" in text


@pytest.mark.row("KS-HSM-019")
def test_the_page_of_the_module_says_how_it_is_and_whether_its_crypto_user_is_logged_in(watcher: Browser) -> None:
    said = watcher.get("/module").text
    assert "Initialised yes Activated yes Crypto user logged in yes Security officer logged in no" in said
