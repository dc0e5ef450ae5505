"""What lies where: the folder of a module, its device key outside, the manufacturer's folder, the hub.

Source: docs/cloning.md section 2; docs/node-contract.md.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keystead.core.errors import Exists, NotFound
from keystead.core.translation import tr
from keystead.custody.modules.manufacture import Device, Root, RootSecret, manufacture, new_root, revoke
from keystead.custody.modules.module import SecureModule
from keystead.custody.modules.store import ModuleStore, read_file
from keystead.trust.durable_files import write_private
from keystead.trust.node_key import NodeKey

SOCKET = "module.sock"
_DEVICE, _ROOT, _SERIAL = "device.sealed", "root.cbor", "module.json"


def found_manufacturer(folder: Path, name: str, now: int) -> None:
    """Make a manufacturing root in a new folder: its secrets sealed under `root.key`, its public half `root.cbor`.

    Raises:
        Exists: there is one.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (folder / "root.sealed").exists():
        raise Exists(tr("there is a manufacturing root in this folder already"))
    secret = new_root(name, now)
    key = NodeKey.generate()
    key.write(folder / "root.key")
    write_private(folder / "root.sealed", key.seal("module-token/root", b"", secret.encoded()))
    write_private(folder / _ROOT, secret.root.encoded())


def manufacturer(folder: Path) -> RootSecret:
    """Open a manufacturing root.

    Raises:
        NotFound: there is none. Tampered: changed.
    """
    sealed = read_file(folder / "root.sealed", tr("the manufacturing root"))
    key = NodeKey.read(folder / "root.key")
    return RootSecret.decoded(key.unseal("module-token/root", b"", sealed))


def make_module(root: RootSecret, folder: Path, device_key: Path, serial: str, validity: tuple[int, int]) -> Device:
    """Manufacture a module into a new folder.

    Args:
        root: Who vouches for it.
        folder: Of the module.
        device_key: File to make, outside of the folder.
        serial: 1 to 32 letters, digits and hyphens.
        validity: Now (microseconds since 1970, UTC), and for how many days.

    Raises:
        Exists: there is a module. Refused: the device key would lie in the folder.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (folder / _SERIAL).exists():
        raise Exists(tr("there is a module in this folder already"))
    device = manufacture(root, serial, *validity)
    NodeKey.generate().write(device_key)
    store = ModuleStore(folder, device_key, serial)
    write_private(folder / _DEVICE, store.seal("module-token/device", device.encoded()))
    write_private(folder / _ROOT, root.root.encoded())
    write_private(folder / _SERIAL, json.dumps({"serial": serial}).encode())
    return device


def open_module(folder: Path, device_key: Path, clock: Callable[[], int]) -> SecureModule:
    """Open the module in a folder.

    Raises:
        NotFound: there is none. Tampered: its files were changed, or belong to another device key.
    """
    serial = str(json.loads(read_file(folder / _SERIAL, tr("the module")))["serial"])
    root = Root.decoded(read_file(folder / _ROOT, tr("the manufacturing root")))
    if not device_key.exists():
        raise NotFound(
            tr(
                "the device key of module {serial} is not there: {name}; name its file",
                serial=serial,
                name=device_key.name,
            )
        )
    store = ModuleStore(folder, device_key, serial)
    sealed = read_file(folder / _DEVICE, tr("the module's identity"))
    device = Device.decoded(store.unseal("module-token/device", sealed), root)
    return SecureModule(device, root, store, clock)


def write_revocations(root: RootSecret, folder: Path, serials: list[str]) -> Path:
    """Write the manufacturer's next revocation list, which names all that were revoked so far and these.

    Returns: its file.
    """
    path = folder / "revoked.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"number": 0, "serials": []}
    number, now_revoked = known["number"] + 1, sorted({*known["serials"], *serials})
    encoded = revoke(root, number, now_revoked)
    listed = folder / "revocations.cbor"
    write_private(listed, encoded)
    write_private(path, json.dumps({"number": number, "serials": now_revoked}).encode())
    return listed
