"""The `keys` process: holds the unsealed key-encryption keys, serves KMIP and XML, and nothing else.

Started by the supervisor; reports `{"kmip": port, "xml": port}` on its ready pipe, then serves until SIGTERM.

Source: design.md section 4; performance.md section 8.
"""

import asyncio
import gc
import json
import logging
import os
import resource
import signal
import ssl
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import uvloop

import keystead
import keystead.operations.all  # declares every operation
from keystead.acceleration import compiled_count
from keystead.appliance.hardening import HardeningReport, Memory, harden
from keystead.core.errors import KeysteadError, Unauthenticated
from keystead.core.permission import CLOCK
from keystead.core.records import KIND_SETTINGS
from keystead.gate.activity import ActivityLog
from keystead.gate.admit import Admissions
from keystead.gate.call import Batch, Gate, Reply
from keystead.gate.client_events import ClientEventLog
from keystead.gate.committer import GroupCommitter
from keystead.gate.identifiers import Clock
from keystead.gate.objects import Objects
from keystead.gate.workshop import ThreadWorkshop
from keystead.node.directory import DirectoryDoor
from keystead.node.folder import NodeConfig, listening_socket, read_config
from keystead.node.key_backups import KeyBackupService
from keystead.node.measuring import Serving
from keystead.node.opening import (
    Parts,
    allows_global_sessions,
    checks_source,
    idle_s,
    open_module,
    open_parts,
    own_section,
    realm_keys,
    server_certificate,
    switches,
    username_field,
)
from keystead.node.threads import FAILED, end_with_any_thread
from keystead.node.trusting import KINDS as TRUST_KINDS
from keystead.node.trusting import Trust
from keystead.node.unlocking import unlock_unattended
from keystead.node.witness import Witness, is_witnessed
from keystead.node.xml_door import House, XmlDoor, asks_certificate
from keystead.operations.client_events import CLIENT_EVENTS
from keystead.operations.credentials import GRANTS, Grants
from keystead.operations.ip_authorization import Service, policy_of
from keystead.operations.key_backup_service import KEY_BACKUPS, Ended
from keystead.operations.key_backups import RecordKeyBackup
from keystead.operations.lifecycle import ApplyTransitions
from keystead.operations.measurements import MEASUREMENTS
from keystead.operations.node_state import NODE_STATE, NodeState
from keystead.operations.served import BeginServing, EndServing, StoreServed
from keystead.protocols.address_check import AddressCheck
from keystead.protocols.asking import Asker
from keystead.protocols.connections import Deadlines, Peer
from keystead.protocols.kmip.session import Endpoint, Session
from keystead.protocols.listener import TlsListener, Turn, server_context
from keystead.protocols.local.server import LocalDoor
from keystead.settings.services import Kmip
from keystead.settings.xml import CLEARTEXT, Xml
from keystead.trust import x509
from keystead.trust.keyring import Keyring
from keystead.trust.selftest import run_selftests

SWITCH_INTERVAL_S = 0.001
WITNESS_EVERY_S = 1.0
TRANSITIONS_EVERY_TICKS = 5
KEEP_ALIVE_EVERY_TICKS = 60
SERVED_PER_TICK_COUNT = 8
END_SERVING_S_MAX = 2.0
XML_CONNECTIONS_SHARE = 4  # one connection of so many is kept for XML, where it is offered

log = logging.getLogger("keystead.keys")


@dataclass(frozen=True, slots=True)
class KeysOptions:
    """How the process was started.

    Attributes:
        port: Of KMIP; None = as the settings say.
        xml_port: Likewise of the XML interface, where it is offered.
        unlock: Folder with the crypto user's token and PIN (service manager's credentials, or a `dev` node's own).
        serving: Production rules hold.
        parent_pid: Of the supervisor; the process ends with it.
    """

    port: int | None
    unlock: Path | None
    serving: bool
    parent_pid: int
    xml_port: int | None = None


