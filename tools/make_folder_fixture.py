"""Make the data folders that later versions must still open: tests/fixtures/folders/VERSION/.

Run it once before a release, with the code of that release; an existing folder of this version is not written over.
Each node is driven by the commands and by an unmodified client, then stopped and packed. Nothing in it is secret: keys,
PINs and tokens were made for this and are used nowhere else.
"""

import json
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keystead
from keystead.node.folder import CONFIG_FILE, read_config, unix_address
from keystead.protocols.local.client import ask
from tests.node import production
from tests.support.dev_node import DevNode
from tests.support.kmip.sessions import Client

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kmip.core import enums
    from kmip.pie import objects
    from kmip.pie.client import ProxyKmipClient

FOLDER = Path(__file__).parents[1] / "tests" / "fixtures" / "folders" / keystead.__version__
AES, HMAC = enums.CryptographicAlgorithm.AES, enums.CryptographicAlgorithm.HMAC_SHA256
MASK = enums.CryptographicUsageMask
USERS = ("alice", "bob")
READ = 128 | 1  # export and see
LEFT_OUT = ("logs", "run")


def fill(port: int, client_of: Callable[[str], Client], grant: Callable[[str], None]) -> list[dict[str, Any]]:
    """Make one object of each kind and life; returns what a Get of each gives."""
    told: list[dict[str, Any]] = []
    for user in USERS:
        with connected(port, client_of(user)) as client:
            made = [
                (client.create(AES, 256, name=f"{user}-created", cryptographic_usage_mask=[MASK.ENCRYPT]), "created"),
                (client.register(objects.SymmetricKey(AES, 128, bytes(range(16)), [MASK.DECRYPT], "r")), "registered"),
                (client.register(objects.SymmetricKey(HMAC, 256, bytes(range(32)), [MASK.MAC_GENERATE])), "mac key"),
                (client.register(objects.SecretData(b"of a test", enums.SecretDataType.PASSWORD)), "secret data"),
                (client.register(objects.OpaqueObject(b"\x00\x01" * 300, enums.OpaqueDataType.NONE)), "opaque"),
                (client.create(AES, 192, cryptographic_usage_mask=[MASK.ENCRYPT, MASK.DECRYPT]), "granted"),
                (client.create(AES, 256), "revoked"),
            ]
            told += [
                {"user": user, "id": key, "what": what, "value": client.get(key).value.hex()} for key, what in made
            ]
            for key, what in made:
                if what in {"created", "revoked"}:
                    client.activate(key)
                if what == "revoked":
                    client.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, key)
                if what == "granted":
                    grant(key)
            destroyed = client.create(AES, 256)
            client.destroy(destroyed)
            told.append({"user": user, "id": destroyed, "what": "destroyed", "value": None})
    return told


def connected(port: int, who: Client) -> Any:
    return ProxyKmipClient(
        hostname="127.0.0.1",
        port=port,
        cert=str(who.certificate),
        key=str(who.key),
        ca=str(who.authority),
        ssl_version="PROTOCOL_TLSv1_2",
    )


def granting(data: Path) -> Callable[[str], None]:
    address = unix_address(read_config(data).local_socket)
    return lambda key: ask(address, "key.grant", target=key, group="staff", rights=READ)


def dev(folder: Path) -> list[dict[str, Any]]:
    node = DevNode(folder)
    node.start()
    try:
        ask(unix_address(read_config(node.data).local_socket), "user.set_groups", name="bob", groups=["staff"])
        return fill(node.port, node.client, granting(node.data))
    finally:
        node.stop()


def served(folder: Path) -> list[dict[str, Any]]:
    data = production.make(folder)
    with production.serving(data) as ports:
        commands = [
            *(["settings", "set", f"key_server.{name}=true"] for name in SWITCHES),
            ["user", "create", "alice"],
            ["user", "create", "bob", "--group", "staff"],
            *(
                ["client-certificate", user, "--out", str(folder / user), "--ca", str(folder / "ca.pem")]
                for user in USERS
            ),
        ]
        assert production.unlock(data).returncode == 0
        for words in commands:
            done = production.keystead(*words, "--data", data)
            assert done.returncode == 0, done.stderr
        who = {user: Client(folder / f"{user}.pem", folder / f"{user}.key", folder / "ca.pem") for user in USERS}
        told = fill(ports["kmip"], who.__getitem__, granting(data))
    configuration = data / CONFIG_FILE
    configuration.write_text(configuration.read_text().replace(str(folder), ".."))  # wherever it is unpacked
    return told


SWITCHES = ("allow_key_configuration", "allow_key_export")


def pack(folder: Path, names: tuple[str, ...], archive: Path) -> None:
    """Pack what a copied node consists of; no names of this machine's accounts."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return None if entry.name.rpartition("/")[2] in LEFT_OUT else entry

    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for name in names:
            packed.add(folder / name, name, filter=plain)


def main() -> int:
    if FOLDER.exists():
        print(f"{FOLDER} is there already; raise the version first", file=sys.stderr)
        return 1
    kinds: dict[str, tuple[Callable[[Path], list[dict[str, Any]]], tuple[str, ...]]] = {
        "dev": (dev, ("data",)),
        "production": (served, ("data", "safe", "tokens", "answers")),
    }
    FOLDER.mkdir(parents=True)
    for kind, (make, names) in kinds.items():
        with tempfile.TemporaryDirectory(prefix="keystead-fixture-") as scratch:
            told = make(Path(scratch))
            pack(Path(scratch), names, FOLDER / f"{kind}.tar.xz")
        (FOLDER / f"{kind}.json").write_text(json.dumps(told, indent=1) + "\n")
        print(f"{kind}: {len(told)} objects, {(FOLDER / f'{kind}.tar.xz').stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
