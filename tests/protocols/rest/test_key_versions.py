"""Versions and clones of keys over HTTP."""

import pytest

from tests.support.rest.client import Rest


@pytest.mark.row("KS-KEY-012", "KS-KEY-014", "KS-KEY-056")
def test_versions_are_made_listed_and_set(admin: Rest) -> None:
    made = admin.told("POST", "/keys", {"name": "rest-tape", "owner": "alice", "versioned": True})
    assert (made["key"]["versions_count"], made["key"]["state"]) == (1, "-")
    for number in (2, 3, 4, 5):
        assert admin.told("POST", "/keys/rest-tape/versions", {})["version"] == number
    listed, cursor = [], ""
    while True:
        page = admin.told("GET", f"/keys/rest-tape/versions?limit=2{cursor}")
        listed += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert [(one["version"], one["is_default"]) for one in listed] == [
        *((5, True), (4, False), (3, False), (2, False), (1, False)),
    ]
    set_to = admin.told("PUT", "/keys/rest-tape/versions/2/state", {"state": "restricted"})
    assert (set_to["state"], set_to["id"]) == ("restricted", listed[3]["id"])
    refused = admin.ask("PUT", "/keys/rest-tape/versions/5/state", {"state": "retired"})
    assert (refused.status, refused.reason) == (409, "wrong_state.object")
    assert "version 5 is the default one" in refused.body["detail"]
    for name in ("rest-tape", made["key"]["id"]):  # the id of any version is the key's
        assert admin.told("GET", f"/keys/{name}")["key"]["id"] == listed[0]["id"]
    assert [one["name"] for one in admin.told("GET", "/keys?name_part=rest-tape")["items"]] == ["rest-tape"]
    for wrong in ("0", "4001", "x"):
        assert admin.ask("PUT", f"/keys/rest-tape/versions/{wrong}/state", {"state": "retired"}).status in {
            400,
            404,
            422,
        }


@pytest.mark.row("KS-KEY-051")
def test_a_key_is_cloned(admin: Rest) -> None:
    admin.told("POST", "/keys", {"name": "rest-plain", "owner": "alice"})
    made = admin.told("POST", "/keys/rest-plain/clones", {"name": "rest-copy", "versioned": True})
    assert (made["key"]["name"], made["key"]["versions_count"]) == ("rest-copy", 1)
    assert admin.ask("POST", "/keys/rest-plain/clones", {"name": "rest-copy"}).status == 409


def test_active_versions_are_a_setting(admin: Rest) -> None:
    admin.told("POST", "/keys", {"name": "rest-few", "owner": "alice", "versioned": True})
    admin.told("PUT", "/settings/keys/active_versions_max", {"value": 1})
    refused = admin.ask("POST", "/keys/rest-few/versions", {})
    assert (refused.status, refused.reason) == (409, "wrong_state.object")
    admin.told("PUT", "/settings/keys/active_versions_max", {"value": 8})
    assert admin.told("POST", "/keys/rest-few/versions", {})["version"] == 2
