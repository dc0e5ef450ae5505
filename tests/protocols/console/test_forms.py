"""Forms do what they say, come back filled in when they are refused, and never show a password again."""

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.protocols.console.conftest import FIRST, audited, settled
from tests.protocols.console.test_pages import check
from tests.support.console import Browser, Form, Page
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Client, Session

SUMMARY = ">Security Summary</h2>"


def form_at(browser: Browser, path: str) -> Form:
    return browser.get(path).form(path.partition("?")[0])


def create_user(admin: Browser, name: str, *groups: str) -> Page:
    return admin.send(form_at(admin, "/users/do/create"), name=name, groups=list(groups))


def values_of(page: Page, action: str) -> dict[str, str]:
    return dict(page.form(action).values)


@pytest.mark.row("KS-UI-024")
def test_an_item_is_read_only_until_edit(admin: Browser, node: DevNode) -> None:
    settled(admin, node, "rita")
    page = admin.get("/administrators/show/rita")
    assert [form.action for form in page.forms] == ["/log-out"]
    assert "Edit" in page.text
    path = "/administrators/do/change"
    edit = admin.get(f"{path}?item=rita")
    assert "/administrators/show/rita" in edit.links  # Cancel leaves it as it was
    done = admin.send(edit.form(path), full_name="Rita <Jones>", description="night shift", access=["users_groups"])
    assert done.url == "/administrators/show/rita?done=administrator.change"
    assert "Rita <Jones>" in done.text
    assert "Done: administrator: change." in done.text
    again = admin.get(f"{path}?item=rita")
    assert values_of(again, path)["full_name"] == "Rita <Jones>"
    done = admin.send(again.form(path), full_name="")  # what was there can be emptied
    assert "Jones" not in done.text
    assert "night shift" in done.text


@pytest.mark.row("KS-UI-024")
def test_what_destroys_asks_on_a_page_of_its_own(admin: Browser) -> None:
    create_user(admin, "doomed")
    page = admin.get("/users/show/doomed")
    delete = next(link for link in page.links if link.startswith("/users/do/delete"))
    asked = admin.get(delete)
    assert admin.get("/users/show/doomed").status == 200  # looking at the page has done nothing
    assert "cannot be taken back" in asked.text
    assert "/users/show/doomed" in asked.links
    done = admin.send(asked.form("/users/do/delete"))
    assert done.url == "/users?done=user.delete"
    assert admin.get("/users/show/doomed").status == 404


def test_deleting_an_administrator_wants_the_name_again(admin: Browser, node: DevNode) -> None:
    settled(admin, node, "sam")
    path = "/administrators/do/delete"
    page = admin.send(form_at(admin, f"{path}?item=sam"), confirm="samuel")
    assert page.status == 409
    assert "confirm by repeating the name" in page.text.lower()
    assert values_of(page, path)["confirm"] == "samuel"
    assert admin.get("/administrators/show/sam").status == 200
    assert (
        admin.send(form_at(admin, f"{path}?item=sam"), confirm="sam").url == "/administrators?done=administrator.delete"
    )


def test_what_is_wrong_is_said_at_its_field(admin: Browser) -> None:
    page = create_user(admin, "1 bad name", "staff")
    assert page.status == 422
    check(page)
    field = page.inputs["name"]
    assert field["aria-invalid"] == "true"
    assert field["aria-describedby"].endswith("wrong-name")
    assert "aria-invalid" not in page.inputs["groups"]
    assert values_of(page, "/users/do/create")["name"] == "1 bad name"
    assert ("groups", "staff") in page.form("/users/do/create").values
    page = admin.send(form_at(admin, "/certificates/do/issue"), user="alice", validity_days="4000")
    assert page.inputs["validity_days"]["aria-invalid"] == "true"
    assert "From 1 to 3,650." in page.text


def test_a_refusal_of_the_gate_comes_back_with_what_was_typed(admin: Browser) -> None:
    create_user(admin, "twin")
    page = create_user(admin, "twin", "staff", "night-shift")
    assert page.status == 409
    check(page)
    assert "There is a user twin already; choose another name." in page.text
    assert page.inputs["name"]["aria-invalid"] == "true"
    groups = [value for name, value in page.form("/users/do/create").values if name == "groups" and value]
    assert groups == ["staff", "night-shift"]


