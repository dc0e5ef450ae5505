"""One XML connection, without its socket: bytes in, answers out, in order, each request exactly one.

Laws: a request that cannot be read is told so under its own name and ID; what ends the connection is said before. Names
of keys become ids here, without telling whether there are any: the gate decides that on the id.

Source: docs/xml-interface.md; docs/adr/0053; requirements KS-NAE-001, 003, 004, 025 to 028.
"""

from collections import deque
from typing import Any

from keystead.core.errors import Invalid, KeysteadError, NotSupported, Unauthenticated
from keystead.core.key_versions import place_of
from keystead.core.permission import Principal
from keystead.core.records import KIND_KEY_VERSION, KIND_OBJECT, ROOT_REALM, ManagedObject
from keystead.gate.activity import Label
from keystead.gate.call import Batch, Gate, Reply
from keystead.gate.directory import Unsettled
from keystead.protocols.connections import Send
from keystead.protocols.xml.entrance import Entrance
from keystead.protocols.xml.errors_table import code_and_text, told
from keystead.protocols.xml.translate.fields import ID_CHARACTERS_MAX, read_fields
from keystead.protocols.xml.translate.requests_table import REQUESTS, has_data
from keystead.protocols.xml.translate.sessions import log_number
from keystead.protocols.xml.translate.work import Answer, Asked, Row, Work, words
from keystead.protocols.xml.wire.elements import Element, of, write
from keystead.protocols.xml.wire.framing import Framer, Message, write_data

REQUEST, RESPONSE, LOGIN = "Request", "Response", "AuthRequest"
NAMES_COUNT_MAX = 10_000
EARLY_COUNT_MAX = 10
UNKNOWN_TITLE = "-"


class Endpoint:
    """What all sessions of a server share: the gate, and what names of keys stood for lately.

    Args:
        gate: The door of this process.
    """

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self._ids: dict[str, str] = {}

    def find(self, name: str) -> ManagedObject | None:
        """Return the object of a name."""
        objects = self.gate.objects
        held = objects.at_hand.get(self._ids.get(name, ""))
        if held is not None and isinstance(held.record, ManagedObject) and held.record.handle == name:
            return held.record
        loaded = objects.reader.by_handle(ROOT_REALM, KIND_OBJECT, name)
        if loaded is None or not isinstance(loaded.record, ManagedObject):
            self._ids.pop(name, None)
            return None
        if len(self._ids) >= NAMES_COUNT_MAX:
            self._ids.clear()
        self._ids[name] = loaded.record.id
        return loaded.record

    def get(self, object_id: str) -> ManagedObject | None:
        """Return the object of an id."""
        loaded = self.gate.objects.get(object_id)
        return loaded.record if loaded is not None and isinstance(loaded.record, ManagedObject) else None

    def version(self, record: ManagedObject, number: int) -> str | None:
        """Return the id of a version of a key, None when it has none of this number."""
        versioning = record.versioning
        if versioning is None or number == versioning.number:
            return None if versioning is None else record.id
        place = place_of(versioning.family, number)
        loaded = self.gate.objects.reader.by_handle(record.realm, KIND_KEY_VERSION, place)
        return None if loaded is None else loaded.record.id


