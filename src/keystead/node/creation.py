"""Making a new node: folder, node key, stores, security module, realm, local CA, server certificate.

Everything is made in one run of one process before anything serves; a run that fails leaves a folder without a
configuration file, which no command takes for a node.

Source: design.md sections 5 and 6; requirements KS-GEN-010, KS-HSM-002, 006, KS-CAU-001, KS-KMIP-002.
"""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import ModuleType
from typing import Any

from keystead.core.changes import Change, Put, SealedMaterial, Transaction
from keystead.core.errors import Exists, KeysteadError, Unavailable
from keystead.core.records import (
    KIND_AUTHORITY,
    KIND_REALM,
    KIND_SERVER_KEY,
    KIND_SETTINGS,
    ROOT_REALM,
    Record,
)
from keystead.core.secret import Secret
from keystead.gate.identifiers import new_id, new_request_id
from keystead.node.folder import UNFINISHED, NodeConfig, make_folders, write_config
from keystead.node.opening import (
    MARK_DEV,
    NO_DRIVER,
    OWN,
    SERVER_KEY_PURPOSE,
    SHARED,
    Parts,
    open_module,
    open_parts,
    own_section,
    record_of,
    store_keys,
)
from keystead.operations.certificates import CLIENT_AUTHORITY, material_reference
from keystead.settings.all import SECTIONS
from keystead.storage.sqlite_creation import create_store
from keystead.storage.store import Store, StoreKeys
from keystead.trust import x509
from keystead.trust.durable_files import flush_folder
from keystead.trust.keyring import Keyring
from keystead.trust.material import Place
from keystead.trust.node_key import NodeKey
from keystead.trust.root import PartitionRequest, Role


@dataclass(frozen=True, slots=True)
class RoleSecrets:
    """The three secrets of the module's roles, 32 bytes each, from their tokens."""

    security_officer: Secret
    domain: Secret
    crypto_user: Secret


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a new node begins with.

    Attributes:
        secrets: Of the module's roles.
        names: DNS names and IP addresses of the server certificate.
        settings: Section -> fields that differ from the defaults.
        maker_pin: Of a blank PKCS#11 token that has one.
    """

    secrets: RoleSecrets
    names: Sequence[str] = ()
    settings: Mapping[str, Mapping[str, Any]] | None = None
    maker_pin: Secret | None = None


def create_node(config: NodeConfig, beginning: Beginning) -> Secret:
    """Make a node in a folder that does not hold one.

    Returns: the crypto user's generated password (KS-HSM-007), to be shown once.

    Raises:
        Exists: the folder holds something already.
    """
    if config.data.exists() and any(entry.name != UNFINISHED for entry in config.data.iterdir()):
        raise Exists(f"{config.data} is not empty; choose a new folder")
    for folder in (config.data, *([config.insecure] if config.dev else [])):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_folders(config)
    node_key = NodeKey.generate()
    node_key.write(config.node_key)
    marks = {MARK_DEV: "1"} if config.dev else {}
    create_store(config.own_store, store_keys(node_key, OWN), marks)
    _create_shared(config, store_keys(node_key, SHARED), marks, beginning)
    parts = open_parts(config, insecure_no_flush=_is_insecure(beginning.settings))
    password = _furnish(parts, beginning)
    flush_folder(config.data)
    write_config(config)
    return password


def _create_shared(config: NodeConfig, keys: StoreKeys, marks: Mapping[str, str], beginning: Beginning) -> None:
    if not config.store:
        create_store(config.shared_store, keys, marks)
        return
    insecure = _is_insecure(beginning.settings)
    database().create_store(config.store, keys, marks, insecure_no_flush=insecure)


def check_place(config: NodeConfig, settings: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Look whether the database for the shared store can be used, before anything is made.

    Raises:
        Invalid, Unavailable: it cannot.
    """
    if config.store:
        database().check_server(config.store, insecure_no_flush=_is_insecure(settings))


def _is_insecure(settings: Mapping[str, Mapping[str, Any]] | None) -> bool:
    return bool((settings or {}).get("store", {}).get("insecure_no_flush", False))


def discard_unfinished(config: NodeConfig) -> None:
    """Drop the store that an unfinished run of `dev` has made in a database; only the node key of that run does it."""
    if config.store and config.node_key.exists():
        keys = store_keys(NodeKey.read(config.node_key, None), SHARED)
        database().discard_store(config.store, keys, MARK_DEV)


