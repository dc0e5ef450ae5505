"""A private LDAP server: real, on loopback, with a few people and groups; TLS by a CA of its own."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keystead.appliance.ldap_client import is_installed
from tests.support.authorities import a_name
from tests.support.components import skip_or_fail

READY_S_MAX = 20
STOP_S_MAX = 10
SUFFIX = "dc=example,dc=org"
SEARCHER, SEARCHER_PASSWORD = f"cn=searcher,{SUFFIX}", "Searcher-Kettle-71"
USERS, GROUPS = f"ou=people,{SUFFIX}", f"ou=groups,{SUFFIX}"
PASSWORDS = {"Alice": "Wonder-Basket-44", "bob": "Builder-Anchor-52", "carol": "Carousel-Lemon-63"}
STRANGE = "mal(o)ry*"
"""A user whose name means something in a filter."""


def _entry(dn: str, *lines: str) -> str:
    return "\n".join([f"dn: {dn}", *lines, "", ""])


def _people() -> str:
    top = _entry(SUFFIX, "objectClass: dcObject", "objectClass: organization", "o: example", "dc: example")
    units = "".join(_entry(dn, "objectClass: organizationalUnit") for dn in (USERS, GROUPS, f"ou=deep,{USERS}"))
    person = ("objectClass: inetOrgPerson", "sn: x")
    people = "".join(
        _entry(f"cn={name},{USERS}", *person, f"uid: {name}", f"userPassword: {password}")
        for name, password in {**PASSWORDS, STRANGE: "Mallory-Cabinet-85"}.items()
    )
    twins = "".join(
        _entry(f"cn=twin{n},{USERS}", *person, "uid: twin", "userPassword: Twin-Harbour-96") for n in (1, 2)
    )
    other = _entry(f"cn=dave,ou=deep,{USERS}", *person, "uid: dave", "userPassword: Davenport-Igloo-29")
    aliased = _entry(f"cn=erin,{USERS}", *person, "uid: erin", "uid: erin2", "userPassword: Erin-Violin-37")
    staff = _entry(
        f"cn=Staff,{GROUPS}", "objectClass: groupOfNames", f"member: cn=Alice,{USERS}", f"member: cn=bob,{USERS}"
    )
    spaced = _entry(f"cn=Night Shift,{GROUPS}", "objectClass: groupOfNames", f"member: cn=Alice,{USERS}")
    return top + units + people + twins + other + aliased + staff + spaced


@dataclass
class LdapServer:
    """One server in its own folder; start and stop it as often as wanted. `plain_port` takes StartTLS too."""

    folder: Path
    port: int = field(default=0, init=False)
    plain_port: int = field(default=0, init=False)
    authority: str = field(default="", init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def make(self, authority: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None = None) -> None:
        """Write the folder: certificate, configuration, people."""
        self.folder.mkdir(parents=True, exist_ok=True)
        key, ca = authority or an_authority()
        self.authority = ca.public_bytes(Encoding.PEM).decode()
        own = ec.generate_private_key(ec.SECP256R1())
        _write_certificate(self.folder, own, key, ca)
        self.port, self.plain_port = free_port(), free_port()
        (self.folder / "db").mkdir(exist_ok=True)
        schemas = "".join(f"include /etc/ldap/schema/{name}.schema\n" for name in ("core", "cosine", "inetorgperson"))
        (self.folder / "slapd.conf").write_text(
            f"{schemas}modulepath /usr/lib/ldap\nmoduleload back_mdb\n"
            f"TLSCACertificateFile {self.folder}/ca.pem\nTLSCertificateFile {self.folder}/server.pem\n"
            f"TLSCertificateKeyFile {self.folder}/server.key\nsizelimit unlimited\n"
            f'database mdb\nmaxsize 16777216\nsuffix "{SUFFIX}"\nrootdn "{SEARCHER}"\nrootpw {SEARCHER_PASSWORD}\n'
            f"directory {self.folder}/db\naccess to attrs=userPassword by anonymous auth by * none\n"
            "access to * by anonymous none by users read by * none\n"
        )
        (self.folder / "people.ldif").write_text(_people())
        self._run("/usr/sbin/slapadd", "-f", "slapd.conf", "-l", "people.ldif")

    def start(self) -> None:
        urls = f"ldaps://127.0.0.1:{self.port} ldap://127.0.0.1:{self.plain_port}"
        with (self.folder / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                ["/usr/sbin/slapd", "-f", "slapd.conf", "-h", urls, "-d", "0"],
                cwd=self.folder, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        until = time.monotonic() + READY_S_MAX
        while not _listens(self.port) or not _listens(self.plain_port):
            assert self._process.poll() is None, (self.folder / "output.txt").read_text()[-2000:]
            assert time.monotonic() < until, "the LDAP server does not listen"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def change(self, ldif: str) -> None:
        """Change entries, as the directory's own administrator."""
        self._run(
            *("ldapmodify", "-x", "-H", f"ldap://127.0.0.1:{self.plain_port}"),
            *("-D", SEARCHER, "-w", SEARCHER_PASSWORD), input_text=ldif,
        )  # fmt: skip

    def settings(self) -> dict[str, str | int]:
        """What keystead has to be told of it, but the CA."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "bind_dn": SEARCHER,
            "user_base_dn": USERS,
            "group_base_dn": GROUPS,
            "timeout_s": 2,
        }

    def _run(self, *command: str, input_text: str = "") -> None:
        environment = {**os.environ, "LDAPNOINIT": "1"}
        done = subprocess.run(
            command, cwd=self.folder, input=input_text, text=True, capture_output=True, check=False, timeout=60,
            env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def needed() -> None:
    """End the running test where the library, the server or its tools are missing."""
    if not is_installed():
        skip_or_fail("the library for LDAP (requirements/ldap.txt, which `./dev test` installs)")
    if not Path("/usr/sbin/slapd").exists() or shutil.which("ldapmodify") is None:
        skip_or_fail("slapd and ldap-utils")


def an_authority(name: str = "directory CA") -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(a_name(name)).issuer_name(a_name(name))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=2))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signs = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(signs, critical=True).add_extension(identifier, critical=False)
    return key, builder.sign(key, hashes.SHA256())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_certificate(
    folder: Path, own: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePrivateKey, ca: x509.Certificate
) -> None:
    """A certificate for 127.0.0.1: the library has names of its own for `localhost`."""
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(a_name("directory")).issuer_name(ca.subject)
    builder = builder.public_key(own.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    (folder / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    (folder / "server.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "server.key").write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
