"""Things that are there on a node, and for every operation a request that works on them once.

Whoever tries the interface from its description alone mostly asks for what is not there; with these requests every
operation is carried out as well.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from tests.support.authorities import Foreign, a_root
from tests.support.dev_node import DevNode
from tests.support.rest.client import Rest, administrator, stranger

FIRST, OWN, LATER = "Violet-Kettle-93-Harbour", "Copper-Meadow-41-Lantern", "Saffron-Quarry-58-Violin"
TARGETS = (
    "show",
    "rename",
    "change",
    "set_state",
    "erase",
    "set_owner",
    "set_flags",
    "grant",
    "grants",
    "give",
    "take",
)

SPARE_COUNT = 5
"""Of what a tester deletes under us, because it has learned its name from answers."""


@dataclass
class World:
    """What hooks of the tester need.

    Attributes:
        url: Of the interface, ends in /v1.
        authority: PEM file of the CA of the server certificate.
        token: API token with every scope.
        person: Session of somebody with every access, who is not whoever asked what waits.
        guest: Name and password of somebody who logs in for nothing but to log out.
        changer: Session of somebody who changes their password.
        known: Operation -> requests that succeed once: {"path": …, "query": …, "body": …}, each may be missing.
    """

    url: str
    authority: str
    token: str
    person: str
    guest: tuple[str, str]
    changer: str
    known: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def person(admin: Rest, nobody: Rest, name: str) -> Rest:
    """A new administrator with every access and a password of their own, in a session."""
    admin.told("POST", "/administrators", {"name": name, "password": FIRST, "access": ["all"]})
    session = nobody.logged_in(name, FIRST)
    session.told("PUT", "/session/password", {"current": FIRST, "new": OWN})
    return session


def built(node: DevNode) -> World:
    """Fill a new node with the web door."""
    nobody, admin = stranger(node), administrator(node)
    scopes = admin.told("GET", "/openapi.json")["components"]["schemas"]["CreateToken"]["properties"]["scopes"]
    made = admin.told("POST", "/api-tokens", {"label": "tester", "scopes": scopes["items"]["enum"]})
    second, changer, _ = (person(admin, nobody, name) for name in ("second", "changer", "guest"))
    world = World(nobody.url, str(nobody.authority), made["token"], second.token, ("guest", OWN), changer.token)
    _people(admin, second, world.known)
    _authorities(admin, world.known)
    _keys(admin, world.known)
    _named(admin, world.known)
    _requests(admin, second, world.known)
    _rest(world.known)
    return world


def _people(admin: Rest, second: Rest, known: dict[str, list[dict[str, Any]]]) -> None:
    for name in ("show", "disable", "set_groups", "set_password", "delete"):
        admin.told("POST", "/users", {"name": f"user-{name}", "groups": ["staff"]})
        known[f"user.{name}"] = [{"path": {"name": f"user-{name}"}}]
    known["user.disable"][0]["body"] = {"disabled": True}
    known["user.set_groups"][0]["body"] = {"groups": ["staff", "night"]}
    known["user.set_password"][0]["body"] = {"password": OWN}
    known["user.create"] = [{"body": {"name": "user-create", "groups": ["staff"]}}]
    left = [f"left-{number}" for number in range(SPARE_COUNT)]
    for name in ("crew", "gone", *left):
        admin.told("POST", "/groups", {"name": name})
    for name in left:
        admin.told("POST", "/users", {"name": name, "groups": [name]})
    known["group.create"] = [{"body": {"name": "created"}}]
    known["group.show"] = [{"path": {"name": "crew"}}]
    known["group.delete"] = [{"path": {"name": "gone"}}]
    known["group.add_member"] = [{"path": {"group": "crew", "user": "user-show"}}]
    known["group.remove_member"] = [{"path": {"group": name, "user": name}} for name in left]
    for name in ("show", "change", "setpassword", "delete"):
        admin.told("POST", "/administrators", {"name": f"admin{name}", "password": FIRST})
    known["administrator.create"] = [{"body": {"name": "admincreate", "password": FIRST, "access": ["users_groups"]}}]
    known["administrator.show"] = [{"path": {"name": "adminshow"}}]
    known["administrator.change"] = [{"path": {"name": "adminchange"}, "body": {"full_name": "Some Body"}}]
    known["administrator.set_password"] = [{"path": {"name": "adminsetpassword"}, "body": {"password": OWN}}]
    known["administrator.delete"] = [{"path": {"name": "admindelete"}, "query": {"confirm": "admindelete"}}]
    own = second.told("POST", "/api-tokens", {"label": "to be revoked", "scopes": []})
    known["api_token.create"] = [{"body": {"label": "own", "scopes": ["users_groups"], "days": 3}}]
    known["api_token.revoke"] = [{"path": {"id": own["token"].split("_")[1]}}]


def _authorities(admin: Rest, known: dict[str, list[dict[str, Any]]]) -> None:
    for _ in ("shown", "revoked"):
        admin.told("POST", "/certificates", {"user": "user-show"})
    shown, revoked = (one["serial"] for one in admin.told("GET", "/certificates?user=user-show")["items"][:2])
    known["certificate.issue"] = [{"body": {"user": "user-show", "validity_days": 5}}]
    known["certificate.show"] = [{"path": {"serial": shown}}]
    known["certificate.revoke"] = [{"body": {"serial": revoked, "reason": "superseded"}}]
    foreign = {name: a_root(f"Root {name}") for name in ("kept", "removed", "added", "dropped", "installed")}
    for name in ("kept", "removed", "added", "dropped"):
        admin.told("POST", "/authorities", {"name": name, "certificate": foreign[name].pem})
    known["authority.install"] = [{"body": {"name": "installed", "certificate": foreign["installed"].pem}}]
    known["authority.install_list"] = [{"body": {"revocation_list": _base64(foreign["kept"])}}]
    known["authority.remove"] = [{"path": {"name": "removed"}}]
    known["authority.show"] = [{"path": {"name": "kept"}}]
    trusting = [f"trusting-{number}" for number in range(SPARE_COUNT)]
    for name in ("partners", "former", *trusting):
        admin.told("POST", "/trust-profiles", {"name": name})
    for name in trusting:
        admin.told("PUT", f"/trust-profiles/{name}/authorities/dropped")
    known["trust_profile.create"] = [{"body": {"name": "suppliers"}}]
    known["trust_profile.delete"] = [{"path": {"name": "former"}}]
    known["trust_profile.add"] = [{"path": {"profile": "partners", "authority": "added"}}]
    known["trust_profile.remove"] = [{"path": {"profile": name, "authority": "dropped"}} for name in trusting]


def _base64(authority: Foreign) -> str:
    return base64.b64encode(authority.revocation_list()).decode()


def _keys(admin: Rest, known: dict[str, list[dict[str, Any]]]) -> None:
    for name in TARGETS:
        admin.told("POST", "/keys", {"name": f"key-{name}", "owner": "alice"})
        known[f"key.{name}"] = [{"path": {"target": f"key-{name}"}}]
    admin.told("POST", "/keys", {"name": "pair", "algorithm": "EC-P256", "owner": "alice"})
    known["key.public_key"] = [{"path": {"target": "pair"}}]
    known["key.generate"] = [{"body": {"name": "key-generate", "owner": "alice", "algorithm": "AES-128"}}]
    material = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    known["key.import"] = [
        {"body": {"material": material, "name": "key-import", "algorithm": "AES-256", "owner": "alice"}}
    ]
    known["key.rename"][0]["body"] = {"name": "key-renamed"}
    known["key.change"][0]["body"] = {"description": "of the night", "attributes": ["x-shift=night"]}
    known["key.set_state"][0]["body"] = {"state": "deactivated", "message": "done with"}
    known["key.erase"][0]["query"] = {"confirm": "key-erase"}
    known["key.set_owner"][0]["body"] = {"owner": "user-show"}
    known["key.set_flags"][0]["body"] = {"deletable": True}
    known["key.grant"][0] |= {"path": {"target": "key-grant", "group": "crew"}, "body": {"rights": ["encrypt"]}}
    known["key.give"][0]["body"] = {"rights": ["encrypt"], "user": "user-show"}
    admin.told("POST", "/keys/key-take/grants", {"rights": ["encrypt"], "user": "user-show"})
    known["key.take"][0]["query"] = {"rights": ["encrypt"], "user": "user-show"}
    known["key.find"] = [{"query": {"owner": "alice", "name_part": "key-", "limit": 5}}]


def _named(admin: Rest, known: dict[str, list[dict[str, Any]]]) -> None:
    """Queries, policies, attributes and addresses, and a key with versions."""
    for verb in ("show", "change", "copy", "delete", "run"):
        admin.told("POST", "/queries", {"name": f"query-{verb}", "text": "owner = alice"})
        known[f"query.{verb}"] = [{"path": {"name": f"query-{verb}"}}]
    known["query.create"] = [{"body": {"name": "query-create", "text": "state = active"}}]
    known["query.change"][0]["body"] = {"text": "owner = bob"}
    known["query.copy"][0]["body"] = {"new_name": "query-copied"}
    known["query.apply"] = [{"body": {"text": "owner = alice"}}]
    for verb in ("show", "change", "delete"):
        admin.told("POST", "/policies", {"name": f"policy-{verb}", "operations_per_hour": 9})
        known[f"policy.{verb}"] = [{"path": {"name": f"policy-{verb}"}}]
        admin.told("PUT", f"/key-attributes/x-{verb}", {"type": "string"})
        known[f"key_attribute.{verb}"] = [{"path": {"name": f"x-{verb}"}}]
    known["policy.create"] = [{"body": {"name": "policy-create", "operations_per_hour": 9}}]
    known["policy.change"][0]["body"] = {"operations_per_hour": 7}
    known["key_attribute.define"] = [{"path": {"name": "x-defined"}, "body": {"type": "string"}}]
    numbers = [admin.told("POST", "/ip-entries", {"addresses": f"192.0.2.{n}"})["number"] for n in (1, 2, 3, 4)]
    known["ip_entry.create"] = [{"body": {"addresses": "198.51.100.0/24", "web": True}}]
    known["ip_entry.change"] = [{"path": {"number": one}, "body": {"web": True}} for one in numbers[:2]]
    known["ip_entry.delete"] = [{"path": {"number": one}} for one in numbers[2:]]
    known["ip_authorization.set"] = [{"body": {"key_server": "all"}}]
    known["preset.apply"] = [{"path": {"name": "recommended_authentication"}}]
    made = {"owner": "alice", "versioned": True}
    for name in ("versions-list", "versions-create", "versions-state"):
        admin.told("POST", "/keys", {"name": name, **made})
    admin.told("POST", "/keys/versions-state/versions", {})
    known["key_version.list"] = [{"path": {"target": "versions-list"}}]
    known["key_version.create"] = [{"path": {"target": "versions-create"}, "body": {}}]
    known["key_version.set_state"] = [
        {"path": {"target": "versions-state", "version": 1}, "body": {"state": "retired"}}
    ]
    for name in ("key-clone", "erased-1", "erased-2"):
        admin.told("POST", "/keys", {"name": name, "owner": "alice"})
    known["key.clone"] = [{"path": {"target": "key-clone"}, "body": {"name": "key-cloned"}}]
    known["key.erase_several"] = [{"body": {"keys": ["erased-1", "erased-2"], "keys_count": 2}}]


def _requests(admin: Rest, second: Rest, known: dict[str, list[dict[str, Any]]]) -> None:
    """Requests that wait for a second person, and grants in advance; approvals are not required any more afterwards."""
    admin.told("PUT", "/settings/multiple_credentials/grants_allowed", {"value": True})
    admin.told("PUT", "/settings/multiple_credentials/required", {"value": True})
    for name in ("show", "approve", "refuse", "withdraw"):
        admin.ask("POST", "/users", {"name": f"waits-{name}"})
    admin.ask("PUT", "/settings/multiple_credentials/required", {"value": False})
    waiting = {one["view"].get("name", "").strip("'\""): one for one in second.told("GET", "/approvals")["items"]}
    switch = waiting.pop("")
    second.told("POST", f"/approvals/{switch['id']}/approve", {"hash": switch["hash"]})
    for name in ("show", "approve", "refuse", "withdraw"):
        known[f"approval.{name}"] = [{"path": {"id": waiting[f"waits-{name}"]["id"]}}]
    known["approval.approve"][0]["body"] = {"hash": waiting["waits-approve"]["hash"]}
    known["approval.refuse"][0]["body"] = {"reason": "not needed"}
    granted = {"to": "admin", "hours": 1, "operations": ["change_keys"]}
    known["credential.revoke"] = [{"path": {"id": second.told("POST", "/credentials", granted)["id"]}}]
    known["credential.grant"] = [{"body": {**granted, "operations": ["change_users"]}}]


def _rest(known: dict[str, list[dict[str, Any]]]) -> None:
    known["audit.pseudonymise"] = [{"body": {"name": "guest"}}]
    known["audit.prove"] = [{"path": {"number": 1}}]
    known["module.logout"] = [{"body": {"role": "crypto-user"}}]
    known["module.set_key_cache"] = [{"body": {"enabled": True}}]
    known["preferences.change"] = [{"body": {"security_summary": False}}]
    known["settings.change"] = [{"path": {"section": "sessions", "field": "idle_minutes"}, "body": {"value": 60}}]
    known["session.log_in"] = [{"body": {"username": "guest", "password": OWN}}]
    known["session.set_password"] = [{"body": {"current": OWN, "new": LATER}}]
