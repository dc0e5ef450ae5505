"""Opening a node's parts from its data folder: node key, both stores, the security module, settings.

Source: design.md sections 5 and 6.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from keystead.core.errors import Invalid, Refused, Unavailable
from keystead.core.permission import Switches
from keystead.core.records import KIND_REALM, KIND_SERVER_KEY, KIND_SETTINGS, ROOT_REALM, Record
from keystead.core.secret import Secret
from keystead.gate.objects import Objects
from keystead.node.folder import NodeConfig
from keystead.node.token_process import COMMAND
from keystead.operations.lifecycle import PURGE
from keystead.settings import key_server, services, user_directory, xml
from keystead.settings.section import S, read
from keystead.storage.sqlite import SqliteStore, open_store
from keystead.storage.store import Store, StoreKeys
from keystead.storage.verify import Walkable
from keystead.trust.module_state import StateFile
from keystead.trust.modules import Module, ModuleSettings
from keystead.trust.node_key import NodeKey
from keystead.trust.pkcs11.modules import Pkcs11Engine, Pkcs11Module
from keystead.trust.pkcs11.processes import TokenPlace
from keystead.trust.pkcs11.tokens import LABEL_BYTES_MAX
from keystead.trust.software import SoftwareModule

MARK_DEV = "dev"
SERVER_KEY_PURPOSE = "server-key"
SHARED = "shared"
OWN = "own"
MODULE_PURPOSES = {"software": "software-module", "pkcs11": "pkcs11-module"}
NO_DRIVER = "the driver for PostgreSQL is not installed; install keystead with the extra `postgresql`"


class SharedStore(Store, Walkable, Protocol):
    """A store of any engine that can also be verified."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A node's opened stores with the key that authenticates them."""

    config: NodeConfig
    node_key: NodeKey
    shared: SharedStore
    own: SqliteStore


def store_keys(node_key: NodeKey, store: str) -> StoreKeys:
    """Derive the keys that authenticate one of the stores."""
    derived = node_key.store_keys(store)
    return StoreKeys(derived.record, derived.chain, derived.audit)


def open_parts(
    config: NodeConfig, *, serving: bool = False, check: bool = True, insecure_no_flush: bool = False
) -> Parts:
    """Open everything that needs no module.

    Args:
        config: Of the node.
        serving: Refuse what a production node must not serve from (`keystead serve`).
        check: Compare each store's root with its ends; False only for `keystead verify`, which tells more.
        insecure_no_flush: As the setting of this name, which a node that is being made does not have yet.

    Raises:
        Refused: the store was made by `keystead dev`, or an insecure option is set.
        Unavailable, Tampered, NotFound: as the node key and the stores say.
    """
    node_key = NodeKey.read(config.node_key, None if config.dev else config.data)
    own = open_store(config.own_store, store_keys(node_key, OWN), check=check)
    flush_not = insecure_no_flush or own_section(own, services.StoreSection).insecure_no_flush
    shared = _open_shared(config, store_keys(node_key, SHARED), insecure_no_flush=flush_not, check=check)
    if serving and (config.dev or shared.mark(MARK_DEV) is not None or own.mark(MARK_DEV) is not None):
        raise Refused(
            "this store was made by `keystead dev` and can never serve production; make one with `keystead init`",
            "refused.feature",
        )
    if serving and flush_not:
        raise Refused("store.insecure_no_flush is set; a production node must flush", "refused.feature")
    return Parts(config, node_key, shared, own)


def _open_shared(config: NodeConfig, keys: StoreKeys, *, insecure_no_flush: bool, check: bool) -> SharedStore:
    if not config.store:
        return open_store(config.shared_store, keys, insecure_no_flush=insecure_no_flush, check=check)
    try:
        from keystead.storage import postgresql  # noqa: PLC0415  # an extra: most nodes do without
    except ImportError as error:
        raise Unavailable(NO_DRIVER, "unavailable.store") from error
    return postgresql.open_store(config.store, keys, insecure_no_flush=insecure_no_flush, check=check)


def record_of(store: Store, kind: str, handle: str) -> Record | None:
    """Return one record of a store, None when there is none. Raises Tampered, Unavailable."""
    reader = store.reader()
    try:
        loaded = reader.by_handle(ROOT_REALM, kind, handle)
    finally:
        reader.close()
    return loaded.record if loaded is not None and isinstance(loaded.record, Record) else None