def test_passwords_never_come_back(admin: Browser) -> None:
    form = form_at(admin, "/administrators/do/create")
    for name, password in (("tina", "qwertyuiop"), ("1tina", "Plant-this-word-77"), ("admin", "Plant-this-word-77")):
        page = admin.send(form, name=name, password=password, full_name="Tina")
        assert page.status in (409, 422)
        assert password not in page.html
        assert page.inputs["password"].get("value") is None
        assert values_of(page, "/administrators/do/create")["full_name"] == "Tina"


def test_settings_are_edited_field_by_field(admin: Browser) -> None:
    path = "/settings/passwords/edit"
    page = admin.send(form_at(admin, path), length_min="10", history_count="3")
    assert page.url == "/settings/passwords?done=1"
    audited(admin, "passwords.history_count from 0 to 3")
    for typed in ("4", "257", "many", "", "１２"):
        page = admin.send(form_at(admin, path), length_min=typed)
        assert page.status == 422
        assert page.inputs["length_min"]["aria-invalid"] == "true"
        assert values_of(page, path)["length_min"] == typed
    assert admin.send(form_at(admin, path), length_min="8", history_count="0").url == "/settings/passwords?done=1"


def test_a_setting_that_a_rule_refuses_is_said_at_its_field(admin: Browser) -> None:
    path = "/settings/key_server/edit"
    page = admin.send(form_at(admin, path), trusted_ca_profile="no such profile")
    assert page.status in (404, 409)
    assert page.inputs["trusted_ca_profile"]["aria-invalid"] == "true"
    assert values_of(page, path)["trusted_ca_profile"] == "no such profile"


@pytest.mark.parametrize("name", ["kmip", "web", "store"])
def test_settings_of_the_node_itself_are_only_shown(admin: Browser, name: str) -> None:
    page = admin.get(f"/settings/{name}")
    assert "changed on the machine while it is stopped" in page.text
    assert admin.get(f"/settings/{name}/edit").status == 403
    token = values_of(admin.get("/preferences"), "/preferences")["form-token"]
    assert admin.post(f"/settings/{name}/edit", [("form-token", token), ("port", "1")]).status in (403, 422)


@pytest.mark.row("KS-UI-026")
def test_names_are_offered_and_can_be_typed_all_the_same(admin: Browser) -> None:
    create_user(admin, "ursula", "offered-group")
    for path, field, offered in (
        ("/users/do/delete?item=ursula", "heir", "alice"),
        ("/new-client", "user", "ursula"),
        ("/new-client", "groups", "offered-group"),
        ("/users/do/set-groups?item=ursula", "groups", "offered-group"),
        ("/groups/do/add-member?item=offered-group", "user", "ursula"),
        ("/keys", "owner", "ursula"),
        ("/keys", "group", "offered-group"),
        ("/trust-profiles/do/add?item=default", "authority", "clients"),
    ):
        page = admin.get(path)
        assert page.inputs[field]["list"].startswith("names-")
        assert page.inputs[field].get("type", "text") == "text"
        names = page.html.partition(f'<datalist id="{page.inputs[field]["list"]}">')[2].partition("</datalist>")[0]
        assert f'value="{offered}"' in names
    page = admin.send(
        form_at(admin, "/users/do/set-groups?item=ursula"), groups=["", "brand-new", " ", "offered-group"]
    )
    assert "brand-new" in page.text


def test_groups_and_their_members(admin: Browser) -> None:
    create_user(admin, "vera")
    assert admin.send(form_at(admin, "/groups/do/create"), name="day-shift").url.startswith("/groups/show/day-shift")
    page = admin.send(form_at(admin, "/groups/do/add-member?item=day-shift"), user="vera")
    assert page.url == "/groups/show/day-shift?done=group.add_member"
    assert "vera" in page.text
    page = admin.send(form_at(admin, "/groups/do/add-member?item=day-shift"), user="nobody")
    assert page.status == 404
    assert values_of(page, "/groups/do/add-member")["user"] == "nobody"
    page = admin.send(form_at(admin, "/groups/do/remove-member?item=day-shift"), user="vera")
    assert "vera" not in page.text
    assert admin.send(form_at(admin, "/groups/do/delete?item=day-shift")).url == "/groups?done=group.delete"


