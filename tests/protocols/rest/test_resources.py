"""What an administrator does over HTTP: things are made, found page by page, changed and removed; clients notice."""

import base64
import json
from collections.abc import Callable

import pytest

from tests.protocols.rest.conftest import FIRST
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Disconnected, Refused
from tests.support.rest.client import Rest

HOSTILE = (
    "<script>alert(1)</script>",
    "'; DROP TABLE objects; --",
    "=cmd|'/C calc'!A0",
    "*)(uid=*))(|(uid=*",
    "\u202egnirts",
    "раураl",
    "line\nbreak",
    "tab\there",
    "%00",
    "../../etc/passwd",
    "{{7*7}}",
    "a" * 5000,
    "\x1b[2J",
    "😀",
)


def test_what_is_made_has_a_place_and_what_is_removed_has_none(admin: Rest) -> None:
    made = admin.ask("POST", "/users", {"name": "walter", "groups": ["staff"]})
    assert (made.status, made.headers["location"]) == (201, "/v1/users/walter")
    assert made.body == {"name": "walter", "groups": ["staff"], "disabled": False}
    assert admin.told("GET", "/users/walter") == made.body
    again = admin.ask("POST", "/users", {"name": "walter"})
    assert (again.status, again.reason, again.headers["content-type"]) == (409, "exists", "application/problem+json")
    assert admin.told("PUT", "/users/walter/groups", {"groups": ["audit", "staff"]})["groups"] == ["audit", "staff"]
    assert (
        admin.told("PUT", "/groups/night/members/walter")["groups"] == ["audit", "night", "staff"]
        if (admin.ask("POST", "/groups", {"name": "night"}).status == 201)
        else False
    )
    admin.told("DELETE", "/users/walter")
    assert admin.ask("GET", "/users/walter").status == 404