class KeysProcess:
    """Everything of the process, built in the order in which it is needed."""

    def __init__(self, parts: Parts, options: KeysOptions) -> None:
        self._parts = parts
        self._options = options
        self._loop = asyncio.get_running_loop()
        self.objects = Objects(parts.shared.reader(watching=True), self._changed)
        self.module = open_module(parts)
        self.keyring = Keyring(self.module, partial(realm_keys, self.objects))
        self.committer = GroupCommitter(parts.shared.writer, self._loop)
        self.activity = ActivityLog(parts.config.activity_log)
        self.gate = Gate(self.objects, self.committer, self.keyring, self.activity, Clock(parts.shared.anchor().at_us))
        self._workshop = ThreadWorkshop(self._loop)
        self.gate.workshop = self._directory = DirectoryDoor(parts.config, self.objects, self._workshop, self._look_up)
        self.gate.services["module"] = self.module
        self.gate.services[GRANTS] = Grants()  # as `admin` tells them with each request
        self.gate.switches = switches(self.objects, dev=parts.config.dev)
        self._endpoint = Endpoint(self.gate)
        self.events = ClientEventLog(parts.config.client_event_log)
        self.gate.services[CLIENT_EVENTS] = self.events
        self.turn = Turn(self._loop, self.objects.refresh, self._flush_logs)
        self.committer.connection_count = self.turn.connection_count
        self.door = LocalDoor(Asker(self.gate, (self.objects.refresh, self.activity.flush)))
        self._trust = Trust(self.objects)
        self.listener = TlsListener(self._context(), self.turn, self._session, self._identity, self._refused)
        self._addresses = AddressCheck(self._loop.time, self._loop.call_later, policy_of(self.objects))
        self.listener.lets_in = partial(self._addresses.lets_in, Service.KEY_SERVER)
        self._admissions = Admissions(self.objects, self.listener.turn_away)
        self._admissions.global_sessions = allows_global_sessions(self.objects)
        self._admissions.trusted = self._trust.trusted
        self._admissions.directory = self._directory.users if self.gate.switches.directory else None
        serving = Serving(self.activity, self.committer, self.objects, self.listener, self.module)
        self.gate.services[MEASUREMENTS] = serving.families
        self.gate.services[NODE_STATE] = self._state
        self.gate.services[KEY_BACKUPS] = self._key_backups = KeyBackupService(
            parts, self.module, self._key_backup_ended
        )
        self.hardening: HardeningReport | None = None
        self._port = 0
        self.xml = self._xml_door()

    async def start(self) -> int:
        """Unlock if that is possible without a person, open the doors, return the KMIP port."""
        unlock_unattended(self._options.unlock, self.module)
        await self._begin_serving()
        await self.door.listen(listening_socket(self._parts.config.keys_socket))
        kmip = own_section(self._parts.own, Kmip)
        self.listener.deadlines = Deadlines(kmip.handshake_timeout_s, kmip.message_timeout_s, idle_s(self.objects))
        port = kmip.port if self._options.port is None else self._options.port
        self._port = await self.listener.listen(kmip.address, port)
        if self.xml is not None:
            await self.xml.start(self._options.xml_port)
        return self._port

    async def stop(self) -> None:
        """Close the doors, finish commits, lock."""
        self.door.close()
        await asyncio.to_thread(self._key_backups.stop)
        self._parts.config.keys_socket.unlink(missing_ok=True)
        await self.listener.close()
        if self.xml is not None:
            await self.xml.listener.close()
        await self._end_serving()
        self.objects.reader.close()  # the last connection to close copies the WAL back and removes it
        self._workshop.close()
        self.committer.close()
        self.activity.close()
        self.events.close()

    def apply_transitions(self) -> None:
        """Let the clock bring stored states up to date, through the gate like everybody."""
        self.objects.refresh()
        self.gate.run(Batch(CLOCK, (ApplyTransitions(),)), lambda _replies: None)

    def _key_backup_ended(self, ended: Ended) -> None:
        """Have the end of a job audited; called on the job's thread."""
        batch = Batch(CLOCK, (RecordKeyBackup(ended),))
        with suppress(RuntimeError):  # the loop is closed: the job's own record tells
            self._loop.call_soon_threadsafe(self.gate.run, batch, _note_failure)

    def store_served(self) -> None:
        """Store of a few objects that they are not fresh any more; so few that nobody has to wait."""
        if self.objects.served:
            self.gate.run(Batch(CLOCK, (StoreServed(SERVED_PER_TICK_COUNT),)), lambda _replies: None)

    def _xml_door(self) -> XmlDoor | None:
        """Make the door for XML, where it is offered; it takes its connections out of KMIP's."""
        section = own_section(self._parts.own, Xml)
        if not section.enabled:
            return None
        house = House(self.gate, self.objects, self.turn, self._identity, self._refused)
        count_max = self.listener.count_max // XML_CONNECTIONS_SHARE
        self.listener.count_max -= count_max
        if not section.use_tls:
            log.warning("%s", CLEARTEXT)
        door = XmlDoor(section, house, self._xml_context(), count_max)
        door.changed(self._admissions)
        door.listener.lets_in = self.listener.lets_in
        return door

    def _xml_context(self) -> ssl.SSLContext | None:
        if not own_section(self._parts.own, Xml).use_tls:
            return None
        return self._context(asks_certificate=asks_certificate(self.objects))

    async def _begin_serving(self) -> None:
        reply = await self._by_clock(BeginServing())
        if reply.error is None:
            self.objects.void_before_us, self.objects.serves_ahead = reply.result, True
        else:  # each first Get is stored before its answer then, or refused
            log.error("%s", reply.error.message)

    async def _end_serving(self) -> None:
        try:
            async with asyncio.timeout(END_SERVING_S_MAX):
                await self._by_clock(StoreServed())
                await self._by_clock(EndServing())
        except TimeoutError:
            log.warning("objects that were served first of late count as served, and so do all others of today")

    async def _by_clock(self, request: object) -> Reply:
        """Have the clock ask something; wait until it is durable."""
        answered: asyncio.Future[Reply] = self._loop.create_future()
        self.objects.refresh()
        self.gate.run(
            Batch(CLOCK, (request,)), lambda replies: None if answered.done() else answered.set_result(replies[0])
        )
        return await answered

    def _flush_logs(self) -> None:
        self.activity.flush()
        self.events.flush()

    def _changed(self, kinds: frozenset[str]) -> None:
        """Users, certificates or settings changed: every connection looks its principal up again."""
        is_another = False
        if kinds & TRUST_KINDS:
            is_another = self._trust.refresh()
            if is_another:
                self.listener.context = self._context()
            self._admissions.trusted = self._trust.trusted
        self._admissions.generation += 1
        self.listener.forget_identities()
        self.listener.deadlines = replace(self.listener.deadlines, idle_s=idle_s(self.objects))
        self.gate.switches = switches(self.objects, dev=self._parts.config.dev)
        self._admissions.global_sessions = allows_global_sessions(self.objects)
        self._admissions.directory = self._directory.users if self.gate.switches.directory else None
        if KIND_SETTINGS in kinds:
            self._directory.users.forget()
        if self.xml is not None:
            if is_another or self.xml.asks_certificate != asks_certificate(self.objects):
                self.xml.renew(self._xml_context())
            self.xml.changed(self._admissions)
        if KIND_SETTINGS in kinds:
            self._addresses.renew(policy_of(self.objects))
            for listener in (self.listener,) if self.xml is None else (self.listener, self.xml.listener):
                listener.look_again()

    def _look_up(self) -> None:
        """Have every connection look up anew who is asking."""
        self._admissions.generation += 1
        if self.xml is not None:
            self.xml.admissions.generation += 1

    def _state(self) -> NodeState:
        report = self.hardening
        return NodeState(
            version=keystead.__version__,
            pid=os.getpid(),
            kmip_port=self._port,
            compiled_count=compiled_count(),
            is_core_possible=report is None or not (report.core_dumps_off and report.undumpable),
            is_memory_locked=report is not None and report.memory is Memory.ALL,
            open_files_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            connections_limit=self.listener.count_max + (0 if self.xml is None else self.xml.listener.count_max),
        )

    def _session(self, peer: Peer) -> Session:
        identity = peer.identity
        if checks_source(self.objects) and not identity.names_address(peer.address):
            raise Unauthenticated("the client certificate does not name the address that its client comes from")
        admit = self._admissions.of(identity, peer.address)
        return Session(self._endpoint, admit)

    def _identity(self, certificate: bytes, issuers: Sequence[bytes]) -> x509.ClientIdentity:
        named = x509.identity(certificate, username_field(self.objects))
        self._trust.issuers.remember(issuers)
        return replace(named, path=self._trust.issuers.path(certificate))

    def _refused(self, address: str, why: str) -> None:
        log.warning("connection from %s refused: %s", address, why)

    def _context(self, *, asks_certificate: bool = True) -> ssl.SSLContext:
        with server_certificate(self._parts) as file:
            return server_context(file, file, self._trust.anchors_pem, asks_certificate=asks_certificate)