def test_a_token_is_shown_once(admin: Browser) -> None:
    page = admin.send(form_at(admin, "/api-tokens/do/create"), label="<i>backup</i> job", scopes=["users_groups"])
    check(page)
    assert page.status == 200
    assert "shown once" in page.text
    secret = next(word for word in page.text.split() if word.startswith("kst_"))
    listed = admin.get("/api-tokens")
    assert secret not in listed.html
    assert "<i>backup</i> job" in listed.text
    assert "<i>" not in listed.html
    token_id = secret.split("_")[1]
    page = admin.send(form_at(admin, f"/api-tokens/do/revoke?item={token_id}"))
    assert page.url == "/api-tokens?done=api_token.revoke"
    assert token_id not in page.html


@pytest.mark.row("KS-UI-003")
def test_the_security_summary_goes_for_ever_and_comes_back(admin: Browser, node: DevNode) -> None:
    own = settled(admin, node, "walter")
    page = own.get("/")
    assert SUMMARY in page.html
    assert "Clients may fetch key material." in page.text
    assert SUMMARY in own.send(page.form("/summary")).html  # the box was not ticked
    assert SUMMARY not in own.send(page.form("/summary"), dismiss="1").html
    own.send(own.get("/").form("/log-out"))
    own.log_in("walter", "lantern-orbit-31")
    assert SUMMARY not in own.get("/").html
    assert SUMMARY in admin.get("/").html  # per administrator
    own.send(own.get("/preferences").form("/preferences"), security_summary="1")
    assert SUMMARY in own.get("/").html


@pytest.mark.row("KS-UI-004")
def test_home_shows_the_system_and_recent_actions(admin: Browser, watcher: Browser) -> None:
    create_user(admin, "xenia")
    audited(admin, "user xenia created")
    assert watcher.get("/users/do/create").status == 403  # what was refused is an action, too
    audited(admin, "watcher 127.0.0.1 user.create")
    for browser in (admin, watcher):
        page = browser.get("/")
        for field in ("Product", "Node ID", "Software version", "Date", "Time", "Time zone", "System uptime"):
            assert field in page.text
        assert "KMIP clients connected" in page.text
        assert "user xenia created" in page.text
        assert "/audit" in page.links
        assert '<svg class="plot"' in page.html
    page = admin.get("/audit?user=admin&named=user.create")
    assert "user xenia created" in page.text
    assert "session.log_in" not in page.text


def test_the_audit_log_goes_back_page_by_page(admin: Browser) -> None:
    for number in range(55):
        create_user(admin, f"many{number}")
    audited(admin, "user many54 created")
    page = admin.get("/audit?named=user.create")
    assert "user many54 created" in page.text
    assert "user many0 created" not in page.text
    older = admin.get(next(link for link in page.links if "before=" in link))
    assert "user many0 created" in older.text
    for before in ("-5", "x", "9" * 30, "１", "99999999999999"):
        assert admin.get(f"/audit?before={before}").status == 200


def test_a_new_clients_certificate_from_the_user_to_a_working_client(
    admin: Browser, node: DevNode, tmp_path: Path
) -> None:
    page = admin.send(form_at(admin, "/new-client"), user="yann", groups=["staff"], validity_days="30")
    check(page)
    assert page.status == 200
    assert "The user was made, and the certificate is issued." in page.text
    files = {}
    for name in ("yann.key", "yann.pem", "ca.pem"):
        before = page.html.partition(f'" download="{name}"')[0]
        files[name] = tmp_path / name
        files[name].write_bytes(base64.b64decode(before.rpartition("base64,")[2]))
    certificate = x509.load_pem_x509_certificate(files["yann.pem"].read_bytes())
    key = load_pem_private_key(files["yann.key"].read_bytes(), None)
    assert key.public_key() == certificate.public_key()
    with Session(node.port, Client(files["yann.pem"], files["yann.key"], files["ca.pem"])) as session:
        session.ask(messages.locate())
    assert "BEGIN PRIVATE KEY" not in admin.get("/users/show/yann").html
    page = admin.send(form_at(admin, "/new-client?user=yann"))
    assert "The user was made" not in page.text
    page = admin.send(form_at(admin, "/new-client"), user="yann", groups=["staff"])
    assert page.status == 409
    assert "is there already" in page.text