def test_lists_come_page_by_page_and_each_thing_once(admin: Rest) -> None:
    for number in range(25):
        admin.told("POST", "/users", {"name": f"page{number:02}"})
    names, cursor = [], ""
    while True:
        page = admin.told("GET", f"/users?limit=7{cursor}")
        assert len(page["items"]) <= 7
        names += [one["name"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert names == sorted(names)
    assert len(names) == len({*names})
    assert {f"page{number:02}" for number in range(25)} <= {*names}
    groups = [one["name"] for one in admin.told("GET", "/groups")["items"]]
    paged = admin.told("GET", "/groups?limit=1")
    second = admin.told("GET", f"/groups?limit=1000&cursor={paged['next']}") if paged["next"] else {"items": []}
    assert [one["name"] for one in [*paged["items"], *second["items"]]] == groups


@pytest.mark.parametrize("told", [1, -1, 10**9, None, True, {"a": 1}, "text", [1]], ids=json.dumps)
@pytest.mark.parametrize("path", ["/users", "/groups", "/keys"])
def test_a_cursor_of_somebody_elses_making_does_no_harm(admin: Rest, path: str, told: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(told).encode()).decode()
    assert admin.ask("GET", f"{path}?cursor={cursor}").status in (200, 409)
    assert admin.ask("GET", f"{path}?cursor=%F0%9F%98%80").status == 409
    assert admin.ask("GET", f"{path}?cursor={cursor[:-3]}!").status == 409


def test_a_user_who_is_disabled_over_rest_is_refused_over_kmip_at_once(node: DevNode, admin: Rest) -> None:
    with node.session("bob") as session:
        key = session.identifier(messages.create())
        admin.told("POST", "/users/bob/disable", {"disabled": True})
        with pytest.raises((Refused, Disconnected)):
            session.key(key)
    admin.told("POST", "/users/bob/disable", {"disabled": False})
    with node.session("bob") as session:
        assert session.key(key)


def test_rights_on_a_key_are_named(node: DevNode, admin: Rest) -> None:
    with node.session("alice") as session:
        key = session.identifier(messages.create())
    assert key in [one["id"] for one in admin.told("GET", "/keys?owner=alice")["items"]]
    given = admin.told("POST", f"/keys/{key}/grants", {"rights": ["encrypt"], "user": "bob"})
    assert given["grants"] == [{"group": "", "user": "bob", "rights": ["see", "encrypt"], "policy": ""}]
    assert admin.ask("POST", f"/keys/{key}/grants", {"rights": ["modify"], "user": "bob"}).status == 422
    taken = admin.told("DELETE", f"/keys/{key}/grants?user=bob&rights=encrypt&rights=see")
    assert taken["grants"] == []


def test_policies_are_made_granted_changed_and_deleted(node: DevNode, admin: Rest) -> None:
    office = {"name": "office", "operations_per_hour": 500, "periods": ["mon 09:00-mon 17:00"]}
    made = admin.ask("POST", "/policies", office)
    assert (made.status, made.headers["location"], made.body) == (201, "/v1/policies/office", office)
    for wrong in ({"operations_per_hour": 500_000_001}, {"periods": ["always"]}, {"name": "a:b"}):
        assert admin.ask("POST", "/policies", {"name": "other", **wrong}).status == 422
    with node.session("alice") as session:
        key = session.identifier(messages.create())
    given = admin.told("PUT", f"/keys/{key}/grants/clerks", {"rights": ["export"], "policy": "office"})
    see = {"group": "clerks", "user": "", "rights": ["see"], "policy": ""}
    assert given["grants"] == [see, {**see, "rights": ["export"], "policy": "office"}]
    changed = admin.told("PATCH", "/policies/office", {"operations_per_hour": 7})
    assert changed == {**office, "operations_per_hour": 7}
    shown = admin.told("GET", "/policies/office")
    assert len(shown["keys"]) == 1
    assert admin.told("GET", f"/keys/{key}")["key"]["name"] == shown["keys"][0]
    refused = admin.ask("DELETE", "/policies/office")
    assert (refused.status, refused.reason) == (403, "refused.permission")
    assert shown["keys"][0] in refused.body["detail"]
    admin.told("DELETE", f"/keys/{key}/grants?group=clerks&rights=export")
    admin.told("DELETE", "/policies/office")
    assert admin.ask("GET", "/policies/office").status == 404


def test_a_clients_certificate_is_issued_and_revoked(admin: Rest) -> None:
    admin.told("POST", "/users", {"name": "machine"})
    issued = admin.told("POST", "/certificates", {"user": "machine"})
    assert issued["key"].startswith("-----BEGIN PRIVATE KEY-----")
    (known,) = admin.told("GET", "/certificates?user=machine")["items"]
    assert known["not_after"].endswith("Z")
    ended = admin.told("POST", "/certificate-revocations", {"serial": known["serial"], "reason": "superseded"})
    assert ended["revoked"] == "superseded"
    assert "key" not in admin.told("GET", f"/certificates/{known['serial']}")


def test_a_setting_is_changed_within_its_limits(admin: Rest) -> None:
    assert admin.told("PUT", "/settings/user_lockout/failures_count", {"value": 7})["value"] == 7
    assert admin.told("GET", "/settings?section=user_lockout")["user_lockout"]["failures_count"] == 7
    assert admin.ask("PUT", "/settings/user_lockout/failures_count", {"value": 1000}).status == 409
    assert admin.ask("PUT", "/settings/user_lockout/failures_count", {"value": "7"}).status == 409
    assert admin.ask("PUT", "/settings/web/port", {"value": 1}).status == 403
    assert admin.ask("PUT", "/settings/none/port", {"value": 1}).status == 422
    admin.told("PUT", "/settings/user_lockout/failures_count", {"value": 5})


def test_the_same_request_under_one_key_is_run_once(admin: Rest, somebody: Callable[..., Rest]) -> None:
    asked = {"name": "once"}
    first = admin.ask("POST", "/groups", asked, idempotency_key="k-1")
    second = admin.ask("POST", "/groups", asked, idempotency_key="k-1")
    assert (
        (first.status, first.body)
        == (second.status, second.body)
        == (201, {"name": "once", "members_count": 0, "members": []})
    )
    other = admin.ask("POST", "/groups", {"name": "other"}, idempotency_key="k-1")
    assert (other.status, other.reason) == (409, "conflict")
    assert admin.ask("POST", "/groups", asked, idempotency_key="k-2").reason == "exists"
    stranger = somebody("users_groups").ask("POST", "/groups", {"name": "theirs"}, idempotency_key="k-1")
    assert stranger.status == 201
    assert admin.ask("POST", "/groups", asked, idempotency_key="k" * 256).status == 422


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_come_back_unharmed_or_are_refused(admin: Rest, name: str) -> None:
    assert admin.ask("POST", "/users", {"name": name}).status == 422
    made = admin.ask("POST", "/administrators", {"name": "hostile", "password": FIRST, "full_name": name})
    if made.status == 201:
        assert admin.told("GET", "/administrators/hostile")["full_name"] == name
        admin.told("DELETE", "/administrators/hostile?confirm=hostile")
    else:
        assert made.status in (409, 422)
        assert name not in json.dumps(made.body, ensure_ascii=False)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"\xff\xfe", 422),
        (b"[" * 100_000, 400),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400),
        (b"NaN", 422),
        (b'{"name": NaN}', 422),
        (b'{"name": "x", "name": ["y"]}', 422),
        (b'{"name": "\\ud800"}', 422),
        (b'{"name": 1e400}', 422),
        (b'{"name": ' + b"9" * 10_000 + b"}", 400),
        (b"null", 422),
        (b'"x"', 422),
        (b" " * 9_000_000, 413),
    ],
    ids=range(14),
)
def test_a_body_that_is_no_request_is_refused(admin: Rest, raw: bytes, status: int) -> None:
    reply = admin.ask("POST", "/groups", raw=raw)
    assert (reply.status, reply.body["status"]) == (status, status)
    assert reply.headers["content-type"] == "application/problem+json"


