"""PKCS#11 tokens full of keys, folders that stand for drives, and a node's surroundings for backups to them."""

import datetime as dt
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ctypes import byref, c_ulong
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from keystead.core.secret import Secret
from keystead.custody.drives.backup import BackupOrder, BackupReport, run_backup
from keystead.custody.drives.jobs import Asker, Pins, Surroundings
from keystead.custody.drives.registry import FileRegistry, register
from keystead.custody.drives.restore import RestoreOrder, RestoreReport, run_restore
from keystead.node.transfer_process import COMMAND
from keystead.trust.origins import Origin
from keystead.trust.pkcs11.cryptoki import _mechanism, _template
from keystead.trust.pkcs11.names_table import Attribute, KeyType, Mechanism, ObjectClass, User
from keystead.trust.pkcs11.processes import TokenPlace, TokenProcess
from keystead.trust.pkcs11.token_objects import TokenObjects
from keystead.trust.root import Role, RootOfTrust
from tests.support.modules import Bench

A = Attribute
OFFICER_PIN, USER_PIN = "officer-8841-Kestrel", "user-2291-Larkspur"
RSA, EC = 0x0, 0x3
RSA_PAIR, EC_PAIR, RSA_SIGN, EC_SIGN = 0x0, 0x1040, 0x40, 0x1041
P256 = bytes.fromhex("06082a8648ce3d030107")
START_US = 1_800_000_000_000_000


@dataclass(frozen=True)
class Kinds:
    """How many objects of each kind a token is filled with; pairs are two objects."""

    aes: int = 2
    generic: int = 1
    rsa: int = 1
    ec: int = 1
    certificates: int = 1
    locked: int = 1
    open: int = 1


def make_token(label: str) -> None:
    """Make a token; SOFTHSM2_CONF says where."""
    words = ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", OFFICER_PIN, "--pin", USER_PIN]
    subprocess.run(words, check=True, capture_output=True, timeout=30)


def wipe_token(label: str) -> None:
    """Delete a token with everything on it and make an empty one."""
    subprocess.run(["softhsm2-util", "--delete-token", "--token", label], check=True, capture_output=True, timeout=30)
    make_token(label)


@contextmanager
def session(library: str, label: str) -> Iterator[tuple[TokenObjects, int]]:
    """A user's session in this process."""
    cryptoki = TokenObjects(library)
    try:
        slot = next(each for each in cryptoki.slots() if cryptoki.token(each).label == label)
        opened = cryptoki.open_session(slot)
        cryptoki.login(opened, User.USER, USER_PIN.encode())
        yield cryptoki, opened
    finally:
        cryptoki.finalize()


def _names(kind: str, number: int) -> dict[A, Any]:
    name = f"{kind}-{number}".encode()
    return {A.TOKEN: True, A.PRIVATE: True, A.LABEL: name, A.ID: hashlib.sha256(name).digest()[:8]}


def fill(library: str, label: str, kinds: Kinds) -> list[bytes]:
    """Fill a token with keys; return secret values that must never be seen on a drive."""
    hidden = {A.SENSITIVE: True, A.EXTRACTABLE: True}
    secrets = []
    with session(library, label) as (cryptoki, where):
        for number in range(kinds.aes + kinds.locked + kinds.open):
            value = os.urandom(32)
            secrets.append(value)
            names = _names(
                "aes" if number < kinds.aes else "locked" if number < kinds.aes + kinds.locked else "open", number
            )
            kept = {A.SENSITIVE: not names[A.LABEL].startswith(b"open")}
            kept |= {A.EXTRACTABLE: not names[A.LABEL].startswith(b"locked")}
            uses = {A.ENCRYPT: True, A.DECRYPT: True, A.WRAP: False, A.UNWRAP: False}
            cryptoki.create(where, {**_secret(KeyType.AES, value), **names, **kept, **uses})
        for number in range(kinds.generic):
            value = os.urandom(32 + number % 9)
            secrets.append(value)
            uses = {A.SIGN: True, A.VERIFY: True, A.ENCRYPT: False}
            fields = {**_secret(KeyType.GENERIC_SECRET, value), **_names("generic", number), **hidden, **uses}
            cryptoki.create(where, fields)
        for kind, count in (("rsa", kinds.rsa), ("ec", kinds.ec)):
            for number in range(count):
                _pair(cryptoki, where, kind, _names(kind, number))
        for number in range(kinds.certificates):
            _certificate(cryptoki, where, number)
    return secrets


