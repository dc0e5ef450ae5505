"""Asking for a declared operation by its name and plain fields: what every administrative door does with a request.

What needs the unlocked module is sent on to the `keys` process, which admits the asker anew (docs/adr/0051).

Source: design.md laws 1 and 3, section 4.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from keystead.core.errors import Invalid, Unauthenticated
from keystead.core.permission import EVERY_ACCESS, Access, Principal
from keystead.core.secret import Secret
from keystead.gate.admit import admit_administrator
from keystead.gate.batch import Batch, Reply
from keystead.gate.call import Gate
from keystead.gate.operation import Declaration
from keystead.gate.plain import declaration_of, plain, request_from
from keystead.operations.approval_records import concerns_material
from keystead.operations.credentials import GRANTS, Grants
from keystead.protocols.local.wire import credentials_from, error_from

Credentials = tuple[tuple[str, Secret], ...]
Forward = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Asker:
    """Runs operations for whoever a door has let in.

    Args:
        gate: Of this process.
        turn: Refreshes the gate's view and writes log lines around each request: (before, after).
        forward: Sends a message on to the `keys` process; None in that process itself.
    """

    def __init__(
        self, gate: Gate, turn: tuple[Callable[[], None], Callable[[], None]], forward: Forward | None = None
    ) -> None:
        self.gate = gate
        self._before, self._after = turn
        self.forward = forward

    async def ask(
        self, principal: Principal, declaration: Declaration, fields: Mapping[str, Any], credentials: Credentials = ()
    ) -> Any:
        """Run one operation and return its result as plain values (gate.plain).

        Args:
            principal: Who asks.
            declaration: Of the operation.
            fields: Plain fields of its request.
            credentials: Names and passwords of further administrators who approve it (KS-MC-008).

        Raises:
            KeysteadError: why not.
        """
        message = {"operation": declaration.name, "fields": fields}
        is_for_keys = declaration.material or concerns_material(self.gate.objects, message)
        if is_for_keys and self.forward is not None:
            given = [[name, password.reveal()] for name, password in credentials]
            grants: Grants = self.gate.services[GRANTS]
            answer = await self.forward(
                {**message, "as": described(principal), "approvals": given, "grants": grants.told()}
            )
            if "error" in answer:
                raise error_from(answer)
            return answer.get("result")
        return await self.run(principal, request_from(declaration, fields), credentials)

    async def run(self, principal: Principal, request: Any, credentials: Credentials = ()) -> Any:
        """Run one request here and return its result as plain values. Raises KeysteadError."""
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def deliver(replies: list[Reply]) -> None:
            if not answered.done():
                answered.set_result(replies[0])

        self._before()
        self.gate.run(Batch(principal, (request,), credentials=credentials), deliver)
        reply = await answered
        self._after()
        if reply.error is not None:
            raise reply.error
        return plain(reply.result)

    def refresh(self) -> None:
        """See what others have changed since."""
        self._before()

    def principal(self, told: object, grants: object) -> Principal:
        """Return the asker that another process of the node has described, as the accounts are now.

        Args:
            told: By `described`.
            grants: Approvals given in advance, which that process keeps (operations.credentials.Grants.told).

        Raises:
            Unauthenticated: the account is gone or disabled. Invalid: not a description.
        """
        if not isinstance(told, Mapping) or not isinstance(told.get("name"), str):
            raise Invalid("who asks is not told", "invalid.message")
        name = str(told["name"])
        if told.get("kind") == "local":
            return Principal("local", name, access=EVERY_ACCESS)
        if told.get("kind") != "administrator":
            raise Unauthenticated("log in first")
        self._before()
        if isinstance(grants, list):
            self.gate.services[GRANTS].take(grants)
        found = admit_administrator(self.gate.objects, name, str(told.get("address", "-")), must_change=False)
        return Principal(found.kind, name, access=found.access & Access(int(told["access"])), address=found.address)


def described(principal: Principal) -> dict[str, Any]:
    """Return what another process of the node needs to admit the asker anew."""
    return {
        "kind": principal.kind,
        "name": principal.name,
        "address": principal.address,
        "access": int(principal.access),
    }


async def answered(asker: Asker, message: Mapping[str, Any], principal: Principal) -> Any:
    """Return the result of a message of the local door; see `Asker.ask`."""
    fields = message.get("fields", {})
    if not isinstance(fields, dict):
        raise Invalid("fields must be a map", "invalid.message")
    return await asker.ask(principal, declaration_of(message.get("operation")), fields, credentials_from(message))