def test_other_media_types_and_parameters_are_refused(admin: Rest) -> None:
    body = b'{"name": "typed"}'
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/html"):
        assert admin.ask("POST", "/groups", raw=body, content_type=media).status in (415, 422), media
    assert admin.ask("GET", "/users?admin=true").status == 422
    assert admin.ask("GET", "/users/").status == 404
    reply = admin.ask("DELETE", "/users")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, POST")


def test_nothing_is_kept_or_framed_by_browsers(admin: Rest) -> None:
    headers = admin.ask("GET", "/users").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "server" not in headers
    assert "access-control-allow-origin" not in admin.ask("GET", "/users", origin="https://elsewhere").headers


def test_certificates_that_end_soon_are_listed_until_they_are_revoked(admin: Rest) -> None:
    admin.told("POST", "/users", {"name": "shortlived"})
    admin.told("POST", "/certificates", {"user": "shortlived", "validity_days": 5})
    (issued,) = admin.told("GET", "/certificates?user=shortlived")["items"]

    def listed(days: int) -> list[str]:
        found = admin.told("GET", f"/expiring-certificates?days={days}")["items"]
        return [one["serial"] for one in found if one["user"] == "shortlived"]

    assert (listed(30), listed(6), listed(3)) == ([issued["serial"]], [issued["serial"]], [])
    admin.told("POST", "/certificate-revocations", {"serial": issued["serial"]})
    assert listed(30) == []


def test_a_key_is_made_found_changed_and_erased(node: DevNode, admin: Rest) -> None:
    made = admin.ask("POST", "/keys", {"name": "payroll", "owner": "alice", "exportable": True})
    key = made.body["key"]["id"]
    assert (made.status, made.headers["location"]) == (201, f"/v1/keys/{key}")
    assert [one["id"] for one in admin.told("GET", "/keys?name_part=payr&limit=1")["items"]] == [key]
    with node.session("alice") as session:
        assert len(session.key(key)) == 32
    admin.told("PUT", "/keys/payroll/name", {"name": "payroll-2027"})
    changed = admin.told("PATCH", "/keys/payroll-2027", {"deactivation_at": "2031-01-31T12:00:00Z"})
    assert "2031-01-31T12:00:00Z" in json.dumps(changed)
    assert admin.ask("DELETE", "/keys/payroll-2027?confirm=other").status == 409
    admin.told("DELETE", "/keys/payroll-2027?confirm=payroll-2027")
    with node.session("alice") as session, pytest.raises(Refused):
        session.key(key)


def test_keys_come_page_by_page_and_each_once(admin: Rest) -> None:
    for number in range(12):
        admin.told("POST", "/keys", {"name": f"paged-{number:02}", "owner": "bob"})
    names: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = admin.told("GET", f"/keys?owner=bob&name_part=paged&limit=5&cursor={cursor}")
        names += [one["name"] for one in page["items"]]
        cursor = page["next"]
    assert names == [f"paged-{number:02}" for number in range(12)]
