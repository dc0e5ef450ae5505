"""Frames and values of the local door."""

from dataclasses import dataclass

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import ERROR_CLASSES, Invalid, KeysteadError, Limited, NotSupported, Refused
from keystead.core.secret import Secret
from keystead.gate.operation import Declaration
from keystead.protocols.local.wire import declaration_of, error_from, plain, read_body, request_from
from keystead.trust.root import Role


@dataclass(frozen=True)
class Asked:
    """Every kind of field there is."""

    name: str
    role: Role = Role.CRYPTO_USER
    secret: Secret | None = None
    count: int = 0
    groups: tuple[str, ...] = ()


DECLARED = Declaration(Asked, "test.asked", "Asked", lambda _c, _r: None)


def test_plain_fields_become_a_request() -> None:
    asked = request_from(
        DECLARED, {"name": "a", "role": "security-officer", "secret": b"xyz", "count": 3, "groups": ["g", "h"]}
    )
    assert (asked.name, asked.role, asked.count, asked.groups) == ("a", Role.SECURITY_OFFICER, 3, ("g", "h"))
    assert asked.secret.matches(Secret(b"xyz"))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": 1},
        {"name": "a", "other": 1},
        {"name": "a", "count": True},
        {"name": "a", "role": "nobody"},
        {"name": "a", "groups": "g"},
        {"name": "a", "secret": "text"},
    ],
)
def test_anything_else_is_refused_by_name(fields: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        request_from(DECLARED, fields)


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(body: bytes) -> None:
    try:
        message = read_body(body)
    except Invalid:
        return
    assert all(isinstance(key, str) for key in message)


def test_results_are_plain_and_secrets_only_for_the_caller() -> None:
    assert plain(Asked("a", secret=Secret(b"k"), groups=("g",))) == {
        "name": "a", "role": "crypto-user", "secret": b"k", "count": 0, "groups": ["g"],
    }  # fmt: skip
    assert type(plain(Role.DOMAIN)) is str
    cbor2.dumps(plain({Role.DOMAIN: Role.DOMAIN, "x": [1, True, None]}))


@pytest.mark.parametrize("cls", ERROR_CLASSES)
def test_every_error_crosses_the_door(cls: type[KeysteadError]) -> None:
    for reason in cls.reasons:
        error = error_from({"error": reason, "message": "words"})
        assert type(error) is cls
        assert (error.reason, error.message) == (reason, "words")
    assert isinstance(error_from({"error": "limited", "message": ""}), Limited)


def test_unknown_operations_are_named_so() -> None:
    with pytest.raises(NotSupported):
        declaration_of("no.such")
    assert isinstance(error_from({"error": "refused.permission"}), Refused)
