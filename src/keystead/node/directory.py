"""Wiring of the user directory: the `keys` process asks the `admin` process, which has threads that ask the directory.

Source: docs/adr/0090; requirements KS-LDAP-001, 004, 005.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from keystead.appliance.ldap_servers import Servers
from keystead.core.errors import KeysteadError, Unavailable
from keystead.core.secret import Secret
from keystead.gate.directory import DirectoryWork, Proof, Users
from keystead.gate.objects import Objects
from keystead.gate.workshop import Done, Make, Outcome, ThreadWorkshop, Workshop
from keystead.node.folder import NodeConfig, unix_address
from keystead.protocols.local.server import Forwarder
from keystead.protocols.local.wire import error_from
from keystead.settings.user_directory import Ldap
from keystead.trust.node_key import NodeKey

THREADS_COUNT = 8
ANSWER_S_MAX = 45.0  # less than a connection waits for its answer
PURPOSE = "ldap"
NO_ANSWER = "the user directory cannot be asked now; try again in a moment"


class DirectoryService:
    """What operations of the `admin` process need (operations.user_directory.Service).

    Args:
        node_key: Of the node.
    """

    def __init__(self, node_key: NodeKey) -> None:
        self._node_key = node_key
        self.servers = Servers()

    def seal(self, secret: Secret) -> bytes:
        """Seal the password that searches are made with."""
        return self._node_key.seal(PURPOSE, b"password", secret)

    def unseal(self, sealed: bytes) -> Secret:
        """Open it. Raises Tampered."""
        return self._node_key.unseal(PURPOSE, b"password", sealed)


class AdminWorkshop:
    """Has what waits for a directory done apart, so that nothing else waits for it.

    Args:
        workshop: Does everything else.
        loop: Of the process.
    """

    def __init__(self, workshop: ThreadWorkshop, loop: asyncio.AbstractEventLoop) -> None:
        self._workshop = workshop
        self._waiting = ThreadWorkshop(loop, THREADS_COUNT)

    def submit(self, make: Make, done: Done) -> None:
        """See gate.workshop.Workshop."""
        (self._waiting if isinstance(make, DirectoryWork) else self._workshop).submit(make, done)

    def close(self) -> None:
        """Stop both."""
        self._waiting.close()
        self._workshop.close()


class DirectoryDoor:
    """The users of the directory in the `keys` process; everything happens on its loop.

    Args:
        config: Of the node.
        objects: Where the settings are.
        workshop: Does what has nothing to do with a directory.
        forgotten: Told that somebody is to be looked up anew.
    """

    def __init__(self, config: NodeConfig, objects: Objects, workshop: Workshop, forgotten: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._forward = Forwarder(unix_address(config.local_socket))
        self._workshop = workshop
        self._asked: set[asyncio.Task[None]] = set()
        self.users = Users(
            self._ask, self._loop.call_later, forgotten, lambda: float(objects.section(Ldap).remembered_s)
        )

    def submit(self, make: Make, done: Done) -> None:
        """See gate.workshop.Workshop."""
        if isinstance(make, Proof):
            self.users.prove(make, done)
        else:
            self._workshop.submit(make, done)

    def _ask(self, operation: str, fields: Mapping[str, Any], done: Done) -> None:
        task = self._loop.create_task(self._answer(operation, fields, done))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _answer(self, operation: str, fields: Mapping[str, Any], done: Done) -> None:
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                answer = await self._forward({"operation": operation, "fields": dict(fields)})
            outcome = Outcome(error=error_from(answer)) if "error" in answer else Outcome(answer["result"])
        except (KeysteadError, TimeoutError):
            outcome = Outcome(error=Unavailable(NO_ANSWER, "unavailable.directory"))
        done(outcome)