def database() -> ModuleType:
    """Return what makes stores in databases. Raises Unavailable when the driver is not installed."""
    try:
        from keystead.storage import postgresql_creation  # noqa: PLC0415  # an extra: most nodes do without
    except ImportError as error:
        raise Unavailable(NO_DRIVER, "unavailable.store") from error
    return postgresql_creation


def _furnish(parts: Parts, beginning: Beginning) -> Secret:
    now_us = time.time_ns() // 1000
    store(parts.own, _settings(beginning, own=True), now_us)  # they say which module it is
    module = open_module(parts, beginning.maker_pin)
    secrets = beginning.secrets
    module.initialise(secrets.security_officer, secrets.domain)
    password = module.create_partition(PartitionRequest(secrets.security_officer, secrets.domain, secrets.crypto_user))
    keyring = Keyring(module, {})
    wrapped = keyring.new_realm_key(ROOT_REALM)
    keyring.add_realm(ROOT_REALM, wrapped)
    authority, authority_key, sealed = _authority(keyring, now_us)
    shared = [
        Put(Record(KIND_REALM, f"realm.{ROOT_REALM}", ROOT_REALM, {"wrapped_key": wrapped})),
        Put(authority, sealed),
        *_settings(beginning, own=False),
    ]
    server_key = _server_key(parts, authority, authority_key, beginning.names)
    store(parts.shared, shared, now_us)
    store(parts.own, [Put(server_key)], now_us)
    module.logout(Role.CRYPTO_USER)
    module.logout(Role.SECURITY_OFFICER)
    return password


def _authority(keyring: Keyring, now_us: int) -> tuple[Record, Secret, SealedMaterial]:
    """Make the CA that signs client and server certificates; its key is sealed like any other material."""
    key, certificate = x509.make_authority(f"keystead CA of {socket.gethostname()[:32] or 'this node'}")
    authority_id, material_id = new_id(now_us), new_id(now_us)
    sealed = keyring.seal(Place(ROOT_REALM, KIND_AUTHORITY, authority_id, material_id, 1), key)
    record = Record(
        KIND_AUTHORITY,
        authority_id,
        CLIENT_AUTHORITY,
        {"certificate": certificate},
        material=material_reference(sealed),
    )
    return record, key, sealed


def _server_key(parts: Parts, authority: Record, authority_key: Secret, names: Sequence[str]) -> Record:
    """Issue the server's certificate; its key is sealed under the node key, so that a locked node can say so."""
    key, certificate = x509.issue_server(authority_key, str(authority.fields["certificate"]), names)
    record_id = "server-key.kmip"
    sealed = parts.node_key.seal(SERVER_KEY_PURPOSE, record_id.encode(), key)
    return Record(KIND_SERVER_KEY, record_id, "kmip", {"certificate": certificate, "sealed_key": sealed})


def _settings(beginning: Beginning, *, own: bool) -> list[Put]:
    puts = []
    for name, fields in (beginning.settings or {}).items():
        if SECTIONS[name].own is own:
            whole = asdict(replace(SECTIONS[name](), **fields))
            puts.append(Put(Record(KIND_SETTINGS, f"settings.{name}", name, whole)))
    return puts


def change_own_settings(config: NodeConfig, section: str, changed: Mapping[str, Any]) -> None:
    """Change a section of the node's own settings while no process of the node runs."""
    parts = open_parts(config)
    held = record_of(parts.own, KIND_SETTINGS, section)
    fields = asdict(replace(own_section(parts.own, SECTIONS[section]), **changed))
    revision = held.revision if held is not None else 0
    record = Record(KIND_SETTINGS, f"settings.{section}", section, fields, revision=revision)
    store(parts.own, [Put(record)], time.time_ns() // 1000, "settings.change")


def store(target: Store, puts: Sequence[Put], now_us: int, operation: str = "node.create") -> None:
    """Write records outside of a serving node, in one transaction.

    Raises:
        KeysteadError: what the store says.
    """
    who = f"local:uid-{os.geteuid()}"
    transaction = Transaction(new_request_id(), who, "-", now_us, ((operation, Change(tuple(puts), None)),))
    writer = target.writer()
    try:
        outcome: KeysteadError | None = writer.commit([transaction])[0]
    finally:
        writer.close()
    if outcome is not None:
        raise outcome
