"""Root of trust: the contract that the built-in software module and any PKCS#11 module fulfil.

Law: master keys never leave a module in clear; what leaves is a key wrapped by one. Only the module can judge a role
secret (KS-HSM-011), and its failure counter is durable before the check.

Source: requirements KS-HSM-001 to 026, 050 to 054; design.md section 5; KMIP has no word on it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from keystead.core.secret import Secret


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

    def set_key_cache(self, *, enabled: bool) -> bool:
        """Switch the secure key cache; False = was in this state already (KS-HSM-053)."""

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
