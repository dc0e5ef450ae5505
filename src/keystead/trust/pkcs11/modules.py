"""The security module over a PKCS#11 token, which keeps the master key and judges security officer and crypto user.

Laws: the role's secrets become PINs that no person ever sees. Everything that judges a PIN runs in a process of its
own, because a process that is logged in is told "already" for any PIN. The process that serves is started anew when it
was lost; a token that no longer takes the PIN locks the partition.

PKCS#11 knows no domain. The domain's secret is judged by keystead, and the partition's keys are wrapped under a key
from it inside the token, when they are made; later nobody can take them out.

Source: requirements KS-HSM-001 to 018, 023; docs/adr/0026 to 0028.
"""

import base64
import hmac
import secrets
import struct
import time
from collections.abc import Callable
from typing import Any

from keystead.core.errors import DeviceFault, Invalid, KeysteadError, Tampered, Unavailable, WrongState
from keystead.core.secret import Secret
from keystead.trust import partitions
from keystead.trust.locked_memory import LockedSecret
from keystead.trust.module_state import ModuleDocument, ModuleState, Partition
from keystead.trust.modules import STANDARD_SETTINGS, Module, ModuleSettings, NewPartition, wall_clock_us
from keystead.trust.pkcs11.names_table import User
from keystead.trust.pkcs11.processes import ERRAND_S_MAX, TokenPlace, TokenProcess
from keystead.trust.root import PartitionRequest, Role
from keystead.trust.sealing import KEY_BYTES, derive, frame

NOTICE = "PKCS#11 security module: its master key stays in the token; how well it is kept there is the token's matter."
RETRY_AFTER_S = 1.0
_FORMAT = b"\x02"
_TAG_BYTES = 32
PIN_ENTROPY_BYTES = 33  # 44 characters of base64; a token that takes fewer gets the first ones
_USERS = {Role.SECURITY_OFFICER: "officer", Role.CRYPTO_USER: "user"}


