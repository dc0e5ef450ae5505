"""The built-in software security module. It protects keys by this machine's memory and files only, not by hardware.

Laws: a failure is counted durably before a secret is judged; whatever locks the partition drops its key first and
writes afterwards; nothing of the state file opens without the node key. One lock serialises everything.

Source: requirements KS-HSM-001 to 018, 050 to 054; AMB-29; docs/adr/0020 to 0022.
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from keystead.core.errors import Invalid, Refused, Tampered, Unavailable, WrongState
from keystead.core.secret import Secret
from keystead.trust import partitions
from keystead.trust.locked_memory import LockedSecret
from keystead.trust.module_state import ModuleDocument, ModuleState, Partition
from keystead.trust.root import ACTIVATION_WINDOW_S_MAX, ModuleStatus, PartitionRequest, Role
from keystead.trust.sealing import KEY_BYTES, derive, seal, unseal

NOTICE = "SOFTWARE security module: keys are protected by this machine's memory and files, not by hardware."
ATTEMPTS_MAX = 100
_ID_BYTES = 16
_US_PER_S = 1_000_000
_T = TypeVar("_T")
_BLOCKED = {
    Role.CRYPTO_USER: "the crypto user is blocked after too many failed logins; the security officer can unblock it",
    Role.SECURITY_OFFICER: "the security officer is blocked after too many failed logins; reset the module and set its "
    "partition up again with the domain's token",
}


@dataclass(frozen=True, slots=True)
class ModuleSettings:
    """Limits of the module.

    Attributes:
        crypto_user_attempts: Failed logins in a row until the role is blocked, 1 to 100 (KS-HSM-011).
        security_officer_attempts: The same for the security officer.
        activation_window_s: How long an outage or deactivation may last without a new login, 0 to 7200; 0 = never.
            Anything but 0 keeps the partition's master key on disk, sealed under the node key alone.
    """

    crypto_user_attempts: int = 10
    security_officer_attempts: int = 3
    activation_window_s: int = 0

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            Invalid: out of bounds.
        """
        attempts = (self.crypto_user_attempts, self.security_officer_attempts)
        if not all(1 <= count <= ATTEMPTS_MAX for count in attempts):
            raise Invalid(f"login attempts are limited to 1 to {ATTEMPTS_MAX}")
        if not 0 <= self.activation_window_s <= ACTIVATION_WINDOW_S_MAX:
            raise Invalid(f"the activation window is 0 to {ACTIVATION_WINDOW_S_MAX} seconds")


def _wall_clock_us() -> int:
    return time.time_ns() // 1_000


