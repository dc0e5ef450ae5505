"""The `admin` process: the local administrators' door, the health check and metrics; never an unsealed key.

It runs the same gate over the same store with a committer of its own; what needs key material goes to the `keys`
process as a request (docs/adr/0051).

Source: design.md section 4.
"""

import asyncio
import gc
import json
import logging
import os
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

import keystead.operations.all  # noqa: F401  # declares every operation
from keystead.appliance.hardening import harden
from keystead.core.errors import KeysteadError, Unavailable
from keystead.core.permission import CLOCK
from keystead.core.records import KIND_AUTHORITY, KIND_SERVER_KEY, KIND_SETTINGS
from keystead.gate.activity import ActivityLog
from keystead.gate.call import Batch, Gate
from keystead.gate.committer import GroupCommitter
from keystead.gate.identifiers import Clock
from keystead.gate.objects import Objects
from keystead.gate.workshop import ThreadWorkshop
from keystead.node.approving import ApprovalSeal
from keystead.node.auditing import Auditing
from keystead.node.directory import AdminWorkshop, DirectoryService
from keystead.node.folder import NodeConfig, listening_socket, read_config, unix_address
from keystead.node.measuring import node_families, process_families
from keystead.node.opening import Parts, open_parts, own_section, record_of, switches
from keystead.node.priority import stand_back
from keystead.node.threads import end_with_any_thread
from keystead.operations.approval_records import APPROVAL_SEAL
from keystead.operations.approvals import ExpireApprovals
from keystead.operations.audit import AUDIT
from keystead.operations.certificates import CLIENT_AUTHORITY
from keystead.operations.credentials import GRANTS, Grants
from keystead.operations.ip_authorization import Service, policy_of
from keystead.operations.key_use import ACTIVITY_LOG
from keystead.operations.running_time import CountRunning
from keystead.operations.settings import OWN_SETTINGS
from keystead.operations.user_directory import DIRECTORY
from keystead.protocols.address_check import AddressCheck
from keystead.protocols.asking import Asker
from keystead.protocols.health.server import HealthServer, PageServer
from keystead.protocols.health.wire import Page
from keystead.protocols.local.server import Forwarder, LocalDoor
from keystead.protocols.metrics.wire import CONTENT_TYPE, exposition, families_from
from keystead.settings.all import SECTIONS
from keystead.settings.services import Health, Metrics
from keystead.settings.ssh import Ssh
from keystead.settings.web import Web

if TYPE_CHECKING:
    from keystead.node.ssh_door import SshDoor
    from keystead.node.web_door import WebDoor

NO_SSH = "ssh.enabled is set, but the library for SSH is not installed; install keystead with the extra `ssh`"
READY_ANEW_S = 0.1
ANSWER_S_MAX = 3.0  # for what is asked from outside; who asks the health check does not wait much longer
MEASURED_ANEW_S = 1.0
METRICS_ADDRESS = "127.0.0.1"  # no setting: whoever else shall see them gets them through a proxy that asks who it is

HOUR_S = 3600.0
LOOK_S = 2.0  # connections of addresses that are not listed any more are closed, also when nobody asks for anything

log = logging.getLogger("keystead.admin")