def _secret(kind: KeyType, value: bytes) -> dict[A, Any]:
    return {A.CLASS: ObjectClass.SECRET_KEY, A.KEY_TYPE: kind, A.VALUE: value}


def _pair(cryptoki: TokenObjects, where: int, kind: str, names: dict[A, Any]) -> None:
    private = {**names, A.SENSITIVE: True, A.EXTRACTABLE: True, A.SIGN: True, A.DECRYPT: kind == "rsa"}
    public = {**names, A.PRIVATE: False, A.VERIFY: True}
    public |= {A.MODULUS_BITS: 2048, A.PUBLIC_EXPONENT: b"\1\0\1"} if kind == "rsa" else {A.EC_PARAMS: P256}
    mechanism = byref(_mechanism(RSA_PAIR if kind == "rsa" else EC_PAIR))  # type: ignore[arg-type]  # a number of PKCS#11 that only tests use
    made = (c_ulong(), c_ulong())
    halves = (*_template(public), *_template(private))
    cryptoki.call("C_GenerateKeyPair", where, mechanism, *halves, *(byref(each) for each in made))


def _certificate(cryptoki: TokenObjects, where: int, number: int) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"certificate {number}")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = builder.serial_number(number + 1).not_valid_before(start).not_valid_after(start.replace(year=2036))
    certificate = dated.sign(key, hashes.SHA256())
    fields = {
        A.CLASS: ObjectClass.CERTIFICATE,
        A.CERTIFICATE_TYPE: 0,
        A.SUBJECT: name.public_bytes(),
        **_names("certificate", number),
        A.PRIVATE: False,
        A.VALUE: certificate.public_bytes(serialization.Encoding.DER),
        A.ISSUER: name.public_bytes(),
    }
    cryptoki.create(where, fields)


COMPARED = (
    *(A.CLASS, A.KEY_TYPE, A.LABEL, A.ID, A.PRIVATE, A.SENSITIVE, A.EXTRACTABLE, A.ENCRYPT, A.DECRYPT, A.SIGN),
    *(A.VERIFY, A.WRAP, A.UNWRAP, A.DERIVE, A.SUBJECT, A.ISSUER, A.MODULUS, A.PUBLIC_EXPONENT, A.EC_PARAMS, A.EC_POINT),
    *(A.MODIFIABLE, A.CERTIFICATE_TYPE),
)


def inventory(library: str, label: str) -> list[tuple[str, str]]:
    """Return every object as text: its attributes, and the digest of what it does with a known text."""
    found = []
    with session(library, label) as (cryptoki, where):
        for handle in cryptoki.find_all(where, {A.TOKEN: True}):
            fields = cryptoki.read(where, handle, COMPARED)
            found.append((repr(sorted(fields.items())), _use(cryptoki, where, handle, fields)))
    return sorted(found)


def _use(cryptoki: TokenObjects, where: int, handle: int, fields: Mapping[A, Any]) -> str:
    text = b"what a key does with a known text" * 5
    kind = (fields[A.CLASS], fields.get(A.KEY_TYPE))
    if kind == (ObjectClass.SECRET_KEY, KeyType.AES):
        result = cryptoki.encrypt(where, (Mechanism.AES_CBC_PAD, bytes(16)), handle, text)
    elif kind == (ObjectClass.SECRET_KEY, KeyType.GENERIC_SECRET):
        result = cryptoki.sign(where, (Mechanism.SHA256_HMAC, b""), handle, text)
    elif kind == (ObjectClass.PRIVATE_KEY, RSA):
        result = cryptoki.sign(where, (RSA_SIGN, b""), handle, text)  # type: ignore[arg-type]  # a number of PKCS#11 that only tests use
    elif kind == (ObjectClass.PRIVATE_KEY, EC) and A.ID not in fields:
        return "staged"
    elif kind == (ObjectClass.PRIVATE_KEY, EC):
        return _verified(cryptoki, where, handle, fields)
    else:
        result = bytes(cryptoki.read(where, handle, (A.VALUE,)).get(A.VALUE, b""))
    return hashlib.sha256(result).hexdigest()


