"""API tokens: shown once, kept as a digest, never more than their administrator."""

from collections.abc import Callable

from keystead.operations.api_tokens import TOKENS_PER_ADMINISTRATOR_COUNT_MAX
from tests.support.rest.client import Rest


def test_a_token_does_what_its_scopes_say_and_reads(somebody: Callable[..., Rest]) -> None:
    session = somebody("users_groups", "keys_policies")
    program = session.as_token(session.told("POST", "/api-tokens", {"label": "a", "scopes": ["users_groups"]})["token"])
    told = program.told("GET", "/session")
    assert (told["kind"], told["access"]) == ("api_token", ["users_groups"])
    assert program.ask("POST", "/groups", {"name": "by-program"}).status == 201
    assert program.ask("GET", "/keys").status == 403
    assert program.ask("GET", "/users").status == 200


def test_a_token_never_does_more_than_its_administrator(admin: Rest, somebody: Callable[..., Rest]) -> None:
    session = somebody("users_groups")
    name = session.told("GET", "/session")["name"]
    asked = {"label": "greedy", "scopes": ["users_groups", "high_access"]}
    program = session.as_token(session.told("POST", "/api-tokens", asked)["token"])
    assert program.ask("POST", "/administrators", {}).status == 403
    admin.told("PATCH", f"/administrators/{name}", {"access": ["admin_web"]})
    assert program.ask("POST", "/groups", {"name": "too-late"}).status == 403
    admin.told("PATCH", f"/administrators/{name}", {"disabled": True})
    assert program.ask("GET", "/users").status == 401


def test_a_token_cannot_touch_its_administrators_account(token_with: Callable[..., Rest]) -> None:
    program = token_with("high_access")
    for method, path, body in (
        ("POST", "/api-tokens", {"label": "more"}),
        ("PUT", "/session/password", {"current": "a", "new": "b"}),
        ("DELETE", "/session", None),
    ):
        assert program.ask(method, path, body).status == 403


def test_tokens_are_listed_without_their_secrets_and_revoked_at_once(
    somebody: Callable[..., Rest], admin: Rest
) -> None:
    session, other = somebody(), somebody()
    made = session.told("POST", "/api-tokens", {"label": "lost", "days": 3})
    secret = made["token"].split("_", 2)[2]
    listed = session.ask("GET", "/api-tokens")
    assert secret not in str(listed.body)
    assert [(one["id"], one["label"]) for one in listed.body["items"]] == [(made["id"], "lost")]
    assert other.told("GET", "/api-tokens")["items"] == []
    assert made["id"] in [one["id"] for one in admin.told("GET", "/api-tokens?limit=1000")["items"]]
    assert other.ask("DELETE", f"/api-tokens/{made['id']}").status == 404
    assert session.ask("DELETE", f"/api-tokens/{made['id']}").status == 204
    assert session.as_token(made["token"]).ask("GET", "/users").status == 401


def test_an_administrator_has_a_bounded_number_of_tokens(somebody: Callable[..., Rest]) -> None:
    session = somebody()
    for _ in range(TOKENS_PER_ADMINISTRATOR_COUNT_MAX):
        session.told("POST", "/api-tokens", {"label": "one of many"})
    assert session.ask("POST", "/api-tokens", {"label": "one too many"}).status == 403


def test_a_token_with_another_secret_is_none(somebody: Callable[..., Rest]) -> None:
    session = somebody()
    prefix, token_id, secret = session.told("POST", "/api-tokens", {"label": "x"})["token"].split("_", 2)
    for wrong in (secret[:-1], secret[:-1] + ("A" if secret[-1] != "A" else "B"), "", secret + "x"):
        assert session.as_token(f"{prefix}_{token_id}_{wrong}").ask("GET", "/users").status == 401
