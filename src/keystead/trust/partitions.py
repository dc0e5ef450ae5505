"""The partition's master key: wrapped for its crypto user, for its domain, and taken to another module.

Law: pure cryptography on arguments; who may ask, and how often, is the module's matter.

Source: requirements KS-HSM-002, 004, 006, 007, 013; docs/adr/0020.
"""

import hmac
import re
import secrets
import string
from typing import Any

import cbor2

from keystead.core.errors import Invalid, Tampered
from keystead.core.secret import Secret
from keystead.trust.module_state import ModuleDocument, Partition
from keystead.trust.root import ROLE_SECRET_BYTES, Role
from keystead.trust.sealing import derive, derive_from_text, is_sealed, seal, unseal

ID_BYTES = 16
PASSWORD_CHARACTERS = 16  # without the hyphens
PASSWORD_GROUP_CHARACTERS = 4
EXPORT_BYTES_MAX = 1024
_ALPHANUMERIC = string.ascii_letters + string.digits
_PASSWORD = re.compile(rb"[A-Za-z0-9]{4}(-[A-Za-z0-9]{4}){3}")
_EXPORT_KIND = "keystead partition"
_EXPORT_VERSION = 1


def check_role_secret(secret: Secret) -> None:
    """Check the length of a role's secret.

    Raises:
        Invalid: not 32 bytes.
    """
    if len(secret) != ROLE_SECRET_BYTES:
        raise Invalid(f"a role secret has {ROLE_SECRET_BYTES} bytes; take it from role tokens")


def verifier(role: Role, module_id: bytes, secret: Secret) -> bytes:
    """Return what a module keeps to recognise a role's secret: 32 bytes that don't give it back."""
    check_role_secret(secret)
    return derive(secret.reveal(), "module/verify", role.value.encode(), module_id)


def check_secret_of(document: ModuleDocument, role: Role, secret: Secret) -> None:
    """Compare a role's secret with what the module keeps of it, in constant time.

    Raises:
        Tampered: another secret.
    """
    if not hmac.compare_digest(document.verifiers[role.value], verifier(role, document.module_id, secret)):
        raise Tampered("the secret does not match")


def new_password() -> Secret:
    """Generate a password as KS-HSM-007 shapes it: AbCd-e1F2-GH3i-Jk4L, 95 bits."""
    characters = "".join(secrets.choice(_ALPHANUMERIC) for _ in range(PASSWORD_CHARACTERS))
    size = PASSWORD_GROUP_CHARACTERS
    return Secret("-".join(characters[at : at + size] for at in range(0, PASSWORD_CHARACTERS, size)).encode())


def check_password(password: Secret) -> None:
    """Check a password's form.

    Raises:
        Invalid: not four groups of four letters or digits.
    """
    if not _PASSWORD.fullmatch(password.reveal()):
        raise Invalid("the password has four groups of four letters or digits, joined by hyphens")


def wrap_for_crypto_user(partition_id: bytes, master: Secret, secret: Secret, password: Secret) -> bytes:
    """Seal the master key under the crypto user's secret, and that under the password: neither alone opens it."""
    check_role_secret(secret)
    inner = seal(_crypto_user_key(partition_id, secret), master, partition_id)
    return wrap_for_password(partition_id, Secret(inner), password)


def open_for_crypto_user(partition: Partition, secret: Secret, password: Secret) -> Secret:
    """Give the master key.

    Raises:
        Tampered: wrong secret or password.
    """
    check_role_secret(secret)
    inner = open_for_password(partition, password)
    return unseal(_crypto_user_key(partition.id, secret), inner.reveal(), partition.id)


def wrap_for_password(partition_id: bytes, inner: Secret, password: Secret) -> bytes:
    """Seal what the crypto user's secret is judged with under the generated password (KS-HSM-007)."""
    return seal(_password_key(partition_id, password), inner, partition_id)


def open_for_password(partition: Partition, password: Secret) -> Secret:
    """Give what `wrap_for_password` sealed.

    Raises:
        Tampered: wrong password.
    """
    return unseal(_password_key(partition.id, password), partition.for_crypto_user, partition.id)


def change_password(partition: Partition, old: Secret, new: Secret) -> bytes:
    """Return `for_crypto_user` under another password.

    Raises:
        Tampered: `old` is not the password.
    """
    return wrap_for_password(partition.id, open_for_password(partition, old), new)


def wrap_for_domain(partition_id: bytes, master: Secret, domain: Secret) -> bytes:
    """Seal the master key under the domain's secret."""
    return seal(_domain_key(partition_id, domain), master, partition_id)


def export(partition: Partition) -> bytes:
    """Encode what another module of the domain needs to set the partition up again (KS-HSM-013)."""
    fields = {"kind": _EXPORT_KIND, "version": _EXPORT_VERSION, "id": partition.id, "sealed": partition.for_domain}
    return cbor2.dumps(fields, canonical=True)


def exported(data: bytes) -> tuple[bytes, bytes]:
    """Return partition id and `for_domain` of an exported partition.

    Raises:
        Invalid: it is none.
    """
    fields = _decoded(data)
    partition_id, sealed = fields.get("id"), fields.get("sealed")
    if not isinstance(partition_id, bytes) or not isinstance(sealed, bytes):
        raise Invalid("this is not an exported partition")
    return partition_id, sealed


def import_exported(data: bytes, domain: Secret) -> tuple[bytes, Secret]:
    """Return partition id and master key of a partition that a software module exported.

    Raises:
        Invalid: not an exported partition, or of another kind of module.
        Tampered: of another domain, or changed.
    """
    partition_id, sealed = exported(data)
    if not is_sealed(sealed):
        raise Invalid("this partition was exported by another kind of module, which does not give its keys away")
    try:
        return partition_id, unseal(_domain_key(partition_id, domain), sealed, partition_id)
    except Tampered:
        raise Tampered("the partition belongs to another domain, or its export was changed") from None


def _decoded(exported: bytes) -> dict[str, Any]:
    try:
        fields = cbor2.loads(exported) if len(exported) <= EXPORT_BYTES_MAX else None
    except (cbor2.CBORDecodeError, ValueError):
        fields = None
    if not isinstance(fields, dict) or (fields.get("kind"), fields.get("version")) != (_EXPORT_KIND, _EXPORT_VERSION):
        raise Invalid("this is not an exported partition, or one of a newer version")
    return fields


def _crypto_user_key(partition_id: bytes, secret: Secret) -> bytes:
    return derive(secret.reveal(), "module/crypto-user", partition_id)


def _password_key(partition_id: bytes, password: Secret) -> bytes:
    return derive_from_text(password.reveal(), partition_id, "module/crypto-user-password")


def _domain_key(partition_id: bytes, domain: Secret) -> bytes:
    check_role_secret(domain)
    return derive(domain.reveal(), "module/domain", partition_id)