class Pkcs11Engine:
    """Keeps a token's process while the partition is active, and the user's PIN, masked, to log in anew.

    Args:
        place: The token.
        maker_pin: The PIN that a blank token's maker gave its security officer; asked for by some tokens only.
    """

    kind = "pkcs11"

    def __init__(self, place: TokenPlace, maker_pin: Secret | None = None) -> None:
        self._place = place
        self._maker_pin = maker_pin
        self._serving: TokenProcess | None = None
        self._partition_id = b""
        self._opening: LockedSecret | None = None
        self._left: dict[str, int | None] = {}
        self._not_before_s = 0.0

    # -------------------------------------------------------------------------------------------- roles and partition

    def set_up(self, module_id: bytes, security_officer: Secret, domain: Secret) -> dict[str, bytes]:
        """Initialise the token; keep a verifier of the domain alone. See `Engine.set_up`."""
        maker_pin = None if self._maker_pin is None else _text(self._maker_pin)
        pin = _text(_officer_pin(security_officer))
        self._errand("initialise", officer_pin=pin, maker_pin=maker_pin, slot=self._place.slot)
        return {Role.DOMAIN.value: partitions.verifier(Role.DOMAIN, module_id, domain)}

    def check_officer(self, document: ModuleDocument, secret: Secret) -> None:  # noqa: ARG002  # the token knows
        """Let the token judge; see `Engine.check_officer`."""
        self._errand("judge", user=int(User.OFFICER), pin=_text(_officer_pin(secret)))

    def change_officer(self, document: ModuleDocument, old: Secret, new: Secret) -> dict[str, bytes]:
        """Change the PIN of the token's security officer; see `Engine.change_officer`."""
        self._change_pin(User.OFFICER, _officer_pin(old), _officer_pin(new))
        return document.verifiers

    def make(self, request: PartitionRequest, password: Secret) -> NewPartition:
        """Have both keys made in the token, or unwrapped there; see `Engine.make`."""
        if request.existing is None:
            partition_id, existing = secrets.token_bytes(partitions.ID_BYTES), None
        else:
            partition_id, sealed = partitions.exported(request.existing)
            existing = _opened_export(partition_id, sealed, request.domain)
        seed = Secret(secrets.token_bytes(KEY_BYTES))
        opening = _user_pin(request.crypto_user, seed)
        wrapped = self._errand(
            "make_partition",
            officer_pin=_text(_officer_pin(request.security_officer)),
            user_pin=_text(opening),
            partition_id=partition_id,
            domain_key=derive(request.domain.reveal(), "module/token-domain", partition_id),
            existing=existing,
        )
        for_crypto_user = partitions.wrap_for_password(partition_id, seed, password)
        return NewPartition(partition_id, for_crypto_user, _export(partition_id, wrapped, request.domain), opening)

    def judge(self, partition: Partition, secret: Secret, password: Secret) -> Secret:
        """Let the token judge the PIN that secret and password make; see `Engine.judge`."""
        opening = _user_pin(secret, partitions.open_for_password(partition, password))
        self._errand("judge", user=int(User.USER), pin=_text(opening))
        return opening

    def change_user(self, partition: Partition, old: Secret, new: Secret, password: Secret) -> tuple[bytes, Secret]:
        """Change the user's PIN; see `Engine.change_user`."""
        seed = partitions.open_for_password(partition, password)
        opening = _user_pin(new, seed)
        self._change_pin(User.USER, _user_pin(old, seed), opening)
        if self._opening is not None:
            self._opening.wipe()
            self._opening = LockedSecret(opening)
        return partition.for_crypto_user, opening

    def attempts_left(self, role: Role) -> int | None:
        """Tell what the token's flags said last; see `Engine.attempts_left`."""
        return self._left.get(_USERS.get(role, ""))

    def _change_pin(self, user: User, old: Secret, new: Secret) -> None:
        self._errand("change_pin", user=int(user), old=_text(old), new=_text(new))

    def _errand(self, operation: str, **fields: Any) -> Any:
        """Ask a process of its own."""
        process = TokenProcess(self._place)
        try:
            limit_s = self._place.call_s if operation == "judge" else ERRAND_S_MAX
            return process.ask(operation, limit_s, **fields)
        finally:
            self._left |= process.left
            process.close()

    # ------------------------------------------------------------------------------------------------------ using it

    @property
    def is_active(self) -> bool:
        """Whether the user's PIN is held; the token itself is not asked."""
        return self._opening is not None

    @property
    def pid(self) -> int | None:
        """Of the process that serves."""
        return None if self._serving is None else self._serving.pid

    def activate(self, partition: Partition, opening: Secret) -> None:
        """Log the user in; see `Engine.activate`."""
        self.lock()
        serving = self._begun(opening, partition.id)
        self._serving, self._partition_id, self._opening = serving, partition.id, LockedSecret(opening)
        self._not_before_s = 0.0

    def lock(self) -> None:
        """Wipe the PIN and end the process."""
        if self._opening is not None:
            self._opening.wipe()
            self._opening = None
        self._drop()

    def wrap(self, key: Secret, context: bytes) -> bytes:
        """Wrap in the token; see `Engine.wrap`."""
        wrapped: bytes = self._use("wrap", key=key.reveal(), associated=self._associated(context))
        return _FORMAT + wrapped

    def unwrap(self, wrapped: bytes, context: bytes) -> Secret:
        """Unwrap in the token; see `Engine.unwrap`."""
        if not wrapped.startswith(_FORMAT):
            raise Tampered("a wrapped key has an unknown form; restore it from a backup")
        return Secret(self._use("unwrap", wrapped=wrapped[1:], associated=self._associated(context)))

    def _associated(self, context: bytes) -> bytes:
        return _FORMAT + frame(b"keystead/1", b"module/token-wrap", self._partition_id, context)

    def _use(self, operation: str, **fields: bytes) -> Any:
        """Ask the process that serves. One that was lost is replaced once; after that, or a hang, there is a pause."""
        if time.monotonic() < self._not_before_s:
            raise DeviceFault("the token does not answer; it is tried again in a moment")
        began_s = time.monotonic()
        try:
            return self._logged_in().ask(operation, self._place.call_s, **fields)
        except DeviceFault:
            self._drop()
            if time.monotonic() - began_s >= self._place.call_s:  # it hung: a second wait would help nobody
                self._pause(self._place.call_s)
                raise
        try:
            return self._logged_in().ask(operation, self._place.call_s, **fields)
        except DeviceFault:
            self._drop()
            self._pause(RETRY_AFTER_S)
            raise

    def _logged_in(self) -> TokenProcess:
        if self._serving is None:
            if self._opening is None:
                raise Unavailable("the security module is locked; its crypto user must log in", "unavailable.locked")
            try:
                self._serving = self._begun(Secret(self._opening.reveal()), self._partition_id)
            except (Tampered, WrongState):  # another try with this PIN would only cost the token's attempts
                self.lock()
                raise Unavailable(
                    "the token no longer takes the crypto user's PIN; the crypto user must log in", "unavailable.locked"
                ) from None
        return self._serving

    def _begun(self, opening: Secret, partition_id: bytes) -> TokenProcess:
        process = TokenProcess(self._place)
        try:
            process.ask("open", self._place.call_s, user_pin=_text(opening), partition_id=partition_id)
        except KeysteadError:
            process.close()
            raise
        return process

    def _drop(self) -> None:
        if self._serving is not None:
            self._serving.close()
            self._serving = None

    def _pause(self, length_s: float) -> None:
        self._not_before_s = time.monotonic() + length_s


