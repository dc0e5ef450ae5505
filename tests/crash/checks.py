"""What must hold of a node that came back, by the users' own knowledge; each finding is a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.crash.writers import NOTE, Key, Knowledge, State
from tests.support.kmip import messages
from tests.support.kmip.messages import Item
from tests.support.kmip.sessions import Refused, Session

KEY_BYTES = 32


def findings(session: Session, knowledge: Knowledge, keys: Sequence[Key]) -> Iterator[str]:
    """Judge the given keys and all doubts of the user, and settle the doubts: afterwards everything is certain."""
    for key in keys:
        yield from _judge(session, key)
    for name in knowledge.doubtful_names:
        found = session.identifiers(messages.locate(messages.name_attribute(name)))
        if len(found) > 1:
            yield f"{name}: one unanswered Create made {len(found)} keys"
        for identifier in found:
            key = Key(identifier, name)
            yield from _judge(session, key)
            knowledge.keys.append(key)
    knowledge.doubtful_names.clear()


def _judge(session: Session, key: Key) -> Iterator[str]:
    try:
        attributes = _attributes(session.ask(messages.get_attributes(key.identifier)))
    except Refused as refusal:
        if State.DESTROYED in key.states:
            key.states = (State.DESTROYED,)
        else:
            yield f"{key.name} is lost: {refusal}"
        return
    state = attributes.pop("State", None)
    if state not in key.states:
        yield f"{key.name} is in state {state}, its owner was told {[s.name for s in key.states]}"
    elif isinstance(state, int):
        key.states = (State(state),)
    if State.DESTROYED in key.states:
        yield from _judge_destroyed(session, key)
        return
    whole = {
        "Name": key.name,
        "Cryptographic Algorithm": messages.AES,
        "Cryptographic Length": 256,
        NOTE: f"note of {key.name}",
    }
    torn = {name: attributes.get(name) for name, value in whole.items() if attributes.get(name) != value}
    if torn:
        yield f"{key.name} is half there: {torn}"
    yield from _judge_material(session, key)


def _judge_destroyed(session: Session, key: Key) -> Iterator[str]:
    try:
        session.key(key.identifier)
    except Refused:
        return
    yield f"{key.name} was destroyed, and its key can be fetched"


def _judge_material(session: Session, key: Key) -> Iterator[str]:
    try:
        material = session.key(key.identifier)
    except Refused as refusal:
        yield f"{key.name} is there, its key is not: {refusal}"
        return
    if len(material) != KEY_BYTES or key.material not in (None, material):
        yield f"{key.name} has another key than before"
    key.material = material


def _attributes(reply: Item) -> dict[str, str | int]:
    """Simple values by attribute name; of a structure (Name) its first element."""
    found: dict[str, str | int] = {}
    for attribute in reply.find(messages.ATTRIBUTE):
        name = next(attribute.find(messages.ATTRIBUTE_NAME)).value
        value = next(attribute.find(messages.ATTRIBUTE_VALUE)).value
        while isinstance(value, tuple):
            value = value[0].value
        if isinstance(value, str | int):
            found[str(name)] = value
    return found
