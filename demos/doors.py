"""Further ways in, and what the node can prove afterwards: another CA's client, a key over XML, the audit log."""

import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from kmip.pie.client import ProxyKmipClient

from demos.story import DevNode, check, run, title
from keystead.trust import x509

Connect = Callable[[DevNode, str], ProxyKmipClient]
TIMEOUT_S = 20


def come_in_otherwise(node: DevNode, connect: Connect) -> None:
    """A client with a certificate of a foreign CA, and alice by name and password over XML."""
    title("3. A client of another CA, and a key over XML")
    folder, at = node.data.parent, ["--data", str(node.data)]
    authority_key, authority = x509.make_authority("Company CA")
    key, certificate = x509.issue_client(authority_key, authority, "alice")
    (folder / "company.pem").write_text(authority)
    (folder / "alice.pem").write_text(certificate)
    (folder / "alice.key").write_bytes(b"" if key is None else key.reveal())
    foreign = DevNode.connected(node.kmip_port, Path(node.ca), {"alice": folder / "alice"})
    check(not _is_served(foreign, connect), "A certificate of a company's CA that names alice: not trusted, closed.")
    run("ca", "install", "company", "--file", str(folder / "company.pem"), *at)
    trusted = run("ca-profile", "add", "default", "company", *at)
    check(trusted.returncode == 0 and _is_served(foreign, connect), "The CA is put into the trust profile: served.")
    password = Path(node.clients["alice"]["password_file"]).read_text()
    made = _over_xml(node, password, "<KeyGenRequest><ID>2</ID><KeyName>byXml</KeyName><Algorithm>AES</Algorithm>")
    check("<KeyName>byXml</KeyName>" in made, "Alice logs in over XML, by certificate and password, and makes a key.")
    refused = _over_xml(node, "wrong", "<KeyInfoRequest><ID>2</ID><KeyName>byXml</KeyName>")
    check("1201 Authentication failed" in refused, "With a wrong password she is refused and the connection closed.")


def prove_the_log(node: DevNode) -> None:
    """Export the audit log, verify it without the node, change one byte."""
    title("6. The audit log proves itself")
    export = node.data.parent / "export"
    copied = run("audit", "export", "--out", str(export), "--data", str(node.data))
    sound = run("audit", "verify", str(export))
    check(copied.returncode == sound.returncode == 0, f"Exported and verified apart: {_last(sound.stdout)}.")
    bundle = next(path for path in sorted((export / "tile" / "entries").rglob("*")) if path.is_file())
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    bundle.write_bytes(content)
    altered = run("audit", "verify", str(export))
    first = altered.stdout.strip().splitlines()[0] if altered.stdout.strip() else ""
    check(
        altered.returncode == 1 and first.startswith("WRONG"), f"One bit of it is changed: {' '.join(first.split())}."
    )


def _last(text: str) -> str:
    return text.strip().splitlines()[-1]


def _is_served(node: DevNode, connect: Connect) -> bool:
    try:
        with connect(node, "alice") as alice:
            return isinstance(alice.locate(), list)
    except (ssl.SSLError, OSError):
        return False


def _over_xml(node: DevNode, password: str, request: str) -> str:
    """Return what the node answers to a login and one request, whose end tag is added."""
    context = ssl.create_default_context(cafile=node.ca)
    context.check_hostname = False  # loopback nodes are reached by number
    context.load_cert_chain(node.clients["alice"]["certificate"], node.clients["alice"]["key"])
    name = re.findall(r"<(\w+)>", request)[0]
    login = f"<AuthRequest><ID>1</ID><User>alice</User><Passwd>{password}</Passwd></AuthRequest>"
    answer = b""
    with (
        socket.create_connection(("127.0.0.1", node.xml_port), TIMEOUT_S) as plain,
        context.wrap_socket(plain) as connection,
    ):
        connection.sendall(f"{login}{request}</{name}>".encode())
        while b"</" + name.replace("Request", "Response").encode() not in answer:
            part = connection.recv(4096)
            if not part:
                break
            answer += part
    return answer.decode()
