"""What a security module remembers on the node, and the one file it stands in.

Laws: the state is sealed under a key of the node, so that without the node key nobody edits a failure counter or tries
PINs on what is kept to recognise a secret; a save is durable and whole when it returns. An older copy put back is not
noticed here (docs/adr/0020).

Source: requirements KS-HSM-002, 011, 013, 017, 050 to 052; docs/adr/0020, 0022.
"""

import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cbor2

from keystead.core.errors import DeviceFault, Tampered
from keystead.core.secret import Secret
from keystead.trust.durable_files import flush_folder
from keystead.trust.sealing import seal, unseal

STATE_BYTES_MAX = 65_536
_VERSION = 1
_CONTEXT = b"module state"


class ModuleState(Protocol):
    """Where a module's state is kept: on the node itself, never in the shared store."""

    def load(self) -> bytes | None:
        """Return what was saved last, None at first."""

    def save(self, state: bytes) -> None:
        """Replace the state; durable and whole when this returns."""


class StateFile:
    """A module's state in one file, replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> bytes | None:
        """Read the file; None when there is none.

        Raises:
            DeviceFault: it cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                state = file.read(STATE_BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DeviceFault(f"the module's state cannot be read: {error.strerror}") from error
        if len(state) > STATE_BYTES_MAX:
            raise DeviceFault("the module's state is larger than any that was written")
        return state

    def save(self, state: bytes) -> None:
        """Write beside the file, flush, rename over it, flush the folder.

        Raises:
            DeviceFault: the state could not be made durable.
        """
        beside = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        try:
            try:
                _write_durably(beside, state)
                beside.replace(self._path)
            finally:
                beside.unlink(missing_ok=True)
            flush_folder(self._path.parent)
        except OSError as error:
            raise DeviceFault(f"the module's state cannot be saved: {error.strerror}; free the disk") from error


def _write_durably(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class Partition:
    """The partition: its master key wrapped for the crypto user and, separately, for the domain.

    Attributes:
        id: 16 bytes, the same in every module that the partition is set up in.
        for_crypto_user: Software: master key sealed under the crypto user's secret, and that under the password.
            PKCS#11: the seed that makes a PIN of the crypto user's secret, sealed under the password.
        for_domain: Software: master key sealed under the domain's secret. PKCS#11: the token's keys, wrapped there.
        password: The crypto user's password sealed under a key of the node; None = to be entered first.
        activation: Master key, or PIN, sealed under a key of the node while an activation may be resumed (KS-HSM-017).
        is_deactivated: `activation` waits for `activate`, a restart alone does not use it (AMB-29).
        last_alive_us: When the partition was last known to be active; an outage counts from here.
    """

    id: bytes
    for_crypto_user: bytes = field(repr=False)
    for_domain: bytes = field(repr=False)
    password: bytes | None = field(repr=False)
    activation: bytes | None = field(default=None, repr=False)
    is_deactivated: bool = False
    last_alive_us: int = 0


@dataclass(frozen=True, slots=True)
class ModuleDocument:
    """Everything a security module remembers on the node.

    Attributes:
        module_id: 16 bytes.
        verifiers: Role -> what its secret must derive to; of the security officer only where no token judges it.
        failures: Role -> failed logins since the last good one.
        key_cache: Secure key cache enabled; off on a fresh node (KS-HSM-050).
        latest_us: Latest time ever seen; a clock before it ends any activation.
    """

    module_id: bytes
    verifiers: dict[str, bytes] = field(repr=False)
    failures: dict[str, int]
    key_cache: bool = False
    latest_us: int = 0
    partition: Partition | None = None

    def to_bytes(self, key: bytes) -> bytes:
        """Encode as canonical CBOR, sealed."""
        return seal(key, Secret(cbor2.dumps({"version": _VERSION, **asdict(self)}, canonical=True)), _CONTEXT)

    @classmethod
    def from_bytes(cls, data: bytes, key: bytes) -> "ModuleDocument":
        """Unseal and decode.

        Raises:
            Tampered: not written under this node's key, changed, or of a newer version.
        """
        try:
            body = unseal(key, data, _CONTEXT)
        except Tampered:
            raise Tampered(
                "the module's state was not written by this node's module: wrong node key, another kind of module "
                "(module.kind), or the file was edited"
            ) from None
        fields: dict[str, Any] = cbor2.loads(body.reveal())
        if fields.pop("version") != _VERSION:
            raise Tampered("the module's state was written by a newer version; use that version")
        partition = fields.pop("partition")
        return cls(**fields, partition=None if partition is None else Partition(**partition))