class Pkcs11Module(Module):
    """The module over a `Pkcs11Engine`; see `Module` for the other arguments."""

    def __init__(
        self,
        engine: Pkcs11Engine,
        state: ModuleState,
        node_secret: Secret,
        settings: ModuleSettings = STANDARD_SETTINGS,
        now_us: Callable[[], int] = wall_clock_us,
    ) -> None:
        super().__init__(engine, state, node_secret, settings, now_us)


def _officer_pin(secret: Secret) -> Secret:
    """From the secret alone: whoever holds the security officer's token can initialise the PKCS#11 token again."""
    partitions.check_role_secret(secret)
    return _pin(derive(secret.reveal(), "module/token-officer-pin", length_bytes=PIN_ENTROPY_BYTES))


def _user_pin(secret: Secret, seed: Secret) -> Secret:
    """From the secret and a seed that opens with the generated password: neither alone gives it (KS-HSM-007)."""
    partitions.check_role_secret(secret)
    return _pin(derive(secret.reveal(), "module/token-user-pin", seed.reveal(), length_bytes=PIN_ENTROPY_BYTES))


def _pin(random: bytes) -> Secret:
    return Secret(base64.urlsafe_b64encode(random))


def _text(pin: Secret) -> str:
    return pin.reveal().decode()


def _export(partition_id: bytes, wrapped: list[Any], domain: Secret) -> bytes:
    """Return what is exported: 02, mechanism (4 bytes), both keys, framed, and a MAC under a key of the domain."""
    mechanism, cipher, mac = wrapped
    body = _FORMAT + struct.pack(">I", mechanism) + frame(cipher, mac)
    return body + _export_tag(partition_id, body, domain)


def _opened_export(partition_id: bytes, sealed: bytes, domain: Secret) -> list[Any]:
    """Return mechanism and both wrapped keys.

    Raises:
        Invalid: not of this kind. Tampered: of another domain, or changed.
    """
    if not sealed.startswith(_FORMAT):
        raise Invalid("this partition was exported by another kind of module; its keys never go into a token")
    body, tag = sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:]
    if not hmac.compare_digest(_export_tag(partition_id, body, domain), tag):
        raise Tampered("the partition belongs to another domain, or its export was changed")
    (mechanism,) = struct.unpack_from(">I", body, 1)
    (cipher_bytes,) = struct.unpack_from(">I", body, 5)
    return [mechanism, body[9 : 9 + cipher_bytes], body[13 + cipher_bytes :]]


def _export_tag(partition_id: bytes, body: bytes, domain: Secret) -> bytes:
    partitions.check_role_secret(domain)
    key = derive(domain.reveal(), "module/token-domain-mac", partition_id)
    return hmac.digest(key, body, "sha256")
