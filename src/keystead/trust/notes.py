"""Signed notes, the keys that verify them, checkpoints of a log, and proofs in a file: texts that other programs read.

Laws: a text is used only after a signature by the one key that the reader brought; a signature by that key that does
not verify refuses the whole note; what is not exactly of the form is refused.

Source: C2SP signed-note, tlog-checkpoint, tlog-proof (version 1); RFC 8032 (Ed25519).
"""

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keystead.core.errors import Invalid, Tampered
from keystead.core.secret import Secret
from keystead.trust.merkle import HASH_BYTES, PROOF_STEPS_MAX

NOTE_BYTES_MAX = 16_384
SIGNATURES_COUNT_MAX = 16
KEY_TEXT_CHARACTERS_MAX = 512
PROOF_BYTES_MAX = 262_144
SIZE_MAX = (1 << 63) - 1
_ED25519 = b"\x01"
_KEY_BYTES = 32
_KEY_ID_BYTES = 4
_BEGIN = "\N{EM DASH} "
_PROOF = "c2sp.org/tlog-proof@v1"
_NAME = re.compile(r"[^\s+]{1,256}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Who has signed: the name and the public key, 32 bytes."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """Four bytes by which signatures name the key."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """The key as people pass it on (a "vkey")."""
        return f"{self.name}+{self.id.hex()}+{_base64(_ED25519 + self.public)}"

    @classmethod
    def from_text(cls, text: str) -> "VerifierKey":
        """Read the text form.

        Raises:
            Invalid: it is none of an Ed25519 key, or damaged.
        """
        parts = text.strip()[:KEY_TEXT_CHARACTERS_MAX].split("+", 2)
        if len(parts) != 3 or _NAME.fullmatch(parts[0]) is None:
            raise Invalid("a verifier key is written NAME+ID+KEY, as `keystead audit key` prints it", "invalid.field")
        try:
            key = base64.b64decode(parts[2], validate=True)
        except (binascii.Error, ValueError):
            key = b""
        found = cls(parts[0], key[1:])
        if key[:1] != _ED25519 or len(found.public) != _KEY_BYTES or found.id.hex() != parts[1]:
            raise Invalid("the verifier key is damaged, or not one of Ed25519", "invalid.field")
        return found


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log at one size.

    Attributes:
        origin: Names the log.
        size: Entries.
        root: Of the tree over them.
        extensions: Further lines.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The lines that are signed."""
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), _base64(self.root), *self.extensions))

    @classmethod
    def from_text(cls, text: str) -> "Checkpoint":
        """Read the lines of a checkpoint.

        Raises:
            Tampered: they are not of the form.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or _NUMBER.fullmatch(lines[1]) is None:
            raise Tampered("this is no checkpoint of a log")
        size = int(lines[1])
        if size > SIZE_MAX:
            raise Tampered("this is no checkpoint of a log")
        return cls(lines[0], size, _hash(lines[2]), tuple(lines[3:-1]))


def sign(text: str, name: str, private: Secret) -> str:
    """Return a note: the text with its signature.

    Args:
        text: Ends in a newline.
        name: Of the key.
        private: Ed25519 private key, 32 bytes.
    """
    key = Ed25519PrivateKey.from_private_bytes(private.reveal())
    public = VerifierKey(name, key.public_key().public_bytes_raw())
    return f"{text}\n{_BEGIN}{name} {_base64(public.id + key.sign(text.encode()))}\n"


def opened(note: str, key: VerifierKey) -> str:
    """Return the text of a note that the key has signed.

    Raises:
        Tampered: it has not, or the note is not of the form.
    """
    text, separator, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    is_formed = separator and not lines[-1] and 1 < len(lines) <= SIGNATURES_COUNT_MAX + 1
    if not is_formed or len(note) > NOTE_BYTES_MAX or _CONTROL.search(note):
        raise Tampered("this is no signed note")
    text += "\n"
    is_signed = False
    for line in lines[:-1]:
        name, _, signature = line.removeprefix(_BEGIN).partition(" ")
        try:
            raw = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not line.startswith(_BEGIN) or _NAME.fullmatch(name) is None or len(raw) <= _KEY_ID_BYTES:
            raise Tampered("a signature of the note is not of the form")
        if (name, raw[:_KEY_ID_BYTES]) == (key.name, key.id):
            _verify(key, raw[_KEY_ID_BYTES:], text)
            is_signed = True
    if not is_signed:
        raise Tampered(f"the note is not signed by {key.name}")
    return text


def checkpoint_of(note: str, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint in a note of the log that the key belongs to.

    Raises:
        Tampered: not signed by the key, not of the form, or of another log.
    """
    checkpoint = Checkpoint.from_text(opened(note, key))
    if checkpoint.origin != key.name:
        raise Tampered("the checkpoint is that of another log")
    return checkpoint


@dataclass(frozen=True, slots=True)
class Proof:
    """That an entry is in a log, as a file.

    Attributes:
        index: Of the entry.
        steps: Way to the root, lowest sibling first.
        note: Signed checkpoint.
        extra: What goes with it; not authenticated.
    """

    index: int
    steps: tuple[bytes, ...]
    note: str
    extra: bytes = b""

    @property
    def text(self) -> str:
        """The file."""
        extra = [f"extra {_base64(self.extra)}"] if self.extra else []
        lines = [_PROOF, *extra, f"index {self.index}", *map(_base64, self.steps), ""]
        return "\n".join(lines) + "\n" + self.note

    @classmethod
    def from_text(cls, text: str) -> "Proof":
        """Read the file.

        Raises:
            Tampered: it is not of the form.
        """
        head, separator, note = text.partition("\n\n")
        lines = head.split("\n")
        if len(text) > PROOF_BYTES_MAX or not separator or lines.pop(0) != _PROOF or not lines:
            raise Tampered("this is no proof of a log")
        extra = b""
        if lines[0].startswith("extra "):
            extra = _decoded(lines.pop(0).removeprefix("extra "))
        word, _, number = lines.pop(0).partition(" ") if lines else ("", "", "")
        if word != "index" or _NUMBER.fullmatch(number) is None or len(lines) > PROOF_STEPS_MAX:
            raise Tampered("this is no proof of a log")
        return cls(int(number), tuple(map(_hash, lines)), note, extra)


def split_notes(data: str) -> tuple[list[str], str]:
    """Cut notes that stand one after the other; returns them, and what is left at the end of one that is torn."""
    notes: list[str] = []
    lines = data.split("\n")
    tail = lines.pop()
    current: list[str] = []
    for line in lines:
        if current and current[-1].startswith(_BEGIN) and not line.startswith(_BEGIN):
            notes.append("".join(f"{each}\n" for each in current))
            current = []
        current.append(line)
    if current and current[-1].startswith(_BEGIN) and not tail.startswith(_BEGIN[:1]):
        notes.append("".join(f"{each}\n" for each in current))
        current = []
    return notes, "".join(f"{each}\n" for each in current) + tail


def _verify(key: VerifierKey, signature: bytes, text: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
    except (InvalidSignature, ValueError):
        raise Tampered(f"the signature of {key.name} does not fit the text") from None


def _hash(text: str) -> bytes:
    found = _decoded(text)
    if len(found) != HASH_BYTES:
        raise Tampered("a hash has another length than it must")
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Tampered("what should be base64 is not") from None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def new_signing_key() -> tuple[bytes, Secret]:
    """Return a new Ed25519 key: public and private half, 32 bytes each."""
    key = Ed25519PrivateKey.generate()
    return key.public_key().public_bytes_raw(), Secret(key.private_bytes_raw())
