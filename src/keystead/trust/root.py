"""Root of trust: the contract that the built-in software module and any PKCS#11 module fulfil.

Law: master keys never leave a module in clear; what leaves is a key wrapped by one. Only the module can judge a role
secret (KS-HSM-011), and its failure counter is durable before the check.

Source: requirements KS-HSM-001 to 026, 050 to 054; design.md section 5; KMIP has no word on it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from keystead.core.secret import Secret

ROLE_SECRET_BYTES = 32
ACTIVATION_WINDOW_S_MAX = 7_200  # KS-HSM-017: exactly two hours is too long


class Role(StrEnum):
    """Roles of a security module (KS-HSM-002)."""

    SECURITY_OFFICER = "security-officer"
    DOMAIN = "domain"
    CRYPTO_USER = "crypto-user"


@dataclass(frozen=True, slots=True)
class ModuleStatus:
    """What may be shown of a module (KS-HSM-019, 020).

    Attributes:
        kind: "software" or "pkcs11"; the software one says so everywhere.
        initialised: Roles and partition exist.
        activated: The partition can be used: crypto user logged in and not deactivated.
        crypto_user_logged_in: As it says.
        security_officer_logged_in: As it says.
        key_cache: Secure key cache enabled (KS-HSM-050).
        attempts_left: Role -> failed logins left before the role is blocked.
    """

    kind: str
    initialised: bool
    activated: bool
    crypto_user_logged_in: bool
    security_officer_logged_in: bool
    key_cache: bool
    attempts_left: dict[Role, int]


class RootOfTrust(Protocol):
    """What the node asks of a security module. Thread-safe; every method may raise DeviceFault."""

    def status(self) -> ModuleStatus:
        """Tell the state without needing a login."""

    def login(self, role: Role, secret: Secret) -> None:
        """Log a role in.

        Args:
            role: SECURITY_OFFICER or CRYPTO_USER (the domain never logs in).
            secret: 32 bytes unmasked from role tokens with their PINs.

        Raises:
            Refused: wrong secret (reason refused.wrong_secret); counted before it is judged.
            WrongState: not initialised, or the role is blocked.
        """

    def logout(self, role: Role) -> None:
        """Log a role out; the crypto user's logout locks the node. Idempotent."""

    def activate(self) -> bool:
        """Use the partition again after `deactivate`, within the activation window; False = was active already.

        Raises:
            WrongState: the window is over: the crypto user must log in.
        """

    def deactivate(self) -> bool:
        """Stop using the partition; False = was not active."""

    def resume(self) -> bool:
        """Restore an activation that a short outage interrupted (KS-HSM-017, AMB-29); the node calls it at start.

        Returns: True = active now. Not after `deactivate` or `logout`, nor after the activation window.
        """

    def keep_alive(self) -> None:
        """Note durably that time has passed; the node calls it about once a minute. An outage counts from the last."""

    def set_key_cache(self, *, enabled: bool) -> bool:
        """Switch the secure key cache; False = was in this state already (KS-HSM-053)."""

    def watch(self, changed: Callable[[], None]) -> None:
        """Have `changed` called whenever the partition locks or unlocks or the secure key cache is switched.

        It is called before the call that causes it returns, possibly on another thread, and must not raise: whoever
        holds unwrapped keys drops them there.
        """

    def wrap_key(self, key: Secret, context: bytes) -> bytes:
        """Wrap a key-encryption key under the partition's master key, bound to `context`.

        Raises:
            Unavailable: locked (reason unavailable.locked).
        """

    def unwrap_key(self, wrapped: bytes, context: bytes) -> Secret:
        """Unwrap what `wrap_key` made.

        Raises:
            Unavailable: locked. Tampered: not made by this partition, or for another context.
        """


class SecurityModule(RootOfTrust, Protocol):
    """What `keystead hsm` needs beyond serving: roles and the partition are set up and looked after."""

    def initialise(self, security_officer: Secret, domain: Secret) -> None:
        """Define the security officer's and the domain's secret (KS-HSM-002, 004, 006).

        Args:
            security_officer: 32 bytes from role tokens.
            domain: 32 bytes; the same as other modules' to be in their domain.

        Raises:
            WrongState: initialised already.
        """

    def create_partition(self, request: "PartitionRequest") -> Secret:
        """Make the partition and log its crypto user in (KS-HSM-002, 006), or set up an existing one (KS-HSM-013).

        Returns: the crypto user's generated password (KS-HSM-007), shown once.

        Raises:
            Refused: wrong security officer's or domain's secret; counted as the security officer's failure.
            WrongState: not initialised, a partition exists, or the security officer is blocked.
            Tampered: `existing` is not a partition of this domain.
        """

    def export_partition(self) -> bytes:
        """Return the partition's master key wrapped under the domain secret, to set it up in another module.

        Raises:
            WrongState: there is no partition.
        """

    def change_secret(self, role: Role, old: Secret, new: Secret) -> None:
        """Give the security officer or the crypto user another secret; older tokens of the role become useless.

        Raises:
            Refused: `old` is wrong (counted). Invalid: the domain's secret cannot be changed.
            WrongState: not initialised, or the role is blocked.
        """

    def set_password(self) -> Secret:
        """Generate another password for the crypto user, who must be logged in (KS-HSM-007). Shown once.

        Raises:
            Unavailable: locked.
        """

    def enter_password(self, password: Secret) -> None:
        """Take the crypto user's password over to this machine; it is judged by the next login (KS-HSM-007).

        Raises:
            WrongState: there is no partition. Invalid: not of its form.
        """

    def unblock(self) -> None:
        """Give the crypto user all login attempts back; the security officer must be logged in.

        Raises:
            Refused: the security officer is not logged in. WrongState: a token blocked the role by its own counter.
        """


@dataclass(frozen=True, slots=True)
class PartitionRequest:
    """What makes a partition: the three secrets, 32 bytes each, and perhaps an exported partition to set up again."""

    security_officer: Secret
    domain: Secret
    crypto_user: Secret
    existing: bytes | None = None
