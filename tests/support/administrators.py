"""Administrators on a node of `builders`: accounts without the slow making of a password each, and what they ask."""

from functools import cache
from typing import Any

from keystead.core.changes import Put
from keystead.core.permission import ACCESS_CONTROLS, EVERY_ACCESS, Principal
from keystead.core.records import KIND_ADMINISTRATOR, KIND_SETTINGS, Record
from keystead.core.secret import Secret
from keystead.gate.admit import admit_administrator
from keystead.gate.call import Batch, Reply
from keystead.operations.approvals import ApprovalShown, ListApprovals
from keystead.trust.passwords import kept
from tests.support.builders import Node

PASSWORD = Secret(b"quarry-violin-58")
ROOT = Principal("local", "root", access=EVERY_ACCESS)


@cache
def _phc() -> str:
    return kept(PASSWORD)


def add(node: Node, name: str, access: tuple[str, ...] = tuple(ACCESS_CONTROLS), account: str = "") -> Principal:
    """An account with a password of its own, past every rule; the principal as a session would have it."""
    fields = {"access": list(access), "disabled": False, "password": _phc(), "must_change": False}
    assert node.store(Put(Record(KIND_ADMINISTRATOR, account or f"account-{name}", name, fields))) is None
    return session(node, name)


def session(node: Node, name: str) -> Principal:
    node.objects.refresh()
    return admit_administrator(node.objects, name, "192.0.2.9", must_change=False)


def change(node: Node, name: str, **fields: Any) -> None:
    """Change an account past every rule."""
    node.objects.refresh()
    record = node.objects.record(KIND_ADMINISTRATOR, name)
    assert record is not None
    assert node.store(Put(record._replace(fields={**record.fields, **fields}))) is None


def remove(node: Node, name: str) -> None:
    node.objects.refresh()
    record = node.objects.record(KIND_ADMINISTRATOR, name)
    assert record is not None
    node.purge(KIND_ADMINISTRATOR, record.id, record.revision)


def require(node: Node, count: int = 2, **fields: Any) -> None:
    """Switch the feature on past every rule."""
    node.objects.refresh()
    held = node.objects.record(KIND_SETTINGS, "multiple_credentials")
    record = held or Record(KIND_SETTINGS, "settings.multiple_credentials", "multiple_credentials", {})
    stored = {**record.fields, "required": True, "administrators_count": count, **fields}
    assert node.store(Put(record._replace(fields=stored))) is None


def replied(node: Node, principal: Principal, request: Any, *names: str, password: Secret = PASSWORD) -> Reply:
    """Reply to a request to which others give their names and passwords."""
    answers: list[list[Reply]] = []
    node.objects.refresh()
    credentials = tuple((name, password) for name in names)
    node.gate.run(Batch(principal, (request,), credentials=credentials), answers.append)
    ((reply,),) = answers
    return reply


def why(reply: Reply) -> str | None:
    return None if reply.error is None else reply.error.reason


def waiting(node: Node) -> list[ApprovalShown]:
    return [one for one in node.ask(ROOT, ListApprovals()) if one.state == "pending"]


def wait(node: Node, principal: Principal, request: Any) -> ApprovalShown:
    """Ask for something that has to wait; how it is shown to others."""
    before = {one.id for one in waiting(node)}
    assert node.reason(principal, request) == "pending.approval"
    (new,) = [one for one in waiting(node) if one.id not in before]
    return new