def _verified(cryptoki: TokenObjects, where: int, handle: int, fields: Mapping[A, Any]) -> str:
    """Sign with an EC key and check with the point of its public half."""
    digest = hashlib.sha256(b"what a key does").digest()
    signature = cryptoki.sign(where, (EC_SIGN, b""), handle, digest)  # type: ignore[arg-type]  # a number of PKCS#11 that only tests use
    publics = cryptoki.find_all(where, {A.CLASS: ObjectClass.PUBLIC_KEY, A.KEY_TYPE: EC, A.ID: fields[A.ID]})
    if len(publics) != 1:  # its public half has not its id yet, or is missing
        return "no public half"
    (public,) = publics
    point = cryptoki.read(where, public, (A.EC_POINT,))[A.EC_POINT]
    assert isinstance(point, bytes)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point[2:])
    half = len(signature) // 2
    numbers = [int.from_bytes(part) for part in (signature[:half], signature[half:])]
    key.verify(encode_dss_signature(*numbers), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    return "its signature holds with the public key " + point.hex()


@dataclass
class Room:
    """A node's side of backups: its folder, its origin and module, drives and tokens.

    Attributes:
        told: Everything the progress said.
        stop_at: Called with each progress; may raise or kill.
    """

    folder: Path
    library: str
    root: RootOfTrust
    bench: Bench | None = None
    origin: Origin = field(default_factory=Origin.generate)
    key: Secret = field(default_factory=lambda: Secret(os.urandom(32)))
    now: int = START_US
    told: list[str] = field(default_factory=list)
    stop_at: Callable[[str, int], None] = lambda _what, _number: None
    allowed: tuple[str, ...] = ()
    two_persons: bool = False

    @property
    def registry(self) -> FileRegistry:
        self.folder.mkdir(exist_ok=True)
        return FileRegistry(self.folder / "drives.sealed", self.key)

    @property
    def around(self) -> Surroundings:
        return Surroundings(
            origin=self.origin,
            origins={self.origin.key.id: self.origin.key},
            root=self.root,
            registry=self.registry,
            tokens=lambda: TokenProcess(TokenPlace(self.library, "", None, COMMAND)),
            folder=self.folder,
            clock=self.tick,
            progress=self._progress,
            allowed=self.allowed,
            two_persons=self.two_persons,
        )

    def restarted(self) -> "Room":
        """Return the same node as another process has it: a module's locked memory does not survive a fork."""
        assert self.bench is not None
        module = self.bench.module()
        module.login(Role.CRYPTO_USER, self.bench.crypto_user)
        return replace(self, root=module)

    def tick(self) -> int:
        self.now += 1
        return self.now

    def _progress(self, what: str, number: int, _total: int) -> None:
        self.told.append(what)
        self.stop_at(what, number)

    def drives(self, parent: Path, count: int, start: int = 1) -> list[Path]:
        """Make folders and register them as drives."""
        made = []
        for number in range(start, start + count):
            path = parent / f"drive-{number}"
            path.mkdir(exist_ok=True)
            register(self.registry, path, f"drive {number}", self.origin, self.tick())
            made.append(path)
        return made

    def backup(self, labels: list[str], drives: list[Path], **more: Any) -> BackupReport:
        pins = Pins(Secret(OFFICER_PIN.encode()), Secret(USER_PIN.encode()))
        order = BackupOrder(more.pop("asker", Asker("olga", "sandro")), dict.fromkeys(labels, pins), drives, **more)
        return run_backup(self.around, order)

    def backup_with(self, drives: list[Path], pins: Mapping[str, Pins]) -> BackupReport:
        """Back up with PINs of the caller's choice."""
        return run_backup(self.around, BackupOrder(Asker("olga", "sandro"), pins, drives))

    def restore(self, targets: Mapping[str, str], drives: list[Path], **more: Any) -> RestoreReport:
        pins = dict.fromkeys(targets.values(), Pins(Secret(OFFICER_PIN.encode()), Secret(USER_PIN.encode())))
        order = RestoreOrder(
            more.pop("asker", Asker("olga", "sandro")), targets, more.pop("pins", pins), drives, **more
        )
        return run_restore(self.around, order)


def pictures(paths: list[Path]) -> bytes:
    """Return all bytes and names of all files below, as an image of the drives would show them."""
    files = [each for path in paths for each in sorted(path.rglob("*")) if each.is_file()]
    return b"".join(str(each).encode() + each.read_bytes() for each in files)


def has_windows(haystack: bytes, secret: bytes) -> bool:
    """Tell whether any 8 bytes in a row of a secret stand in the haystack."""
    return any(secret[start : start + 8] in haystack for start in range(max(1, len(secret) - 7)))