class SoftwareModule:
    """Fulfils `SecurityModule` in this process.

    Args:
        state: Where the module's state is kept.
        node_secret: 32 bytes derived from the node key for this module.
        settings: Limits.
        now_us: The clock, UTC microseconds.

    Raises:
        Tampered: the state was not written under this node key.
        DeviceFault: the state cannot be read.
    """

    def __init__(
        self,
        state: ModuleState,
        node_secret: Secret,
        settings: ModuleSettings = ModuleSettings(),
        now_us: Callable[[], int] = _wall_clock_us,
    ) -> None:
        self._state = state
        self._node_secret = node_secret
        self._settings = settings
        self._now_us = now_us
        self._lock = threading.RLock()
        self._watchers: list[Callable[[], None]] = []
        self._security_officer_logged_in = False
        self._wrapping: LockedSecret | None = None
        saved = state.load()
        self._document = None if saved is None else ModuleDocument.from_bytes(saved, self._node_key("module/state"))

    # -------------------------------------------------------------------------------------------------------- state

    def status(self) -> ModuleStatus:
        """Tell the state without needing a login; see `RootOfTrust.status`."""
        with self._lock:
            document = self._document
            partition = document.partition if document else None
            remembered = document is not None and partition is not None and self._can_resume(document, partition)
            return ModuleStatus(
                kind="software",
                initialised=partition is not None,
                activated=self._wrapping is not None,
                crypto_user_logged_in=self._wrapping is not None or remembered,
                security_officer_logged_in=self._security_officer_logged_in,
                key_cache=document is not None and document.key_cache,
                attempts_left={role: self._attempts_left(role) for role in (Role.SECURITY_OFFICER, Role.CRYPTO_USER)},
            )

    def watch(self, changed: Callable[[], None]) -> None:
        """Have `changed` called on every lock, unlock and switch of the key cache; see `RootOfTrust.watch`."""
        with self._lock:
            self._watchers.append(changed)

    def set_key_cache(self, *, enabled: bool) -> bool:
        """Switch the secure key cache; False = was in this state already (KS-HSM-053)."""
        with self._lock:
            document = self._initialised()
            if document.key_cache == enabled:
                return False
            self._save(replace(document, key_cache=enabled))
            self._tell_watchers()
            return True

    # --------------------------------------------------------------------------------------------------- setting up

    def initialise(self, security_officer: Secret, domain: Secret) -> None:
        """Define the security officer's and the domain's secret; see `SecurityModule.initialise`."""
        with self._lock:
            if self._document is not None:
                raise WrongState("the module is initialised already; a factory reset comes first", "wrong_state.module")
            module_id = secrets.token_bytes(_ID_BYTES)
            pairs = ((Role.SECURITY_OFFICER, security_officer), (Role.DOMAIN, domain))
            verifiers = {role.value: partitions.verifier(role, module_id, secret) for role, secret in pairs}
            self._save(ModuleDocument(module_id, verifiers, failures={}))

    def create_partition(self, request: PartitionRequest) -> Secret:
        """Make or set up the partition and log its crypto user in; see `SecurityModule.create_partition`."""
        with self._lock:
            document = self._initialised()
            if document.partition is not None:
                raise WrongState(
                    "the module has its partition already; a factory reset comes first", "wrong_state.module"
                )
            partitions.check_role_secret(request.crypto_user)

            def judge() -> None:
                self._verify(Role.SECURITY_OFFICER, request.security_officer)
                self._verify(Role.DOMAIN, request.domain)

            self._judged(Role.SECURITY_OFFICER, judge)
            if request.existing is None:
                partition_id, master = secrets.token_bytes(_ID_BYTES), Secret(secrets.token_bytes(KEY_BYTES))
            else:
                partition_id, master = partitions.import_exported(request.existing, request.domain)
            password = partitions.new_password()
            partition = Partition(
                id=partition_id,
                for_crypto_user=partitions.wrap_for_crypto_user(partition_id, master, request.crypto_user, password),
                for_domain=partitions.wrap_for_domain(partition_id, master, request.domain),
                password=self._sealed_password(partition_id, password),
            )
            self._unlock(partition, master)
            return password

    def export_partition(self) -> bytes:
        """Return the master key wrapped under the domain's secret; see `SecurityModule.export_partition`."""
        with self._lock:
            return partitions.export(self._partition())

    def change_secret(self, role: Role, old: Secret, new: Secret) -> None:
        """Give a role another secret; see `SecurityModule.change_secret`."""
        with self._lock:
            document = self._initialised()
            if role is Role.SECURITY_OFFICER:
                self._judged(role, lambda: self._verify(role, old))
                verifiers = {**document.verifiers, role.value: partitions.verifier(role, document.module_id, new)}
                self._save(replace(self._initialised(), verifiers=verifiers))
            elif role is Role.CRYPTO_USER:
                partition, password = self._partition(), self._password()
                master = self._judged(role, lambda: partitions.open_for_crypto_user(partition, old, password))
                wrapped = partitions.wrap_for_crypto_user(partition.id, master, new, password)
                self._save_partition(replace(partition, for_crypto_user=wrapped))
            else:
                raise Invalid("the domain's secret cannot be changed; initialise a module of the new domain")

    def set_password(self) -> Secret:
        """Generate another password for the crypto user; see `SecurityModule.set_password`."""
        with self._lock:
            self._wrapping_key()  # raises while locked
            partition, old, new = self._partition(), self._password(), partitions.new_password()
            wrapped = partitions.change_password(partition, old, new)
            sealed = self._sealed_password(partition.id, new)
            self._save_partition(replace(partition, for_crypto_user=wrapped, password=sealed))
            return new

    def enter_password(self, password: Secret) -> None:
        """Keep the crypto user's password on this machine; see `SecurityModule.enter_password`."""
        with self._lock:
            partition = self._partition()
            partitions.check_password(password)
            self._save_partition(replace(partition, password=self._sealed_password(partition.id, password)))

    def unblock(self) -> None:
        """Give the crypto user all login attempts back; see `SecurityModule.unblock`."""
        with self._lock:
            if not self._security_officer_logged_in:
                raise Refused("log the security officer in first")
            self._save_failures(Role.CRYPTO_USER, 0)

    # -------------------------------------------------------------------------------------------- logins, activation

    def login(self, role: Role, secret: Secret) -> None:
        """Log a role in; see `RootOfTrust.login`."""
        with self._lock:
            if role is Role.SECURITY_OFFICER:
                self._judged(role, lambda: self._verify(role, secret))
                self._security_officer_logged_in = True
            elif role is Role.CRYPTO_USER:
                partition, password = self._partition(), self._password()
                master = self._judged(role, lambda: partitions.open_for_crypto_user(partition, secret, password))
                self._unlock(partition, master)
            else:
                raise Invalid("the domain does not log in; its token is asked for when a partition is made")

    def logout(self, role: Role) -> None:
        """Log a role out; the crypto user's logout locks the node. Idempotent."""
        with self._lock:
            if role is Role.SECURITY_OFFICER:
                self._security_officer_logged_in = False
            elif role is Role.CRYPTO_USER:
                self._lock_partition()
                document = self._document
                if document and document.partition and document.partition.activation:
                    self._save_partition(replace(document.partition, activation=None))
            else:
                raise Invalid("the domain does not log in")

    def activate(self) -> bool:
        """Use the partition again after `deactivate`; see `RootOfTrust.activate`."""
        with self._lock:
            partition = self._partition()
            if self._wrapping is not None:
                return False
            if partition.activation is None or not self._reactivate():
                raise WrongState("the activation window is over: log the crypto user in", "wrong_state.module")
            return True

    def deactivate(self) -> bool:
        """Stop using the partition; False = was not active."""
        with self._lock:
            if self._wrapping is None:
                return False
            self._lock_partition()
            document, partition = self._initialised(), self._partition()
            now_us = self._now_us()
            if partition.activation is not None:
                partition = replace(partition, is_deactivated=True, last_alive_us=now_us)
                latest_us = max(document.latest_us, now_us)
                self._save(replace(document, latest_us=latest_us, partition=partition))
            return True

    def resume(self) -> bool:
        """Restore an activation that a short outage interrupted; see `RootOfTrust.resume`."""
        with self._lock:
            if self._wrapping is not None:
                return True
            partition = self._document.partition if self._document else None
            if partition is None or partition.activation is None or partition.is_deactivated:
                return False
            return self._reactivate()

    def keep_alive(self) -> None:
        """Note that time has passed; see `RootOfTrust.keep_alive`."""
        with self._lock:
            document = self._document
            partition = document.partition if document else None
            if document is None or partition is None or partition.activation is None:
                return
            now_us = self._now_us()
            if self._wrapping is not None:
                partition = replace(partition, last_alive_us=now_us)
            elif not self._can_resume(document, partition):
                partition = replace(partition, activation=None)
            self._save(replace(document, latest_us=max(document.latest_us, now_us), partition=partition))

    # --------------------------------------------------------------------------------------------------------- keys

    def wrap_key(self, key: Secret, context: bytes) -> bytes:
        """Wrap a key under the partition's master key; see `RootOfTrust.wrap_key`."""
        with self._lock:
            return seal(self._wrapping_key(), key, context)

    def unwrap_key(self, wrapped: bytes, context: bytes) -> Secret:
        """Unwrap what `wrap_key` made; see `RootOfTrust.unwrap_key`."""
        with self._lock:
            return unseal(self._wrapping_key(), wrapped, context)

    def _wrapping_key(self) -> bytes:
        if self._wrapping is None:
            raise Unavailable("the security module is locked; its crypto user must log in", "unavailable.locked")
        return self._wrapping.reveal()

    def _unlock(self, partition: Partition, master: Secret) -> None:
        """Note the activation durably if a window is set, then hold what wraps keys; the master key itself goes."""
        now_us = self._now_us()
        document = self._initialised()
        activation = None
        if self._settings.activation_window_s:
            activation = seal(self._node_key("module/activation"), master, partition.id)
        partition = replace(partition, activation=activation, is_deactivated=False, last_alive_us=now_us)
        self._save(replace(document, latest_us=max(document.latest_us, now_us), partition=partition))
        self._lock_partition()
        wrapping = derive(master.reveal(), "module/wrap", partition.id)
        self._wrapping = LockedSecret(Secret(wrapping))
        self._tell_watchers()

    def _lock_partition(self) -> None:
        if self._wrapping is not None:
            self._wrapping.wipe()
            self._wrapping = None
            self._tell_watchers()

    def _reactivate(self) -> bool:
        """Use the remembered activation if it still holds; else forget it for good."""
        document, partition = self._initialised(), self._partition()
        if partition.activation is None or not self._can_resume(document, partition):
            self._save_partition(replace(partition, activation=None))
            return False
        self._unlock(partition, unseal(self._node_key("module/activation"), partition.activation, partition.id))
        return True

    def _can_resume(self, document: ModuleDocument, partition: Partition) -> bool:
        """Exactly the window's end is too late; so is a clock that was set back (KS-HSM-017)."""
        now_us = self._now_us()
        is_within = now_us - partition.last_alive_us < self._settings.activation_window_s * _US_PER_S
        return partition.activation is not None and now_us >= document.latest_us and is_within

    def _tell_watchers(self) -> None:
        for changed in self._watchers:
            changed()

    # ------------------------------------------------------------------------------------------------------ judging

    def _judged(self, role: Role, judge: Callable[[], _T]) -> _T:
        """Count a failure durably, judge, and take the failure back if there was none."""
        if not self._attempts_left(role):
            raise WrongState(_BLOCKED[role], "wrong_state.module")
        self._save_failures(role, self._initialised().failures.get(role.value, 0) + 1)
        try:
            result = judge()
        except Tampered:
            left = self._attempts_left(role)
            raise Refused(
                f"wrong token or PIN; {left} attempts of the {role.value} left", "refused.wrong_secret"
            ) from None
        self._save_failures(role, 0)
        return result

    def _save_failures(self, role: Role, count: int) -> None:
        document = self._initialised()
        self._save(replace(document, failures={**document.failures, role.value: count}))

    def _verify(self, role: Role, secret: Secret) -> None:
        document = self._initialised()
        if not partitions.is_secret_of(document.verifiers[role.value], role, document.module_id, secret):
            raise Tampered("the secret does not match")

    def _limit(self, role: Role) -> int:
        settings = self._settings
        return settings.crypto_user_attempts if role is Role.CRYPTO_USER else settings.security_officer_attempts

    def _attempts_left(self, role: Role) -> int:
        failures = self._document.failures.get(role.value, 0) if self._document else 0
        return max(0, self._limit(role) - failures)

    # ---------------------------------------------------------------------------------------------------- the state

    def _initialised(self) -> ModuleDocument:
        if self._document is None:
            raise WrongState("the module is not initialised; initialise it first", "wrong_state.module")
        return self._document

    def _partition(self) -> Partition:
        partition = self._initialised().partition
        if partition is None:
            raise WrongState("the module has no partition; create it first", "wrong_state.module")
        return partition

    def _save_partition(self, partition: Partition) -> None:
        self._save(replace(self._initialised(), partition=partition))

    def _save(self, document: ModuleDocument) -> None:
        self._state.save(document.to_bytes(self._node_key("module/state")))
        self._document = document

    def _node_key(self, purpose: str) -> bytes:
        return derive(self._node_secret.reveal(), purpose)

    def _sealed_password(self, partition_id: bytes, password: Secret) -> bytes:
        return seal(self._node_key("module/password"), password, partition_id)

    def _password(self) -> Secret:
        partition = self._partition()
        if partition.password is None:
            raise WrongState("enter the crypto user's password first", "wrong_state.module")
        return unseal(self._node_key("module/password"), partition.password, partition.id)