def test_a_refused_certificate_says_that_the_user_stays(admin: Browser) -> None:
    page = admin.send(form_at(admin, "/new-client"), user="zoe", request_pem="no request at all")
    assert page.status == 409
    assert "The user zoe was made and stays." in page.text
    assert values_of(page, "/new-client")["request_pem"] == "no request at all"
    assert admin.get("/users/show/zoe").status == 200


def test_certificates_are_revoked_by_their_page(admin: Browser) -> None:
    admin.send(form_at(admin, "/new-client"), user="revoked-one")
    page = admin.get("/certificates?user=revoked-one")
    serial = next(link for link in page.links if link.startswith("/certificates/show/"))
    item = admin.get(serial)
    revoke = next(link for link in item.links if link.startswith("/certificates/do/revoke"))
    done = admin.send(admin.get(revoke).form("/certificates/do/revoke"), reason="superseded")
    assert "superseded" in done.text
    page = admin.send(admin.get(revoke).form("/certificates/do/revoke"), reason="superseded")
    assert page.status == 409
    assert "revoked already" in page.text, page.text


def test_keys_are_listed_by_user_and_their_rights_given(admin: Browser, node: DevNode) -> None:
    with node.session("alice") as session:
        key = session.identifier(messages.create())
    page = admin.get("/keys?owner=alice")
    assert key in page.text
    item = admin.get(next(link for link in page.links if key in link))
    assert item.status == 200, item.text
    assert "alice" in item.text
    give = next(link for link in item.links if link.startswith("/keys/do/give"))
    done = admin.send(admin.get(give).form("/keys/do/give"), rights=["see", "encrypt"], group="staff")
    assert done.url.startswith(f"/keys/show/{key}")
    assert "staff" in done.text
    assert "encrypt" in done.text


def test_the_module_is_shown_and_switched(admin: Browser) -> None:
    page = admin.get("/module")
    assert "software" in page.text
    done = admin.send(form_at(admin, "/module/do/set-key-cache"), enabled="no")
    assert done.url == "/module?done=module.set_key_cache"
    admin.send(form_at(admin, "/module/do/set-key-cache"), enabled="yes")
    assert "it works" in admin.send(form_at(admin, "/module/do/check")).text


def test_an_authority_is_shown_with_its_certificate(admin: Browser) -> None:
    page = admin.get("/authorities/show/clients")
    assert "-----BEGIN CERTIFICATE-----" in page.text
    page = admin.send(form_at(admin, "/authorities/do/install"), name="other", certificate="nonsense")
    assert page.status in (409, 422)
    assert values_of(page, "/authorities/do/install")["certificate"] == "nonsense"
    page = admin.send(form_at(admin, "/authorities/do/install-list"), revocation_list="!!!")
    assert page.inputs["revocation_list"]["aria-invalid"] == "true"


def test_a_message_says_only_what_we_say(admin: Browser) -> None:
    assert "Done:" not in admin.get("/users?done=<b>you are hacked</b>").text
    assert FIRST not in admin.get("/users").html


