"""What every security module does the same way, whatever keeps its master key: roles, counters, activation, cache.

Laws: a failure is counted durably before a secret is judged; whatever locks the partition drops its key first and
writes afterwards; nothing of the state opens without the node key. One lock serialises everything.

An `Engine` keeps the master key and judges secrets. What activates it once a secret was found right is called the
opening here: the master key itself in the software module, the user's PIN of a PKCS#11 token.

Source: requirements KS-HSM-001 to 018, 050 to 054; AMB-29; docs/adr/0020 to 0022, 0026.
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from keystead.core.errors import DeviceFault, Invalid, Refused, Tampered, Unavailable, WrongState
from keystead.core.secret import Secret
from keystead.trust import partitions
from keystead.trust.module_state import ModuleDocument, ModuleState, Partition
from keystead.trust.root import ACTIVATION_WINDOW_S_MAX, ModuleStatus, PartitionRequest, Role
from keystead.trust.sealing import derive, seal, unseal

ATTEMPTS_MAX = 100
_US_PER_S = 1_000_000
_T = TypeVar("_T")
_BLOCKED = {
    Role.CRYPTO_USER: "the crypto user is blocked after too many failed logins; the security officer can unblock it",
    Role.SECURITY_OFFICER: "the security officer is blocked after too many failed logins; reset the module and set its "
    "partition up again with the domain's token",
}
_BLOCKED_BY_ITSELF = (
    "the role is blocked by the token itself, which counts for itself; reset the token and set its partition up again "
    "from its export"
)


@dataclass(frozen=True, slots=True)
class ModuleSettings:
    """Limits of the module.

    Attributes:
        crypto_user_attempts: Failed logins in a row until the role is blocked, 1 to 100 (KS-HSM-011).
        security_officer_attempts: The same for the security officer.
        activation_window_s: How long an outage or deactivation may last without a new login, 0 to 7200; 0 = never.
            Anything but 0 keeps the opening on disk, sealed under the node key alone.
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


STANDARD_SETTINGS = ModuleSettings()


@dataclass(frozen=True, slots=True)
class NewPartition:
    """What an engine made of a `PartitionRequest`.

    Attributes:
        id: 16 bytes.
        for_crypto_user: What the crypto user's secret and password open it with.
        for_domain: What is exported.
        opening: What activates it.
    """

    id: bytes
    for_crypto_user: bytes = field(repr=False)
    for_domain: bytes = field(repr=False)
    opening: Secret


class Engine(Protocol):
    """Keeps the master key and judges secrets. Called under the module's lock; every method may raise DeviceFault."""

    kind: str

    def set_up(self, module_id: bytes, security_officer: Secret, domain: Secret) -> dict[str, bytes]:
        """Define the roles' secrets; return what is kept to recognise those that the engine does not judge itself."""

    def check_officer(self, document: ModuleDocument, secret: Secret) -> None:
        """Judge the security officer's secret; raises Tampered when it is wrong."""

    def change_officer(self, document: ModuleDocument, old: Secret, new: Secret) -> dict[str, bytes]:
        """Judge `old` as `check_officer` does, give the role another secret and return what is kept from now on."""

    def make(self, request: PartitionRequest, password: Secret) -> NewPartition:
        """Make the partition, or set up the existing one; both secrets it needs were judged."""

    def judge(self, partition: Partition, secret: Secret, password: Secret) -> Secret:
        """Judge the crypto user's secret and password; return the opening. Raises Tampered when one is wrong."""

    def change_user(self, partition: Partition, old: Secret, new: Secret, password: Secret) -> tuple[bytes, Secret]:
        """Judge `old` as `judge` does, give the role another secret; return `for_crypto_user` and the opening."""

    def attempts_left(self, role: Role) -> int | None:
        """Tell what is known of the engine's own counter of failures; None = it has none, or nothing is known."""

    @property
    def is_active(self) -> bool:
        """Whether the partition can be used. Never waits."""

    def activate(self, partition: Partition, opening: Secret) -> None:
        """Let the partition be used; raises Tampered when the opening is no longer right."""

    def lock(self) -> None:
        """Drop whatever lets the partition be used. Never fails."""

    def wrap(self, key: Secret, context: bytes) -> bytes:
        """Wrap under the active partition's master key."""

    def unwrap(self, wrapped: bytes, context: bytes) -> Secret:
        """Unwrap what `wrap` made; raises Tampered."""


