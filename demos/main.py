"""The main job before your eyes: a real KMIP client makes, fetches and uses keys on a node that can be killed.

Part one runs a throw-away node; part two a production node from `keystead init` to its first key. Everything happens
in a temporary folder on loopback ports and is removed at the end.
"""

import contextlib
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from kmip.core import enums
from kmip.pie.client import ProxyKmipClient

from demos.doors import come_in_otherwise, prove_the_log
from demos.guards import guard_a_key
from demos.story import DevNode, Failure, check, run, say, serve, title

KEYS_BEFORE_KILL = 60
PIN_LINES = "security-officer = 48151623\ndomain = 42108151\ncrypto-user = 62342481\n"


def client(node: DevNode, name: str) -> ProxyKmipClient:
    """Return the unmodified PyKMIP client for one of the node's users."""
    return ProxyKmipClient(
        hostname="127.0.0.1",
        port=node.kmip_port,
        cert=node.clients[name]["certificate"],
        key=node.clients[name]["key"],
        ca=node.ca,
        ssl_version="PROTOCOL_TLSv1_2",
        kmip_version=enums.KMIPVersion.KMIP_1_4,
    )


def live_with_a_key(node: DevNode) -> bytes:
    """Alice makes a key and uses it; returns its bytes for the search that follows."""
    title("1. A real KMIP client lives with a key")
    with client(node, "alice") as alice:
        key = alice.create(enums.CryptographicAlgorithm.AES, 256, name="demo key")
        say(f"PyKMIP created an AES-256 key: {key}")
        alice.activate(key)
        say("... activated it,")
        found = alice.locate(attributes=[_name("demo key")])
        check(found == [key], "... found it again by its name,")
        material: bytes = alice.get(key).value
        check(len(material) == 32, "... fetched its 32 bytes,")
        parameters = {
            "cryptographic_algorithm": enums.CryptographicAlgorithm.AES,
            "block_cipher_mode": enums.BlockCipherMode.CBC,
            "padding_method": enums.PaddingMethod.PKCS5,
        }
        iv = os.urandom(16)
        secret, _ = alice.encrypt(b"attack at dawn", key, parameters, iv)
        clear = alice.decrypt(secret, key, parameters, iv)
        check(clear == b"attack at dawn" and secret != clear, "... and encrypted and decrypted a message with it.")
    with client(node, "bob") as bob:
        hidden = _refused(lambda: bob.get(key))
        check(
            hidden and bob.locate(attributes=[_name("demo key")]) == [], "Bob asks for the same key: he cannot see it."
        )
    return material


def sign_and_share(node: DevNode) -> None:
    """A pair whose private key stays inside, and a key that a group may use; both by the same client."""
    title("2. A signature that anybody can verify, and a key that a group shares")
    at = ["--data", str(node.data)]
    parameters = {
        "padding_method": enums.PaddingMethod.PSS,
        "hashing_algorithm": enums.HashingAlgorithm.SHA_256,
        "cryptographic_algorithm": enums.CryptographicAlgorithm.RSA,
    }
    with client(node, "alice") as alice, client(node, "bob") as bob:
        uses = {"private_usage_mask": [enums.CryptographicUsageMask.SIGN]}
        public, private = alice.create_key_pair(
            enums.CryptographicAlgorithm.RSA, 2048, public_usage_mask=[enums.CryptographicUsageMask.VERIFY], **uses
        )
        alice.activate(private)
        signature = alice.sign(b"shipped", private, parameters)
        elsewhere = serialization.load_der_public_key(alice.get(public).value)
        check(
            _fits(elsewhere, signature, b"shipped") and not _fits(elsewhere, signature, b"lost"),
            "Alice had an RSA pair made and data signed; another library verified it with the public key alone.",
        )
        shared = alice.create(enums.CryptographicAlgorithm.AES, 256)
        check(_refused(lambda: bob.get(shared)), "Bob asks for another key of hers: he cannot see it.")
        for words in (["group", "create", "backup"], ["group", "add", "backup", "bob"]):
            run(*words, *at)
        given = run("key", "give", shared, "--group", "backup", "--right", "export", *at)
        check(given.returncode == 0, "Bob joins the group `backup`, which is given the right to fetch it,")
        check(len(bob.get(shared).value) == 32, "... and fetches it, on the connection that he had open.")
        revoked = run("certificate", "revoke", "--file", node.clients["bob"]["certificate"], *at)
        check(
            revoked.returncode == 0 and _refused(lambda: bob.get(shared)),
            "His certificate is revoked: the same connection is refused at once.",
        )
    doctor = run("doctor", *at)
    say(f"keystead doctor: {doctor.stdout.strip().splitlines()[-1]}")


