"""Where a secure module's memory lies: one sealed file, replaced as a whole, and a witness of how far it has come.

Laws: the device key and the witness lie outside the module's folder, so that a copied folder opens nothing; a state
older than the witness is refused (counters that were turned back, attacks.md class 49); a change is durable when
`save` returns, and a crash leaves the old state or the new one.

Source: docs/cloning.md section 2; docs/adr/0084.
"""

import hmac
from pathlib import Path

from keystead.core.errors import NotFound, Tampered
from keystead.core.secret import Secret
from keystead.core.translation import tr
from keystead.custody.modules.state import ModuleState
from keystead.trust.durable_files import write_private
from keystead.trust.node_key import NodeKey, check_outside
from keystead.trust.sealing import frame

_EPOCH_BYTES = 8
STATE_BYTES_MAX = 1_048_576


class ModuleStore:
    """The files of one secure module.

    Args:
        folder: The module's folder, mode 0700.
        device_key_file: Outside of it; the witness lies beside it.
        serial: Whose memory it is.

    Raises:
        Refused: the device key lies in the folder, or others may read it.
    """

    def __init__(self, folder: Path, device_key_file: Path, serial: str) -> None:
        check_outside(device_key_file, folder)
        self._key = NodeKey.read(device_key_file, folder)
        self._path = folder / "module.state"
        self._witness = device_key_file.with_name(device_key_file.name + ".witness")
        self._context = frame(b"module-token/state/1", serial.encode())

    def load(self) -> ModuleState:
        """Return the state; an empty one if there never was any.

        Raises:
            Tampered: changed, of another module, or older than the witness.
        """
        seen = self._seen()
        if not self._path.exists():
            if seen:
                raise Tampered(tr("the module's memory is missing; it cannot start without it"))
            return ModuleState()
        sealed = self._path.read_bytes()[:STATE_BYTES_MAX]
        state = ModuleState.decoded(self._key.unseal("module-token/state", self._context, sealed).reveal())
        if state.epoch < seen:
            raise Tampered(tr("the module's memory is older than what it has been; an old copy was put back"))
        if state.epoch > seen:
            self._note(state.epoch)  # the crash was between the two files
        return state

    def save(self, state: ModuleState) -> None:
        """Replace the state durably; its epoch rises."""
        state.epoch += 1
        sealed = self._key.seal("module-token/state", self._context, Secret(state.encoded()))
        write_private(self._path, sealed)
        self._note(state.epoch)

    def seal(self, purpose: str, secret: Secret) -> bytes:
        """Seal a secret of the device under its key."""
        return self._key.seal(purpose, self._context, secret)

    def unseal(self, purpose: str, sealed: bytes) -> Secret:
        """Open what `seal` made.

        Raises:
            Tampered: another module's, or changed.
        """
        return self._key.unseal(purpose, self._context, sealed)

    def _seen(self) -> int:
        try:
            data = self._witness.read_bytes()
        except FileNotFoundError:
            return 0
        epoch, mac = data[:_EPOCH_BYTES], data[_EPOCH_BYTES:]
        if not hmac.compare_digest(mac, self._mac(epoch)):
            raise Tampered(tr("the witness beside the device key was changed"))
        return int.from_bytes(epoch, "big")

    def _note(self, epoch: int) -> None:
        encoded = epoch.to_bytes(_EPOCH_BYTES, "big")
        write_private(self._witness, encoded + self._mac(encoded))

    def _mac(self, epoch: bytes) -> bytes:
        key = self._key.derive("module-token/witness").reveal()
        return hmac.digest(key, frame(self._context, epoch), "sha256")


def read_file(path: Path, what: str, length_bytes_max: int = STATE_BYTES_MAX) -> bytes:
    """Return a small file whole.

    Raises:
        NotFound: there is none. Tampered: longer than it can be.
    """
    try:
        with path.open("rb") as file:
            data = file.read(length_bytes_max + 1)
    except FileNotFoundError:
        raise NotFound(tr("{what} is not there: {file}", what=what, file=path.name)) from None
    if len(data) > length_bytes_max:
        raise Tampered(tr("{what} is longer than it can be", what=what))
    return data
