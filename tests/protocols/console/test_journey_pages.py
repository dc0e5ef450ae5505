"""Pages that lead through whole tasks: sound as HTML, refused without the right, and honest about what is wrong."""

from typing import Any

import pytest

from keystead.core.permission import Right
from keystead.protocols.console import waiting
from keystead.protocols.console.catalogue import nouns
from keystead.protocols.console.key_rights_pages import WORDS, by_policy, possible
from tests.protocols.console.conftest import FIRST, settled
from tests.protocols.console.test_forms import form_at, values_of
from tests.protocols.console.test_pages import check
from tests.support.console import Browser
from tests.support.dev_node import DevNode
from tests.support.kmip import messages

NEW_PAGES = ("/new-key", "/key-rights?item=x", "/key-rights?item=x&group=staff", "/lost-administrator?name=admin")


@pytest.fixture(scope="module")
def key(node: DevNode) -> str:
    with node.session("alice") as session:
        return session.identifier(messages.create("quarterly"))


@pytest.mark.parametrize("path", NEW_PAGES)
def test_without_the_right_there_is_no_page_and_no_deed(watcher: Browser, path: str) -> None:
    page = watcher.get(path)
    assert page.status == 403
    check(page)
    token = values_of(watcher.get("/preferences"), "/preferences")["form-token"]
    values = [("form-token", token), ("item", "x"), ("name", "admin"), ("group", "staff"), ("owner", "alice")]
    assert watcher.post(path.partition("?")[0], values).status == 403


def test_first_steps_show_only_what_one_may(admin: Browser, watcher: Browser) -> None:
    page = watcher.get("/first-steps")
    check(page)
    assert not {"/new-key", "/new-client", "/administrators/do/create"} & set(page.links)
    assert {"/new-key", "/new-client", "/administrators/do/create"} <= set(admin.get("/first-steps").links)


@pytest.mark.parametrize(
    "typed", [{"name": ""}, {"name": "2nd"}, {"name": "a b"}, {"owner": ""}, {"owner": "<b>"}, {"algorithm": "DES"}]
)
def test_a_new_key_says_what_is_wrong_and_keeps_the_rest(admin: Browser, typed: dict[str, str]) -> None:
    given = {"name": "kept-name", "owner": "alice", "algorithm": "AES-128", "description": "for the <i>vault</i>"}
    page = admin.send(form_at(admin, "/new-key"), **(given | typed))
    assert page.status == 422
    check(page)
    (field,) = typed
    assert page.inputs[field]["aria-invalid"] == "true"
    kept = values_of(page, "/new-key")
    assert kept["description"] == given["description"]
    assert kept["owner"] == typed.get("owner", "alice")


def test_a_name_that_is_taken_is_said_at_the_name_and_the_user_stays(admin: Browser) -> None:
    page = admin.send(form_at(admin, "/new-key"), name="taken-once", owner="keeper1")
    assert page.url.startswith("/new-key/made?item=")
    check(page)
    assert "So is its user, keeper1" in page.text
    page = admin.send(form_at(admin, "/new-key"), name="taken-once", owner="keeper2")
    assert page.status == 409
    assert "The user keeper2 was made and stays." in page.text
    assert admin.get("/users/show/keeper2").status == 200


def test_pages_of_what_is_not_there_say_so(admin: Browser) -> None:
    nowhere = ("/new-key/made", "/new-key/made?item=nothing", "/key-rights", "/key-rights?item=nothing")
    for path in (*nowhere, "/lost-administrator?name=nobody", "/approvals/show/nothing", "/approvals/do/fly"):
        page = admin.get(path)
        assert page.status in (404, 409), path
        check(page)


@pytest.mark.row("KS-KEY-021")
def test_rights_are_replaced_as_the_form_shows_them(admin: Browser, key: str) -> None:
    path = f"/key-rights?item={key}&group=night-shift"
    page = admin.get(path)
    check(page)
    assert "So far the group may do nothing" in page.text
    done = admin.send(page.form("/key-rights"), ENCRYPT="always", DECRYPT="always")
    check(done)
    assert "Nobody is in this group yet" in done.text
    form = admin.get(path).form("/key-rights")
    now = {name: value for name, value in form.values if name.isupper()}
    assert now == {"SEE": "always", "ENCRYPT": "always", "DECRYPT": "always", "EXPORT": "never", "DERIVE": "never"}
    done = admin.send(form, DECRYPT="never", SEE="never")
    assert values_of(admin.get(path), "/key-rights")["DECRYPT"] == "never"
    assert values_of(admin.get(path), "/key-rights")["SEE"] == "always"  # it comes with every other right
    page = admin.send(form, ENCRYPT="policy:nothing")
    assert page.status == 422
    check(page)
    page = admin.get(f"/key-rights?item={key}&group=1+bad+name")
    assert page.status == 422
    assert page.inputs["group"]["aria-invalid"] == "true"


def test_what_an_algorithm_cannot_do_is_not_offered() -> None:
    def offered(kind: str, algorithm: str) -> Right:
        return possible({"kind": kind, "algorithm": algorithm})

    assert Right.SIGN not in offered("symmetric-key", "AES-256")
    assert Right.SIGN in offered("private-key", "EC-P256")
    assert Right.ENCRYPT not in offered("private-key", "EC-P256")
    assert offered("secret-data", "AES-256") == Right.SEE | Right.EXPORT
    assert set(WORDS) >= set(offered("symmetric-key", "of-tomorrow"))


