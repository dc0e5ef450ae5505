"""Unlocking without a person: the crypto user's token and PIN from the service manager's credential store.

The folder is named on the command line (`serve --credentials DIR`, systemd: `%d`); it lies outside the data folder
and holds `crypto-user.token` and `crypto-user.pin`. A `dev` node keeps both in its own folder and says INSECURE.

Source: design.md section 5; requirements KS-HSM-010, 017.
"""

import logging
from pathlib import Path

from keystead.core.errors import KeysteadError, Unavailable
from keystead.trust.role_tokens import RoleToken, pin, unlock
from keystead.trust.root import Role, RootOfTrust

TOKEN_FILE = "crypto-user.token"  # noqa: S105  # a file's name
PIN_FILE = "crypto-user.pin"

log = logging.getLogger("keystead.keys")


def unlock_unattended(folder: Path | None, module: RootOfTrust) -> None:
    """Restore the activation that a short outage interrupted, else log in from the folder if there is one."""
    try:
        if module.resume():
            log.info("the activation has outlasted the outage; the node is unlocked")
            return
    except KeysteadError as error:
        log.error("the activation cannot be restored: %s", error.message)
    if folder is not None:
        unlock_from(folder, module)


def unlock_from(folder: Path, module: RootOfTrust) -> None:
    """Log the crypto user in; a failure is logged and leaves the node locked, never stops it."""
    try:
        try:
            token = RoleToken.from_bytes((folder / TOKEN_FILE).read_bytes())
            words = (folder / PIN_FILE).read_text().strip()
        except OSError as error:
            raise Unavailable(f"{error.filename}: {error.strerror}", "unavailable.locked") from None
        module.login(Role.CRYPTO_USER, unlock(Role.CRYPTO_USER, [(token, pin(words))]))
    except KeysteadError as error:
        log.error("the node stays locked: %s", error.message)
