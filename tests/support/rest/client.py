"""Asking the REST interface of a node over HTTPS, one connection a request."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.support.dev_node import DevNode

TIMEOUT_S = 30


@dataclass(frozen=True)
class Reply:
    """What came back; `body` is read JSON, or None when there was nothing."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def reason(self) -> str:
        return str(self.body["reason"])


@dataclass(frozen=True)
class Rest:
    """Where to ask, and as whom.

    Attributes:
        url: ends in /v1.
        authority: PEM file of the CA of the server certificate.
        token: of a session or a program; "" = a stranger.
    """

    url: str
    authority: Path
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Any = None, raw: bytes | None = None, **headers: str) -> Reply:
        """Send one request; `path` begins below /v1."""
        split = urllib.parse.urlsplit(self.url)
        context = ssl.create_default_context(cafile=str(self.authority))
        connection = http.client.HTTPSConnection(str(split.hostname), split.port, timeout=TIMEOUT_S, context=context)
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            said.setdefault("authorization", f"Bearer {self.token}")
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if data is not None:
            said.setdefault("content-type", "application/json")
        try:
            connection.request(method, split.path + path, data, said)
            reply = connection.getresponse()
            content = reply.read()
        finally:
            connection.close()
        found = {name.lower(): value for name, value in reply.getheaders()}
        is_json = "json" in found.get("content-type", "")
        return Reply(reply.status, found, json.loads(content) if is_json else content.decode() or None)

    def told(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The body of an answer that must be a success."""
        reply = self.ask(method, path, body, None, **headers)
        assert 200 <= reply.status < 300, (method, path, reply.status, reply.body)
        return reply.body

    def as_token(self, token: str) -> Rest:
        return replace(self, token=token)

    def logged_in(self, name: str, password: str) -> Rest:
        """The same place, in a new session."""
        return self.as_token(self.told("POST", "/session", {"username": name, "password": password})["token"])


def stranger(node: DevNode) -> Rest:
    return Rest(node.ready["rest"]["url"], Path(node.ready["ca_certificate"]))


def administrator(node: DevNode) -> Rest:
    """A session of the administrator that `dev` makes."""
    entry = node.ready["administrator"]
    return stranger(node).logged_in(entry["username"], Path(entry["password_file"]).read_text())