def test_rights_go_by_policy_those_without_one_first() -> None:
    chosen = {"SEE": "never", "ENCRYPT": "policy:slow", "DECRYPT": "always", "EXPORT": "policy:a"}
    assert by_policy(chosen) == {"": Right.DECRYPT, "a": Right.EXPORT, "slow": Right.ENCRYPT}
    assert next(iter(by_policy(chosen))) == ""
    assert by_policy({"SEE": "never"}) == {"": 0}


def test_uses_are_searched_and_exported(admin: Browser, watcher: Browser, node: DevNode, key: str) -> None:
    with node.session("alice") as session:
        session.key(key)
    page = admin.get(f"/key-uses?key={key}&days=1")
    check(page)
    assert "1 user made" in page.text
    link = next(one for one in page.links if one.startswith("/key-uses/export.csv?"))
    file = admin.get(link)
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    assert file.headers["content-disposition"] == f'attachment; filename="key-use-{key}.csv"'
    assert f'"quarterly","{key}"' in file.html or f',"{key}","alice","Get",' in file.html
    assert watcher.get(link).status == 403
    assert watcher.get("/key-uses").status == 403
    for query in ("key=a+b", "user=[x]", "operation=1"):
        page = admin.get(f"/key-uses?{query}")
        assert page.status == 422, query
        check(page)
        assert admin.get(f"/key-uses/export.csv?{query}").status == 404
    for query in ("key=nothing-of-the-kind", "days=5", "until=x", "until=99999999999999999", "days=90&operation=Get"):
        assert admin.get(f"/key-uses?{query}").status == 200, query
    page = admin.get("/key-uses?after=nonsense")
    assert page.status in (200, 409)
    check(page)


def test_nobody_is_lost_to_themselves(admin: Browser) -> None:
    page = admin.get("/lost-administrator?name=admin")
    assert page.status == 403
    assert "This is your own account" in page.text


def test_a_lost_administrator_gets_a_password_for_one_login(admin: Browser, node: DevNode) -> None:
    lost = settled(admin, node, "forgetful", "all")
    lost.send(form_at(lost, "/api-tokens/do/create"), label="<i>job</i>", scopes=["users_groups"])
    path = "/lost-administrator?name=forgetful"
    page = admin.get(path)
    check(page)
    assert "<i>job</i>" in page.text
    assert admin.send(page.form("/lost-administrator")).status == 422  # nothing was chosen
    page = admin.send(page.form("/lost-administrator"), deed="delete", confirm="forgetfull")
    assert page.status == 422
    assert "type its name: forgetful" in page.text
    done = admin.send(admin.get(path).form("/lost-administrator"), deed="reset")
    check(done)
    assert "A new password : done" in done.text
    secret = done.html.partition('class="secret"><bdi>')[2].partition("<")[0]
    assert lost.get("/").url.startswith("/log-in")
    assert lost.log_in("forgetful", secret).url == "/password"
    assert "forgetful" not in admin.get("/api-tokens").text
    assert secret not in admin.get(path).html
    assert secret not in admin.get("/audit").html
    assert secret not in node.output.read_text()
    done = admin.send(admin.get(path).form("/lost-administrator"), deed="delete", confirm="forgetful")
    assert "Deleting the account : done" in done.text
    assert "/administrators/show/forgetful" not in done.links


def test_a_lost_administrator_is_disabled(admin: Browser, node: DevNode) -> None:
    lost = settled(admin, node, "doubtful", "all")
    admin.send(admin.get("/lost-administrator?name=doubtful").form("/lost-administrator"), deed="disable")
    assert lost.get("/").url.startswith("/log-in")
    assert "disabled: nobody can log in" in admin.get("/lost-administrator?name=doubtful").text


def test_a_request_is_shown_with_every_field_and_no_secret() -> None:
    view = {
        "name": '"eve"',
        "password": '"(secret)"',
        "full_name": '"\\u202e<b>Eve</b>"',
        "description": '""',
        "access": '["users_groups", "admin_web"]',
    }
    shown = {one.title: one for one in waiting.fields("administrator.create", view)}
    assert set(shown) == {"Name", "Password", "Full name", "Description", "Access"}
    assert "(secret)" in shown["Password"].value
    assert "U+202E" in shown["Full name"].value
    assert "<b>" not in shown["Full name"].value
    assert shown["Description"].is_empty
    assert "<li>" in shown["Access"].value
    rights = waiting.fields("key.grant", {"target": '"k"', "group": '"g"', "rights": "0"})
    assert not rights[2].is_empty  # nothing at all is something
    strange: dict[str, Any] = {"rights": '"x"', "activation_us": "[1]", "unknown": "{", "target": "null"}
    assert len(waiting.fields("key.grant", strange)) == 4
    assert len(waiting.fields("no.such", strange)) == 4


def test_what_is_asked_has_a_title_for_every_bound_operation() -> None:
    for noun in nouns().values():
        for verb in noun.verbs:
            assert waiting.deed(verb.route.declaration.name) == f"{noun.title}: {verb.title.lower()}"
    assert waiting.deed("settings.change") == "Settings: change"


def test_passwords_of_others_are_on_no_page(admin: Browser) -> None:
    assert FIRST not in admin.get("/lost-administrator").html