def wall_clock_us() -> int:
    """Return the time of day, UTC microseconds."""
    return time.time_ns() // 1_000


class Module:
    """Fulfils `SecurityModule` over an engine.

    Args:
        engine: What keeps the master key.
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
        engine: Engine,
        state: ModuleState,
        node_secret: Secret,
        settings: ModuleSettings = STANDARD_SETTINGS,
        now_us: Callable[[], int] = wall_clock_us,
    ) -> None:
        self._engine = engine
        self._state = state
        self._node_secret = node_secret
        self._settings = settings
        self._now_us = now_us
        self._lock = threading.RLock()
        self._watchers: list[Callable[[], None]] = []
        self._security_officer_logged_in = False
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
                kind=self._engine.kind,
                initialised=partition is not None,
                activated=self._engine.is_active,
                crypto_user_logged_in=self._engine.is_active or remembered,
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
            module_id = secrets.token_bytes(partitions.ID_BYTES)
            for secret in (security_officer, domain):
                partitions.check_role_secret(secret)
            verifiers = self._engine.set_up(module_id, security_officer, domain)
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
                self._engine.check_officer(document, request.security_officer)
                partitions.check_secret_of(document, Role.DOMAIN, request.domain)

            self._judged(Role.SECURITY_OFFICER, judge)
            password = partitions.new_password()
            made = self._engine.make(request, password)
            sealed = self._sealed_password(made.id, password)
            self._unlock(Partition(made.id, made.for_crypto_user, made.for_domain, sealed), made.opening)
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
                partitions.check_role_secret(new)
                verifiers = self._judged(role, lambda: self._engine.change_officer(document, old, new))
                self._save(replace(self._initialised(), verifiers=verifiers))
            elif role is Role.CRYPTO_USER:
                partitions.check_role_secret(new)
                partition, password = self._partition(), self._password()
                wrapped, opening = self._judged(role, lambda: self._engine.change_user(partition, old, new, password))
                activation = self._sealed_opening(partition, opening) if partition.activation is not None else None
                self._save_partition(replace(partition, for_crypto_user=wrapped, activation=activation))
            else:
                raise Invalid("the domain's secret cannot be changed; initialise a module of the new domain")

    def set_password(self) -> Secret:
        """Generate another password for the crypto user; see `SecurityModule.set_password`."""
        with self._lock:
            self._check_active()
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
            if self._engine.attempts_left(Role.CRYPTO_USER) == 0:
                raise WrongState(_BLOCKED_BY_ITSELF, "wrong_state.module")
            self._save_failures(Role.CRYPTO_USER, 0)

    # -------------------------------------------------------------------------------------------- logins, activation

    def login(self, role: Role, secret: Secret) -> None:
        """Log a role in; see `RootOfTrust.login`."""
        with self._lock:
            if role is Role.SECURITY_OFFICER:
                document = self._initialised()
                self._judged(role, lambda: self._engine.check_officer(document, secret))
                self._security_officer_logged_in = True
            elif role is Role.CRYPTO_USER:
                partition, password = self._partition(), self._password()
                opening = self._judged(role, lambda: self._engine.judge(partition, secret, password))
                self._unlock(partition, opening)
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
            if self._engine.is_active:
                return False
            if partition.activation is None or not self._reactivate():
                raise WrongState("the activation window is over: log the crypto user in", "wrong_state.module")
            return True

    def deactivate(self) -> bool:
        """Stop using the partition; False = was not active."""
        with self._lock:
            if not self._engine.is_active:
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
            if self._engine.is_active:
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
            if self._engine.is_active:
                partition = replace(partition, last_alive_us=now_us)
            elif not self._can_resume(document, partition):
                partition = replace(partition, activation=None)
            self._save(replace(document, latest_us=max(document.latest_us, now_us), partition=partition))

    # --------------------------------------------------------------------------------------------------------- keys

    def wrap_key(self, key: Secret, context: bytes) -> bytes:
        """Wrap a key under the partition's master key; see `RootOfTrust.wrap_key`."""
        with self._lock:
            return self._used(lambda: self._engine.wrap(key, context))

    def unwrap_key(self, wrapped: bytes, context: bytes) -> Secret:
        """Unwrap what `wrap_key` made; see `RootOfTrust.unwrap_key`."""
        with self._lock:
            return self._used(lambda: self._engine.unwrap(wrapped, context))

    def _used(self, use: Callable[[], _T]) -> _T:
        """Use the partition; watchers hear of it when the engine had to lock it."""
        self._check_active()
        try:
            return use()
        finally:
            if not self._engine.is_active:
                self._tell_watchers()

    def _check_active(self) -> None:
        if not self._engine.is_active:
            raise Unavailable("the security module is locked; its crypto user must log in", "unavailable.locked")

    def _unlock(self, partition: Partition, opening: Secret) -> None:
        """Note the activation durably if a window is set, then let the engine hold what it needs."""
        now_us = self._now_us()
        document = self._initialised()
        activation = self._sealed_opening(partition, opening) if self._settings.activation_window_s else None
        partition = replace(partition, activation=activation, is_deactivated=False, last_alive_us=now_us)
        self._save(replace(document, latest_us=max(document.latest_us, now_us), partition=partition))
        self._lock_partition()
        self._engine.activate(partition, opening)
        self._tell_watchers()

    def _lock_partition(self) -> None:
        if self._engine.is_active:
            self._engine.lock()
            self._tell_watchers()

    def _reactivate(self) -> bool:
        """Use the remembered activation if it still holds; else forget it for good."""
        document, partition = self._initialised(), self._partition()
        if partition.activation is None or not self._can_resume(document, partition):
            self._save_partition(replace(partition, activation=None))
            return False
        opening = unseal(self._node_key("module/activation"), partition.activation, partition.id)
        try:
            self._unlock(partition, opening)
        except Tampered:
            self._save_partition(replace(partition, activation=None))
            return False
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
        if self._engine.attempts_left(role) == 0:
            raise WrongState(_BLOCKED_BY_ITSELF, "wrong_state.module")
        if not self._attempts_left(role):
            raise WrongState(_BLOCKED[role], "wrong_state.module")
        self._save_failures(role, self._initialised().failures.get(role.value, 0) + 1)
        try:
            result = judge()
        except (DeviceFault, Unavailable):  # nobody judged, hence nobody learned anything
            self._save_failures(role, self._initialised().failures[role.value] - 1)
            raise
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

    def _limit(self, role: Role) -> int:
        settings = self._settings
        return settings.crypto_user_attempts if role is Role.CRYPTO_USER else settings.security_officer_attempts

    def _attempts_left(self, role: Role) -> int:
        failures = self._document.failures.get(role.value, 0) if self._document else 0
        left = max(0, self._limit(role) - failures)
        known = self._engine.attempts_left(role)
        return left if known is None else min(left, known)

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

    def _sealed_opening(self, partition: Partition, opening: Secret) -> bytes:
        return seal(self._node_key("module/activation"), opening, partition.id)

    def _sealed_password(self, partition_id: bytes, password: Secret) -> bytes:
        return seal(self._node_key("module/password"), password, partition_id)

    def _password(self) -> Secret:
        partition = self._partition()
        if partition.password is None:
            raise WrongState("enter the crypto user's password first", "wrong_state.module")
        return unseal(self._node_key("module/password"), partition.password, partition.id)