@pytest.mark.row("KS-UI-023", "KS-UI-024")
def test_several_are_deleted_at_once_after_a_page_that_asks(admin: Browser, watcher: Browser, node: DevNode) -> None:
    for number in range(3):
        create_user(admin, f"bulk{number}")
    with node.session("bob") as session:
        session.ask(messages.create())
    chosen = admin.get("/users?filter=b&per=all").form("/users/several")
    assert {"bulk0", "bulk1", "bulk2", "bob"} <= set(chosen.options["item"])
    assert admin.send(chosen).status == 422  # nothing was chosen
    asked = admin.send(chosen, item=["bulk0", "bob", "bulk1", "bulk1"])
    check(asked)
    assert "cannot be taken back" in asked.text
    assert [value for name, value in asked.form("/users/several").values if name == "item"] == ["bulk0", "bob", "bulk1"]
    assert admin.get("/users/show/bulk0").status == 200
    done = admin.send(asked.form("/users/several"))
    check(done)
    assert "bob Bob owns keys" in done.text
    assert [admin.get(f"/users/show/{name}").status for name in ("bulk0", "bulk1", "bulk2", "bob")] == [
        404,
        404,
        200,
        200,
    ]
    many = [f"u{number}" for number in range(51)]
    token = values_of(admin.get("/preferences"), "/preferences")["form-token"]
    page = admin.post("/users/several", [("form-token", token), *(("item", name) for name in many)])
    assert (page.status, "At most 50 at once" in page.text) == (422, True)
    assert watcher.get("/users/several?item=bulk2").status == 403
    assert not [form for form in watcher.get("/users").forms if form.action == "/users/several"]
    assert admin.get("/administrators/several?item=admin").status == 404  # wants the name again, each by itself
    page = admin.request("POST", "/users/several", b"item=bulk2")
    assert (page.status, admin.get("/users/show/bulk2").status) == (403, 200)


@pytest.mark.row("KS-ADM-009")
def test_buttons_tick_all_or_none_without_a_script(admin: Browser) -> None:
    path = "/administrators/do/create"
    form = form_at(admin, path)
    every = form.options["access"]
    typed = [("name", "ticker"), ("full_name", "Tick Tock")]
    token = [("form-token", dict(form.values)["form-token"])]
    page = admin.post(path, [*token, *typed, ("tick", "access:all")])
    check(page)
    again = page.form(path)
    assert [value for name, value in again.values if name == "access"] == every
    assert dict(again.values)["full_name"] == "Tick Tock"
    assert admin.get("/administrators/show/ticker").status == 404  # nothing was carried out
    page = admin.post(path, [*again.values, ("tick", "access:none")])
    assert not [value for name, value in page.form(path).values if name == "access"]
    assert admin.post(path, [*token, ("tick", "nonsense:all")]).status == 422


@pytest.mark.row("KS-ADM-007")
def test_high_access_ticks_everything_and_single_ones_may_be_unticked(admin: Browser, node: DevNode) -> None:
    path = "/administrators/do/create"
    form = form_at(admin, path)
    page = admin.send(form, name="chief", password=FIRST, access=["high_access"])
    assert page.status == 200
    check(page)
    assert "Passwords have to be typed anew" in page.text
    again = page.form(path)
    ticked = [value for name, value in again.values if name == "access"]
    assert ticked == form.options["access"]
    assert admin.get("/administrators/show/chief").status == 404
    kept = [one for one in ticked if one not in ("all", "snmp")]
    made = admin.send(again, password=FIRST, access=kept)
    assert made.url == "/administrators/show/chief?done=administrator.create", made.text
    assert "high_access" in made.text
    assert "snmp" not in made.text
    edit = "/administrators/do/change"
    changed = admin.send(form_at(admin, f"{edit}?item=chief"), access=["high_access"])  # it was there before
    assert changed.url.startswith("/administrators/show/chief?done")
    assert "keys_policies" not in changed.text
    admin.send(form_at(admin, "/administrators/do/delete?item=chief"), confirm="chief")


@pytest.mark.row("KS-USR-010")
def test_passwords_of_users_are_eight_asterisks(admin: Browser) -> None:
    page = admin.get("/users")
    assert page.html.count("<td>********</td>") == page.html.count('<th scope="row">') > 0


@pytest.mark.row("KS-UI-005")
def test_home_has_the_newest_actions_and_leads_to_all_of_them(admin: Browser) -> None:
    create_user(admin, "newsworthy")
    audited(admin, "user newsworthy created")
    home = admin.get("/")
    assert "Recent Actions" in home.text
    assert "user newsworthy created" in home.text
    assert "/audit" in home.links
