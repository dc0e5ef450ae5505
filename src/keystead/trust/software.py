"""The built-in software security module. It protects keys by this machine's memory and files only, not by hardware.

Source: requirements KS-HSM-001 to 018, 050 to 054; docs/adr/0020 to 0022. What it has in common with others stands in
trust/modules.py.
"""

import secrets
from collections.abc import Callable

from keystead.core.errors import Unavailable
from keystead.core.secret import Secret
from keystead.trust import partitions
from keystead.trust.locked_memory import LockedSecret
from keystead.trust.module_state import ModuleDocument, ModuleState, Partition
from keystead.trust.modules import STANDARD_SETTINGS, Module, ModuleSettings, NewPartition, wall_clock_us
from keystead.trust.root import PartitionRequest, Role
from keystead.trust.sealing import KEY_BYTES, derive, seal, unseal

NOTICE = "SOFTWARE security module: keys are protected by this machine's memory and files, not by hardware."


class SoftwareEngine:
    """Holds the key that wraps keys in this process, masked, while the partition is active."""

    kind = "software"

    def __init__(self) -> None:
        self._wrapping: LockedSecret | None = None

    def set_up(self, module_id: bytes, security_officer: Secret, domain: Secret) -> dict[str, bytes]:
        """Return a verifier of each secret; see `Engine.set_up`."""
        pairs = ((Role.SECURITY_OFFICER, security_officer), (Role.DOMAIN, domain))
        return {role.value: partitions.verifier(role, module_id, secret) for role, secret in pairs}

    def check_officer(self, document: ModuleDocument, secret: Secret) -> None:
        """Compare with the verifier; see `Engine.check_officer`."""
        partitions.check_secret_of(document, Role.SECURITY_OFFICER, secret)

    def change_officer(self, document: ModuleDocument, old: Secret, new: Secret) -> dict[str, bytes]:
        """Return the verifiers with a new one; see `Engine.change_officer`."""
        self.check_officer(document, old)
        role = Role.SECURITY_OFFICER
        return {**document.verifiers, role.value: partitions.verifier(role, document.module_id, new)}

    def make(self, request: PartitionRequest, password: Secret) -> NewPartition:
        """Draw a master key, or open the exported one; see `Engine.make`."""
        if request.existing is None:
            partition_id, master = secrets.token_bytes(partitions.ID_BYTES), Secret(secrets.token_bytes(KEY_BYTES))
        else:
            partition_id, master = partitions.import_exported(request.existing, request.domain)
        return NewPartition(
            partition_id,
            partitions.wrap_for_crypto_user(partition_id, master, request.crypto_user, password),
            partitions.wrap_for_domain(partition_id, master, request.domain),
            master,
        )

    def judge(self, partition: Partition, secret: Secret, password: Secret) -> Secret:
        """Open the master key; see `Engine.judge`."""
        return partitions.open_for_crypto_user(partition, secret, password)

    def change_user(self, partition: Partition, old: Secret, new: Secret, password: Secret) -> tuple[bytes, Secret]:
        """Wrap the master key for another secret; see `Engine.change_user`."""
        master = self.judge(partition, old, password)
        return partitions.wrap_for_crypto_user(partition.id, master, new, password), master

    def attempts_left(self, role: Role) -> int | None:  # noqa: ARG002  # the module's counter is the only one
        """Know nothing; see `Engine.attempts_left`."""
        return None

    @property
    def is_active(self) -> bool:
        """Whether the wrapping key is held."""
        return self._wrapping is not None

    def activate(self, partition: Partition, opening: Secret) -> None:
        """Hold what wraps keys; the master key itself goes."""
        self.lock()
        self._wrapping = LockedSecret(Secret(derive(opening.reveal(), "module/wrap", partition.id)))

    def lock(self) -> None:
        """Wipe the wrapping key."""
        if self._wrapping is not None:
            self._wrapping.wipe()
            self._wrapping = None

    def wrap(self, key: Secret, context: bytes) -> bytes:
        """Seal; see `Engine.wrap`."""
        return seal(self._wrapping_key(), key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> Secret:
        """Unseal; see `Engine.unwrap`."""
        return unseal(self._wrapping_key(), wrapped, context)

    def _wrapping_key(self) -> bytes:
        if self._wrapping is None:
            raise Unavailable("the security module is locked; its crypto user must log in", "unavailable.locked")
        return self._wrapping.reveal()


class SoftwareModule(Module):
    """The module over a `SoftwareEngine`; see `Module` for the arguments."""

    def __init__(
        self,
        state: ModuleState,
        node_secret: Secret,
        settings: ModuleSettings = STANDARD_SETTINGS,
        now_us: Callable[[], int] = wall_clock_us,
    ) -> None:
        super().__init__(SoftwareEngine(), state, node_secret, settings, now_us)