def own_section(own: SqliteStore, section: type[S]) -> S:
    """Read a section of the node's own settings."""
    record = record_of(own, KIND_SETTINGS, section.name)
    return read(section, {} if record is None else record.fields)


@contextmanager
def server_certificate(parts: Parts) -> Iterator[str]:
    """Lend a file in memory with the server's certificate and private key in PEM, for OpenSSL to read.

    Raises:
        Unavailable: there is none.
    """
    record = record_of(parts.own, KIND_SERVER_KEY, "kmip")
    if record is None:
        raise Unavailable("the server certificate is missing; restore the node's own store", "unavailable.store")
    fields = record.fields
    key = parts.node_key.unseal(SERVER_KEY_PURPOSE, record.id.encode(), bytes(fields["sealed_key"]))
    descriptor = os.memfd_create("server-key")
    try:
        os.write(descriptor, fields["certificate"].encode() + key.reveal())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def open_module(parts: Parts, maker_pin: Secret | None = None) -> Module:
    """Open the node's security module; it starts locked, and a token is asked for nothing yet.

    Args:
        parts: Of the node.
        maker_pin: What a blank PKCS#11 token's maker set for its security officer, if it is to be initialised.

    Raises:
        Invalid: the settings do not name a PKCS#11 token.
    """
    section = own_section(parts.own, services.Module)
    settings = ModuleSettings(activation_window_s=section.activation_window_s)
    state, node_secret = StateFile(parts.config.module_state), parts.node_key.derive(MODULE_PURPOSES[section.kind])
    if section.kind == "software":
        return SoftwareModule(state, node_secret, settings)
    return Pkcs11Module(Pkcs11Engine(_token_place(section), maker_pin), state, node_secret, settings)


def _token_place(section: services.Module) -> TokenPlace:
    if not Path(section.library).is_absolute():
        raise Invalid("module.library is the absolute path of a PKCS#11 library", "invalid.field")
    if not 1 <= len(section.token_label.encode()) <= LABEL_BYTES_MAX:
        raise Invalid(f"module.token_label has 1 to {LABEL_BYTES_MAX} bytes", "invalid.field")
    slot = None if section.token_slot < 0 else section.token_slot
    return TokenPlace(section.library, section.token_label, slot, COMMAND)


def realm_keys(objects: Objects) -> dict[str, bytes]:
    """Return realm -> wrapped key-encryption key."""
    record = objects.record(KIND_REALM, ROOT_REALM)
    return {} if record is None else {ROOT_REALM: bytes(record.fields["wrapped_key"])}


def switches(objects: Objects, *, dev: bool) -> Switches:
    """Read the server-wide switches as they stand now."""
    server, legacy = objects.section(key_server.KeyServer), objects.section(key_server.Legacy)
    return Switches(
        key_configuration=server.allow_key_configuration,
        key_export=server.allow_key_export,
        global_keys=server.allow_global_keys,
        legacy_algorithms=legacy.algorithms,
        legacy_modes=legacy.modes,
        interop=dev,
        directory=objects.section(user_directory.UserDirectory).kind == user_directory.LDAP,
        extras=frozenset({PURGE} if server.destroy_purges_metadata else ()),
    )


def username_field(objects: Objects) -> str | None:
    """Return which field of a client certificate names the user, None = it serves TLS only (KS-KMIP-010, 011)."""
    field = objects.section(key_server.KeyServer).username_field
    return None if field == key_server.TLS_ONLY else field


def allows_global_sessions(objects: Objects) -> bool:
    """Tell whether clients without a user may connect (LEG-05)."""
    return objects.section(key_server.KeyServer).allow_global_sessions


def checks_source(objects: Objects) -> bool:
    """Tell whether a client certificate must name the address that its client comes from (KS-KMIP-015)."""
    return objects.section(key_server.KeyServer).check_source_ip


def xml_policy(objects: Objects) -> xml.XmlServer:
    """Return how clients of the XML interface prove who they are."""
    return objects.section(xml.XmlServer)


def idle_s(objects: Objects) -> int:
    """Return after how many seconds a silent connection is closed (KS-KMIP-006)."""
    return objects.section(key_server.KeyServer).connection_timeout_s