def _note_failure(replies: list[Reply]) -> None:
    for reply in replies:
        if reply.error is not None:
            log.error("the end of a key backup could not be audited: %s", reply.error.message)


def main(config: NodeConfig, options: KeysOptions, ready: int) -> int:
    """Run the process until it is told to stop.

    Args:
        config: Of the node.
        options: From the supervisor.
        ready: Descriptor to report on.
    """
    end_with_any_thread()
    failed = [result for result in run_selftests() if not result.ok]
    if failed:
        log.error("self-test failed: %s; the node does not serve", ", ".join(result.name for result in failed))
        return FAILED
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        return uvloop.run(_serve(config, options, ready))
    except KeysteadError as error:
        log.error("%s", error.message)
        return 1


async def _serve(config: NodeConfig, options: KeysOptions, ready: int) -> int:
    report = harden(parent_pid=options.parent_pid)
    parts = open_parts(config, serving=options.serving)
    process = KeysProcess(parts, options)
    process.hardening = report
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    port = await process.start()
    log.info("serving KMIP on port %d; memory: %s", port, report)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    ports = {"kmip": port}
    if process.xml is not None:
        ports["xml"] = process.xml.port
        log.info("serving XML on port %d", process.xml.port)
    os.write(ready, json.dumps(ports).encode() + b"\n")
    os.close(ready)
    keeper = asyncio.create_task(_keep(process, parts))
    await stopping.wait()
    keeper.cancel()
    await process.stop()
    if is_witnessed(parts):
        Witness(parts).write()
    return 0


async def _keep(process: KeysProcess, parts: Parts) -> None:
    """Do what time asks for: witness the stores, apply due transitions, keep the activation alive."""
    witness = Witness(parts) if is_witnessed(parts) else None
    loop = asyncio.get_running_loop()
    ticks_count = 0
    while True:
        await asyncio.sleep(WITNESS_EVERY_S)
        ticks_count += 1
        try:
            if witness is not None:
                await loop.run_in_executor(None, witness.write)
            process.store_served()
            if ticks_count % TRANSITIONS_EVERY_TICKS == 0:
                process.apply_transitions()
            if ticks_count % KEEP_ALIVE_EVERY_TICKS == 0:
                await loop.run_in_executor(None, process.module.keep_alive)
        except (KeysteadError, OSError) as error:
            log.error("%s", error)


def start(data: str, *words: str) -> int:
    """Start from the supervisor's words (see supervisor.py)."""
    port, xml_port, unlock, serving, parent_pid, ready = words
    options = KeysOptions(
        int(port) if port else None,
        Path(unlock) if unlock else None,
        serving == "serving",
        int(parent_pid),
        int(xml_port) if xml_port else None,
    )
    return main(read_config(Path(data)), options, int(ready))
