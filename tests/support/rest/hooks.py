"""What the tester of descriptions (schemathesis) loads: who asks, and what is there to ask for.

The world comes as JSON in the file that KEYSTEAD_WORLD names (`tests.support.rest.world.World`). An operation of it is
first asked as the world knows that it succeeds; of what is made up afterwards, half of the paths lead to what is there.
"""

import json
import os
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.auths import GLOBAL_AUTH_STORAGE

from keystead.protocols.local.client import ask

Case = schemathesis.Case[Any]
WORLD: dict[str, Any] = json.loads(Path(os.environ["KEYSTEAD_WORLD"]).read_text())
PERSONAL = frozenset(
    {
        *("api_token.create", "api_token.revoke", "approval.approve", "approval.refuse"),
        *("credential.grant", "credential.list", "credential.revoke", "preferences.change", "preferences.show"),
    }
)
"""What an API token is never allowed: these are asked by a person in a session."""
LOCKING = frozenset({"module.logout", "module.deactivate"})


def operation_of(context: Any) -> str:
    """The dotted name of the operation that is tried."""
    return str(context.operation.definition.raw.get("operationId"))


@schemathesis.auth(refresh_interval=None)
class Login:
    """Sends the token of whoever may ask this."""

    def get(self, _case: Case, context: schemathesis.AuthContext) -> str:
        """Return a token."""
        operation = operation_of(context)
        if operation == "session.log_out":
            return _logged_in(*WORLD["guest"])
        if operation == "session.set_password":
            return str(WORLD["changer"])
        return str(WORLD["person" if operation in PERSONAL else "token"])

    def set(self, case: Case, data: str, _context: schemathesis.AuthContext) -> None:
        """Send it."""
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_add_examples(context: schemathesis.HookContext, examples: list[Case]) -> None:
    """Begin with what succeeds."""
    assert context.operation is not None
    for known in WORLD["known"].get(operation_of(context), []):
        asked = {"path_parameters": known.get("path"), "query": known.get("query")}
        if "body" in known:
            asked |= {"body": known["body"], "media_type": "application/json"}
        case = context.operation.Case(**asked)
        GLOBAL_AUTH_STORAGE.set(case, schemathesis.AuthContext(operation=context.operation, app=None))
        examples.insert(0, case)


@schemathesis.hook
def flatmap_path_parameters(context: schemathesis.HookContext, path_parameters: dict[str, Any]) -> Any:
    """Let half of the paths lead to what is there."""
    known = [one["path"] for one in WORLD["known"].get(operation_of(context), []) if "path" in one]
    return st.sampled_from([path_parameters, *known[:2]]) if path_parameters else st.just(path_parameters)


@schemathesis.hook
def after_call(context: schemathesis.HookContext, case: Case, response: schemathesis.Response) -> None:
    """Write down what was answered, and open again what a request has closed: the node to the tester, or the module."""
    with Path(WORLD["answers"]).open("a") as answers:
        answers.write(f"{response.status_code} {case.method} {case.operation.path}\n")
    if operation_of(case) == "ip_authorization.set":
        ask(WORLD["door"], "ip_authorization.set", **dict.fromkeys(("key_server", "web", "ssh"), "all"))
    if operation_of(case) in LOCKING and response.status_code == 200:
        subprocess.run([sys.executable, "-m", "keystead", *WORLD["login"]], check=True, capture_output=True, timeout=60)


def _logged_in(name: str, password: str) -> str:
    body = json.dumps({"username": name, "password": password}).encode()
    request = urllib.request.Request(f"{WORLD['url']}/session", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=WORLD["authority"])) as reply:
        return str(json.loads(reply.read())["token"])
