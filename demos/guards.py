"""Two administrators at work over REST: one asks, the other has to stand behind it, a key user notices at once."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kmip.pie.client import ProxyKmipClient
from kmip.pie.exceptions import KmipOperationFailure

from demos.story import DevNode, check, say, title

Connect = Callable[[DevNode, str], ProxyKmipClient]
FIRST, OWN = "Violet-Kettle-93-Harbour", "Copper-Meadow-41-Lantern"
TIMEOUT_S = 30


class Person:
    """An administrator who has logged in."""

    def __init__(self, node: DevNode, name: str, password: str) -> None:
        self._url = node.rest_url
        self._context = ssl.create_default_context(cafile=node.ca)
        self._token = ""
        self._token = self.ask("POST", "/session", {"username": name, "password": password})[1]["token"]

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Return status and answer of one request."""
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=self._context) as reply:
                return reply.status, json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


def guard_a_key(node: DevNode, connect: Connect) -> None:
    """A key is made over REST; erasing it needs a second person."""
    title("5. Two administrators guard one key")
    olga = Person(node, "admin", Path(node.administrator["password_file"]).read_text())
    olga.ask("POST", "/administrators", {"name": "paul", "password": FIRST, "access": ["all"]})
    paul = Person(node, "paul", FIRST)
    refused, _ = paul.ask("GET", "/users")
    paul.ask("PUT", "/session/password", {"current": FIRST, "new": OWN})
    check(refused == 403, "Paul becomes an administrator: until he sets a password of his own he can do nothing else.")
    status, made = olga.ask("POST", "/keys", {"name": "payroll", "owner": "alice", "exportable": True})
    check(status == 201, f"The administrator makes the key `payroll` for alice over REST: {made['key']['id']}")
    _lend(node, connect, olga)
    olga.ask("PUT", "/settings/multiple_credentials/required", {"value": True})
    status, told = olga.ask("DELETE", "/keys/payroll?confirm=payroll")
    check(status == 409 and told["reason"] == "pending.approval", f"From now on two are needed: {told['detail']}")
    (waiting,) = [one for one in paul.ask("GET", "/approvals")[1]["items"] if one["id"] in told["detail"]]
    alone, _ = olga.ask("POST", f"/approvals/{waiting['id']}/approve", {"hash": waiting["hash"]})
    check(alone == 403, "She cannot approve it herself.")
    with connect(node, "alice") as alice:
        check(len(alice.get(made["key"]["id"]).value) == 32, "Alice still fetches it, on an open connection,")
        _, done = paul.ask("POST", f"/approvals/{waiting['id']}/approve", {"hash": waiting["hash"]})
        check(done["state"] == "done", f"... Paul approves exactly that request ({waiting['hash'][:16]}…): it runs,")
        try:
            alice.get(made["key"]["id"])
        except KmipOperationFailure:
            say("... and she is refused at once.")
        else:
            check(False, "the key is gone")


def _lend(node: DevNode, connect: Connect, olga: Person) -> None:
    """A group gets a right with a limit, which holds at once; and who used the key is found."""
    olga.ask("POST", "/users", {"name": "treasury"})
    _, made = olga.ask("POST", "/keys", {"name": "ledger", "owner": "treasury", "exportable": True})
    olga.ask("POST", "/policies", {"name": "twice", "operations_per_hour": 2})
    olga.ask("PUT", "/users/alice/groups", {"groups": ["clerks"]})
    status, _ = olga.ask("PUT", "/keys/ledger/grants/clerks", {"rights": ["export"], "policy": "twice"})
    check(status == 200, "Clerks may fetch the key `ledger` of the treasury, by a policy: twice an hour. Alice is one.")
    with connect(node, "alice") as alice:
        fetched = [len(alice.get(made["key"]["id"]).value) for _ in range(2)]
        check(fetched == [32, 32], "She fetches it twice;")
        try:
            alice.get(made["key"]["id"])
        except KmipOperationFailure:
            say("... the third time she is refused, and the connection is closed.")
        else:
            check(False, "the policy holds")
    uses = olga.ask("GET", "/key-uses?key=ledger&operation=Get")[1]["items"]
    told = [f"{use['user']}: {use['result']}" for use in uses]
    check(len(told) == 3 and told.count("alice: success") == 2, f"Who used it, newest first? {'; '.join(told)}")