class Session:
    """One connection.

    Args:
        endpoint: Of the server that was connected to.
        entrance: Tells who is asking.
    """

    def __init__(self, endpoint: Endpoint, entrance: Entrance) -> None:
        self._endpoint = endpoint
        self._entrance = entrance
        self._framer = Framer(has_data)
        self._waiting: deque[Message] = deque()
        self._over: KeysteadError | None = None
        self._has_version = False
        self._is_begun = False  # a request other than Version and Auth has come
        self._early_count = 0  # requests before a login

    def messages(self, data: bytes) -> list[bytes]:
        """Take received bytes, return a word for each request that they complete; none once `failure` is set."""
        if self._over is not None:
            return []
        complete = self._framer.feed(data)
        self._waiting.extend(complete)
        return [message.element.name.encode() for message in complete]

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished request is held."""
        return self._framer.pending_bytes

    @property
    def owes_login(self) -> bool:
        """Nobody has logged in, and this connection is of no use without."""
        try:
            return self._entrance.admit().kind == "stranger"
        except Unsettled:
            return self._entrance.was_stranger
        except KeysteadError:
            return True

    @property
    def failure(self) -> KeysteadError | None:
        """Why no request can follow those returned so far; None while all is well."""
        return self._over or self._framer.failure

    @staticmethod
    def kind(message: bytes) -> bytes:
        """Return the name of the request."""
        return message

    def refuse(self, error: KeysteadError) -> bytes:
        """Return a last answer for a peer whose bytes are no requests; nothing when one was given."""
        return b"" if self._over is not None else write(of(RESPONSE, _failed("", error)))

    def handle(self, message: bytes, send: Send) -> None:
        """Run the request that waits longest; `send` is called exactly once with the whole answer."""
        waiting = self._waiting.popleft()
        element, data, _ = waiting
        if self._over is not None:
            send(b"", last=True)
            return
        row = REQUESTS.get(element.name)
        number = _number_of(element)
        try:
            principal = self._entrance.admit()
            self._early_count += principal.kind == "stranger"
            if self._early_count > EARLY_COUNT_MAX:
                raise Unauthenticated("log in first")
            if element.name == LOGIN:
                principal = self._entrance.stranger
        except Unsettled as unsettled:
            self._waiting.appendleft(waiting)
            unsettled.when_settled(lambda: self._handle_again(message, send))
            return
        except KeysteadError as error:
            self._finish(element.name, number, error, send)
            return
        try:
            work = self._read(row, element, data, principal)
        except KeysteadError as error:
            work = Work((error,), lambda _results: Answer(), detail=_user_of(element))
        if not work.requests:
            self._finish(element.name, number, work.answer([]), send)
            return
        title = element.name.removesuffix(REQUEST) if row is not None else UNKNOWN_TITLE
        label = Label(title, log_number(number), work.key, work.detail, code_and_text)
        batch = Batch(principal, work.requests, undo=True, label=label)

        def answered(replies: list[Reply]) -> None:
            self._finish(element.name, number, self._outcome(element.name, work, replies), send)

        self._endpoint.gate.run(batch, answered)

    def _handle_again(self, message: bytes, send: Send) -> None:
        """Run a request now that it is known who is asking."""
        self._endpoint.gate.objects.refresh()
        self.handle(message, send)

    def _read(self, row: Row | None, element: Element, data: bytes | None, principal: Principal) -> Work:
        """Turn a request into work.

        Raises:
            KeysteadError: what is wrong with it.
        """
        if row is None:
            raise NotSupported("there is no such request", "not_supported.operation")
        is_stranger = principal.kind == "stranger"
        if is_stranger and not row.unproven:
            raise Unauthenticated("log in first")
        values = read_fields(row.fields, element)
        self._check_order(element.name)
        endpoint = self._endpoint
        now_us = endpoint.gate.clock.now_us()
        asked = Asked(values, data, endpoint.find, endpoint.get, endpoint.version, now_us, principal.name)
        if element.name == LOGIN:
            self._entrance.check_name(values["User"])
        return row.make(asked)

    def _check_order(self, name: str) -> None:
        """Version first, then Auth, each once, then everything else."""
        is_late = self._is_begun
        if name == "VersionRequest":
            is_late = is_late or self._has_version
            self._has_version = True
        elif name == LOGIN:
            self._is_begun = True
        else:
            self._is_begun, is_late = True, False
        if is_late:
            raise Invalid(f"{name} comes once, before other requests", "invalid.field")

    def _outcome(self, name: str, work: Work, replies: list[Reply]) -> Answer | KeysteadError:
        for reply in reversed(replies):
            error: KeysteadError | None = reply.error
            if error is not None:
                return error
        if name == LOGIN:
            found = replies[0].result
            if found.must_change:
                return Unauthenticated("the password has to be changed first")
            self._entrance.logged_in(found.name)
        try:
            return work.answer([reply.result for reply in replies])
        except KeysteadError as mistake:
            return mistake

    def _finish(self, name: str, number: str, outcome: Answer | KeysteadError, send: Send) -> None:
        """Answer a request; after a fatal error nothing follows."""
        response = name.removesuffix(REQUEST) + RESPONSE if name.endswith(REQUEST) else RESPONSE
        if isinstance(outcome, KeysteadError):
            is_last = told(outcome).fatal
            if is_last:
                self._over = outcome
            send(write(of(response, _failed(number, outcome))), last=is_last)
            return
        head = [words("ID", number), words("Success", True)]
        version = [element for element in outcome.elements if element.name == "Version"]
        rest = [element for element in outcome.elements if element.name != "Version"]
        answer = write(of(response, [*version, *head, *rest]))
        send(answer if outcome.chunks is None else answer + write_data(outcome.chunks))


def _number_of(element: Element) -> str:
    """Return the ID of a request that may not be understood otherwise; "" when it has none that can be repeated."""
    found = element.first("ID")
    text = "" if found is None else found.text.strip()
    return text if text.isprintable() and len(text) <= ID_CHARACTERS_MAX else ""


def _user_of(element: Element) -> str:
    """Return who a login that went wrong says to be."""
    found = element.first("User") if element.name == LOGIN else None
    return "" if found is None else found.text


def _failed(number: str, error: KeysteadError) -> list[Any]:
    found = told(error)
    return [
        words("ID", number),
        words("Success", False),
        words("FatalError", found.fatal),
        words("ErrorString", f"{found.number} {found.text}"),
        words("ErrorDetail", error.message) if found.explained else None,
    ]