def survive_a_kill(node: DevNode) -> None:
    """Keys are made while the node is killed; every acknowledged one must be there afterwards."""
    title("4. The node is killed in the middle of work")
    acknowledged: list[str] = []
    stop = threading.Event()

    def make_keys() -> None:
        with contextlib.suppress(Exception), client(node, "alice") as alice:  # the kill cuts the connection
            while not stop.is_set():
                acknowledged.append(alice.create(enums.CryptographicAlgorithm.AES, 256))

    makers = [threading.Thread(target=make_keys, daemon=True) for _ in range(3)]
    for maker in makers:
        maker.start()
    deadline = time.monotonic() + 30
    while len(acknowledged) < KEYS_BEFORE_KILL and time.monotonic() < deadline:
        time.sleep(0.02)
    node.kill()
    stop.set()
    for maker in makers:
        maker.join(10)
    say(f"Three clients were making keys; after {len(acknowledged)} acknowledged keys: kill -9 of the whole node.")
    started = time.monotonic()
    node.start()
    say(f"The node serves again by itself after {time.monotonic() - started:.1f} s.")
    with client(node, "alice") as alice:
        lost = [key for key in acknowledged if len(alice.get(key).value) != 32]
    check(not lost and bool(acknowledged), f"All {len(acknowledged)} acknowledged keys are there and whole.")
    check(run("verify", "--data", str(node.data)).returncode == 0, "`keystead verify` walked every row: nothing amiss.")


def search_the_files(node: DevNode, material: bytes) -> None:
    """Look for the key's bytes in everything the node wrote."""
    title("7. What the files give away")
    node.stop()
    windows = [material[i : i + 8] for i in range(len(material) - 7)]
    files = [file for file in node.data.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    hits = [file.name for file in files if any(window in file.read_bytes() for window in windows)]
    check(not hits, f"{len(files)} files, {size // 1024} KiB searched for any 8 bytes of the key: no hit.")


def production(folder: Path) -> None:
    """From `keystead init` to the first key; locked at first, and useless as a copy."""
    title("8. A production node: locked until its crypto user logs in")
    data, keep = folder / "node", folder / "safe"
    (folder / "answers").write_text(PIN_LINES)
    (folder / "answers").chmod(0o600)
    options = [
        "--node-key",
        str(keep / "node.key"),
        "--tokens",
        str(keep / "tokens"),
        "--answers",
        str(folder / "answers"),
    ]
    places = ["--address", "127.0.0.1", "--port", "0", "--health-port", "0"]
    check(
        run("init", "--data", str(data), *options, *places).returncode == 0,
        "keystead init made it: tokens and node key outside its folder.",
    )
    at = ["--data", str(data)]
    with serve(data) as ports:
        run("user", "create", "carol", *at)
        for switch in ("allow_key_configuration", "allow_key_export"):
            run("settings", "set", f"key_server.{switch}=true", *at)
        locked = run("client-certificate", "carol", "--out", str(folder / "carol"), *at)
        check(locked.returncode != 0, f"Locked, it refuses: {locked.stderr.strip()}")
        login = ["--token", str(keep / "tokens" / "crypto-user-1.token"), "--answers", str(folder / "answers")]
        check(
            run("hsm", "login", "crypto-user", *login, *at).returncode == 0,
            "The crypto user logs in with token and PIN: unlocked.",
        )
        issued = run("client-certificate", "carol", "--out", str(folder / "carol"), "--ca", str(folder / "ca.pem"), *at)
        check(issued.returncode == 0, "The local CA certifies carol's client.")
        node = DevNode.connected(ports["kmip"], folder / "ca.pem", {"carol": folder / "carol"})
        with client(node, "carol") as carol:
            key = carol.create(enums.CryptographicAlgorithm.AES, 256)
            check(len(carol.get(key).value) == 32, f"Carol's first key: {key}")
    copy = folder / "copy"
    shutil.copytree(data, copy, ignore=shutil.ignore_patterns("*.sock"))
    (keep / "node.key").rename(keep / "elsewhere.key")
    stolen = run("serve", "--data", str(copy))
    check(stolen.returncode != 0, f"A copy of its folder cannot serve: {stolen.stderr.strip().splitlines()[-1]}")


def _fits(key: object, signature: bytes, data: bytes) -> bool:
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
    try:
        key.verify(signature, data, scheme, hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _name(text: str) -> object:
    from kmip.core.factories.attributes import AttributeFactory  # slow import, needed only here

    return AttributeFactory().create_attribute(enums.AttributeType.NAME, text)


def _refused(ask: "object") -> bool:
    from kmip.pie.exceptions import KmipOperationFailure

    try:
        ask()  # type: ignore[operator]  # a lambda
    except KmipOperationFailure:
        return True
    return False


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="keystead-demo-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def main() -> int:
    """Tell the story; exit status 0 only if all of it worked."""
    logging.disable(logging.CRITICAL)  # PyKMIP logs refusals that are part of the story
    started = time.monotonic()
    with _folder() as folder:
        node = DevNode(folder / "throw-away")
        try:
            say("Starting a throw-away node (keystead dev) ...")
            node.start()
            material = live_with_a_key(node)
            sign_and_share(node)
            come_in_otherwise(node, client)
            survive_a_kill(node)
            guard_a_key(node, client)
            prove_the_log(node)
            search_the_files(node, material)
            production(folder)
        except Failure as failure:
            say(f"FAILED: {failure}")
            return 1
        finally:
            node.kill()
    title(f"Done in {time.monotonic() - started:.0f} s")
    say("Next: docs/first-key.md takes you to a production node's first key in five minutes;")
    say("      docs/design.md tells what lies where and what an attacker could still do.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