class AdminProcess:
    """Everything of the process."""

    def __init__(self, parts: Parts) -> None:
        loop = asyncio.get_running_loop()
        self._parts = parts
        self.objects = Objects(parts.shared.reader(watching=True), self._changed)
        self.committer = GroupCommitter(parts.shared.writer, loop)
        self.activity = ActivityLog(None)
        self.gate = Gate(self.objects, self.committer, None, self.activity, Clock(parts.shared.anchor().at_us))
        self.gate.switches = switches(self.objects, dev=parts.config.dev)
        self.gate.services[OWN_SETTINGS] = {n: own_section(parts.own, s) for n, s in SECTIONS.items() if s.own}
        self.auditing = Auditing(parts)
        self.gate.services[AUDIT] = self.auditing
        self.gate.services[ACTIVITY_LOG] = parts.config.activity_log
        self.gate.services[APPROVAL_SEAL] = ApprovalSeal(parts.node_key)
        self.gate.services[GRANTS] = Grants()
        self.gate.workshop = self._workshop = AdminWorkshop(ThreadWorkshop(loop), loop)
        self.gate.services[DIRECTORY] = DirectoryService(parts.node_key)
        self.forward = Forwarder(unix_address(parts.config.keys_socket))
        self.asker = Asker(self.gate, (self.objects.refresh, self.activity.flush), self.forward)
        self.addresses = AddressCheck(loop.time, loop.call_later, policy_of(self.objects))
        self.door = LocalDoor(self.asker)
        self.web: WebDoor | None = None
        self.ssh: SshDoor | None = None
        self.health = HealthServer(self._alive, self._ready)
        self.metrics = PageServer({"/metrics": self._metrics})
        self._readiness: asyncio.Future[dict[str, bool]] | None = None
        self._asked_at_s = 0.0
        self._measured: asyncio.Future[Page] | None = None
        self._measured_at_s = 0.0
        self._hourly: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None

    async def start(self, before: Mapping[str, int]) -> dict[str, int]:
        """Open the doors.

        Args:
            before: Service -> port that it had before this process was started anew.

        Returns: service -> port of those that are enabled.
        """
        await self.door.listen(listening_socket(self._parts.config.local_socket))
        health, metrics = own_section(self._parts.own, Health), own_section(self._parts.own, Metrics)
        ports = {}
        if health.enabled:
            ports["health"] = await self.health.listen(health.address, before.get("health", health.port))
        if metrics.enabled:
            ports["metrics"] = await self.metrics.listen(METRICS_ADDRESS, before.get("metrics", metrics.port))
        web = own_section(self._parts.own, Web)
        if web.enabled:
            from keystead.node.web_door import WebDoor  # noqa: PLC0415  # takes a second of processor time to import

            self.web = WebDoor(self._parts, self.asker, partial(self._lets_in, Service.WEB))
            ports["web"] = await self.web.listen(web.address, before.get("web", web.port))
        ssh = own_section(self._parts.own, Ssh)
        if ssh.enabled:
            self.ssh = _ssh_door(self._parts, self.asker, partial(self._lets_in, Service.SSH))
            ports["ssh"] = await self.ssh.listen(ssh.address, before.get("ssh", ssh.port))
        self.auditing.start()
        self._hourly = asyncio.get_running_loop().call_later(HOUR_S, self._count_running)
        self._look()
        return ports

    async def stop(self) -> None:
        """Close the doors and finish commits."""
        if self.web is not None:
            await self.web.close()
        if self.ssh is not None:
            await self.ssh.close()
        for timer in (self._hourly, self._looking):
            if timer is not None:
                timer.cancel()
        self.door.close()
        self._parts.config.local_socket.unlink(missing_ok=True)
        self.health.close()
        self.metrics.close()
        self._workshop.close()
        self.objects.reader.close()
        self.committer.close()
        self.auditing.stop()

    def _look(self) -> None:
        """See what others have changed since."""
        self._looking = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        self._store_answers()

    def _count_running(self) -> None:
        """Count an hour of the loop's clock, which nobody can set; requests that nobody approved expire."""
        self._hourly = asyncio.get_running_loop().call_later(HOUR_S, self._count_running)
        self.objects.refresh()
        for request in (CountRunning(), ExpireApprovals()):
            self.gate.run(Batch(CLOCK, (request,)), lambda _replies: None)

    def _changed(self, kinds: frozenset[str]) -> None:
        self.gate.switches = switches(self.objects, dev=self._parts.config.dev)
        if KIND_SETTINGS in kinds:
            self.addresses.renew(policy_of(self.objects))
            for door in (self.web, self.ssh):
                if door is not None:
                    door.look_again()

    def _lets_in(self, service: Service, address: str) -> bool:
        """Judge an address by what is decided now; while the store cannot be read, by what was."""
        self._store_answers()
        return self.addresses.lets_in(service, address)

    async def _alive(self) -> dict[str, bool]:
        return {"store": self._store_answers()}

    async def _ready(self) -> dict[str, bool]:
        """Ask the `keys` process, for all who ask about the same time: strangers must not keep it from its work."""
        now_s = asyncio.get_running_loop().time()
        if self._readiness is None or now_s - self._asked_at_s > READY_ANEW_S:
            self._asked_at_s = now_s
            self._readiness = asyncio.ensure_future(self._ask_ready())
        return await asyncio.shield(self._readiness)

    async def _ask_ready(self) -> dict[str, bool]:
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                answer = await self.forward({"operation": "module.check", "fields": {}})
        except (KeysteadError, TimeoutError):
            return {"store": self._store_answers(), "key_server": False, "security_module": False}
        return {"store": self._store_answers(), "key_server": True, "security_module": answer.get("result") is True}

    async def _metrics(self) -> Page:
        """Measure for all who ask within a second: whoever asks must not keep the `keys` process from its work."""
        now_s = asyncio.get_running_loop().time()
        if self._measured is None or now_s - self._measured_at_s > MEASURED_ANEW_S:
            self._measured_at_s = now_s
            self._measured = asyncio.ensure_future(self._measure())
        return await asyncio.shield(self._measured)

    async def _measure(self) -> Page:
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                answer = await self.forward({"operation": "node.measure", "fields": {}})
            serving = families_from(answer["result"])
        except (KeysteadError, KeyError, TimeoutError):
            serving = []
        try:
            node = node_families(self._parts, self._certificates(), is_serving=bool(serving))
        except KeysteadError:  # the store cannot be read: what else there is says so
            node = ()
        own = process_families("admin", self.activity, self.committer)
        return Page(200, exposition([*node, *serving, *own]).encode(), CONTENT_TYPE)

    def _certificates(self) -> dict[str, str]:
        authority = self.objects.record(KIND_AUTHORITY, CLIENT_AUTHORITY)
        records = {"authority": authority, "server": record_of(self._parts.own, KIND_SERVER_KEY, "kmip")}
        return {name: str(found.fields["certificate"]) for name, found in records.items() if found is not None}

    def _store_answers(self) -> bool:
        try:
            self.objects.refresh()
        except (KeysteadError, OSError):
            return False
        return True


def _ssh_door(parts: Parts, asker: Asker, lets_in: Callable[[str], bool]) -> "SshDoor":
    try:
        from keystead.node.ssh_door import SshDoor  # noqa: PLC0415  # an extra: not every node offers it
    except ImportError as error:
        raise Unavailable(NO_SSH, "unavailable.stopping") from error
    return SshDoor(parts, asker, lets_in=lets_in)


async def _serve(config: NodeConfig, before: Mapping[str, int], parent_pid: int, ready: int) -> int:
    harden(parent_pid=parent_pid)
    process = AdminProcess(open_parts(config))
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    ports = await process.start(before)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # going through everything in memory would hold up whoever asks meanwhile
    os.write(ready, json.dumps(ports).encode() + b"\n")
    os.close(ready)
    await stopping.wait()
    await process.stop()
    return 0


def start(data: str, before: str, parent_pid: str, ready: str) -> int:
    """Start from the supervisor's words (see supervisor.py)."""
    end_with_any_thread()
    stand_back()
    try:
        return uvloop.run(_serve(read_config(Path(data)), json.loads(before), int(parent_pid), int(ready)))
    except KeysteadError as error:
        log.error("%s", error.message)
        return 1
