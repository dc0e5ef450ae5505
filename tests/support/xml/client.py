"""A client of the XML interface: writes requests, reads answers; knows no more than the wire."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from keystead.protocols.xml.wire.elements import Element, write
from keystead.protocols.xml.wire.framing import Framer, write_data
from tests.support.dev_node import DevNode

TIMEOUT_S = 20
FLAG = Element("")
"""As a value: an empty element."""


class Answer(NamedTuple):
    """An answer taken apart: texts of its elements by name, and data."""

    name: str
    element: Element
    data: bytes | None

    @property
    def ok(self) -> bool:
        return self.text("Success") == "true"

    @property
    def number(self) -> int:
        """Of the error; 0 = none."""
        return int(self.text("ErrorString").split()[0]) if not self.ok else 0

    @property
    def is_fatal(self) -> bool:
        return self.get("FatalError") == "true"

    def get(self, name: str) -> str | None:
        found = self.element.first(name)
        return None if found is None else found.text

    def all(self, name: str) -> list[str]:
        return [child.text for child in self.element.children if child.name == name]

    def text(self, name: str) -> str:
        found = self.get(name)
        assert found is not None, f"{self.name} has no {name}: {[c.name for c in self.element.children]}"
        return found


def request(name: str, **values: Any) -> bytes:
    """A request; a value is text, FLAG for an empty element, a list for one that comes often, or elements."""
    values.setdefault("ID", "1")
    children: list[Element] = []
    for key, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            if one is FLAG:
                children.append(Element(key))
            elif isinstance(one, tuple):
                children.append(Element(key, "", one))
            else:
                children.append(Element(key, str(one)))
    return write(Element(name + "Request", "", tuple(children)))


VERSION = request("Version", MessageVersion="1.0", VersionList=(Element("Version", "2.9"),))


def data_follows(answer: Element) -> bool:
    """Whether an answer is followed by data, as the documentation of requests says."""
    success = answer.first("Success")
    is_data = answer.name == "RandGenResponse" or (answer.name == "CryptoResponse" and answer.first("Valid") is None)
    return is_data and success is not None and success.text == "true"


def answers(framer: Framer, data: bytes) -> list[Answer]:
    return [Answer(message.element.name, message.element, message.data) for message in framer.feed(data)]


class Client:
    """One connection; without an authority it is plain TCP."""

    def __init__(self, port: int, authority: Path | None, certificate: tuple[Path, Path] | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        if authority is not None:
            context = ssl.create_default_context(cafile=str(authority))
            if certificate is not None:
                context.load_cert_chain(*map(str, certificate))
            self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self._framer = Framer(data_follows)
        self._ready: list[Answer] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with suppress(OSError):
            self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> Answer | None:
        """The next answer, None when the server has closed."""
        while not self._ready:
            try:
                data = self.socket.recv(65_536)
            except (ConnectionError, ssl.SSLEOFError):
                data = b""
            if not data:
                return None
            self._ready = answers(self._framer, data)
            assert self._framer.failure is None
        return self._ready.pop(0)

    def ask(self, name: str, data: bytes | None = None, **values: Any) -> Answer:
        """One request and its answer."""
        self.send(request(name, **values) + (b"" if data is None else write_data((data,))))
        answer = self.receive()
        assert answer is not None, "the server has closed"
        return answer

    def is_closed(self) -> bool:
        """Whether the server closes, saying no more."""
        return self.receive() is None

    def log_in(self, user: str, password: str) -> Answer:
        return self.ask("Auth", User=user, Passwd=password)


def certificate_of(node: DevNode, user: str) -> tuple[Path, Path]:
    client = node.client(user)
    return client.certificate, client.key


def password_of(node: DevNode, user: str) -> str:
    entry = next(entry for entry in node.ready["clients"] if entry["user"] == user)
    return Path(entry["password_file"]).read_text()


def connect(node: DevNode, user: str | None = None) -> Client:
    """A connection with a user's certificate, or with none; nobody has logged in."""
    certificate = None if user is None else certificate_of(node, user)
    return Client(node.ready["xml"]["port"], Path(node.ready["ca_certificate"]), certificate)


def logged_in(node: DevNode, user: str) -> Client:
    """A connection whose user has logged in with certificate and password."""
    client = connect(node, user)
    assert client.log_in(user, password_of(node, user)).ok
    return client
