"""The data folder of a node: what lies where, and the few things configured before any store is open.

Law: the node key and the role tokens lie outside the data folder, so that a copied folder serves nobody; only a node
made by `keystead dev` keeps them inside, and says INSECURE.

Source: design.md section 6 ("copied folder"); examples.md section 7 (process configuration); attacks.md class 44.
"""

import json
import os
import socket
import tomllib
from dataclasses import dataclass
from pathlib import Path

from keystead.core.errors import Exists, Invalid, NotFound
from keystead.trust.durable_files import write_private

CONFIG_FILE = "keystead.toml"
UNFINISHED = "unfinished"  # in a `dev` node's folder until all of it is made: what a killed run left is made anew
UNIX_PATH_BYTES_MAX = 100


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What must be known before the stores can be opened.

    Attributes:
        data: The data folder, absolute.
        node_key: File with the node key, absolute.
        dev: Made by `keystead dev`.
        store: Address of the PostgreSQL database with the shared store; empty = a file in the data folder.
    """

    data: Path
    node_key: Path
    dev: bool = False
    store: str = ""

    @property
    def own_store(self) -> Path:
        """The node's own file."""
        return self.data / "node.db"

    @property
    def shared_store(self) -> Path:
        """The shared store, when it is a file."""
        return self.data / "store.db"

    @property
    def module_state(self) -> Path:
        """State of the software security module."""
        return self.data / "module.state"

    @property
    def activity_log(self) -> Path:
        """Activity log of the key-serving process."""
        return self.data / "logs" / "activity.log"

    @property
    def client_event_log(self) -> Path:
        """What clients want written down."""
        return self.data / "logs" / "client-events.log"

    @property
    def local_socket(self) -> Path:
        """The local administrator's door."""
        return self.data / "run" / "keystead.sock"

    @property
    def keys_socket(self) -> Path:
        """Door of the `keys` process for the `admin` process."""
        return self.data / "run" / "keys.sock"

    @property
    def witness(self) -> Path:
        """Last anchored epoch of the shared store, beside the node key, outside the data folder."""
        return self.node_key.with_name(self.node_key.name + ".witness")

    @property
    def verified(self) -> Path:
        """When `keystead verify` walked the stores last, and how much it found."""
        return self.data / "logs" / "verified.json"

    @property
    def insecure(self) -> Path:
        """Where a `dev` node keeps what belongs elsewhere: node key, role tokens, PINs, passwords."""
        return self.data / "insecure"


def write_config(config: NodeConfig) -> None:
    """Write the configuration file of a new node; the data folder exists and is empty."""
    inside = config.node_key.is_relative_to(config.data)
    node_key = config.node_key.relative_to(config.data) if inside else config.node_key
    text = (
        "# Made by keystead. The node key lies outside this folder on purpose: a copy of the folder alone is useless.\n"
        f'node_key = "{node_key}"\n'
        f"dev = {str(config.dev).lower()}\n"
    )
    if config.store:
        text += f"store = {json.dumps(config.store)}\n"
    write_private(config.data / CONFIG_FILE, text.encode())


def read_config(data: Path) -> NodeConfig:
    """Read the configuration of the node in a folder.

    Raises:
        NotFound: there is no node. Invalid: the file cannot be understood.
    """
    file = data / CONFIG_FILE
    try:
        words = tomllib.loads(file.read_text())
        node_key = Path(words["node_key"])
    except FileNotFoundError:
        raise NotFound(f"{data} holds no keystead node; `keystead init --data {data}` makes one") from None
    except (tomllib.TOMLDecodeError, KeyError, UnicodeDecodeError) as error:
        raise Invalid(f"{file} cannot be understood: {error}", "invalid.field") from None
    return NodeConfig(
        data.absolute(),
        node_key if node_key.is_absolute() else data.absolute() / node_key,
        words.get("dev", False) is True,
        str(words.get("store", "")),
    )


def make_folders(config: NodeConfig) -> None:
    """Make the folders of logs and sockets: nothing in them outlives the node, so a restored folder may lack them."""
    for folder in (config.activity_log.parent, config.local_socket.parent):
        folder.mkdir(mode=0o700, exist_ok=True)


def make_file(path: Path, data: bytes) -> None:
    """Write a new file of mode 0600; never over one that exists.

    Raises:
        Exists: it exists.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Exists(f"{path} exists already; choose another name") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def unix_address(path: Path) -> str:
    """Return an address for a Unix socket; a path too long for the kernel goes through an open folder."""
    if len(os.fsencode(path)) <= UNIX_PATH_BYTES_MAX:
        return str(path)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)  # stays open as long as the process
    return f"/proc/self/fd/{folder}/{path.name}"


def listening_socket(path: Path) -> socket.socket:
    """Return a listening Unix socket of mode 0600 at the path, replacing one that a dead process left."""
    address = unix_address(path)
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listening.bind(address)
    finally:
        os.umask(before)
    listening.setblocking(False)  # the standard library's signature
    listening.listen(64)
    return listening
