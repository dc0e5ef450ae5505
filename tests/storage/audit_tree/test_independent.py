"""An export is readable without keystead: this verifier follows docs/audit.md and the public formats.

Of the project it uses only what makes the export.
"""

import base64
import hashlib
import struct
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.storage.audit_tree.building import exported, grown


def public_key(vkey: str) -> tuple[str, bytes, Ed25519PublicKey]:
    name, key_id, encoded = vkey.strip().split("+", 2)
    raw = base64.b64decode(encoded)
    assert raw[0] == 1
    assert hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4].hex() == key_id
    return name, bytes.fromhex(key_id), Ed25519PublicKey.from_public_bytes(raw[1:])


def checkpoint(note: str, vkey: str) -> tuple[int, bytes]:
    name, key_id, key = public_key(vkey)
    text, signature_line = note.rsplit("\n\n", 1)
    dash, signer, encoded = signature_line.strip().split(" ")
    signature = base64.b64decode(encoded)
    assert (dash, signer, signature[:4]) == ("—", name, key_id)
    key.verify(signature[4:], (text + "\n").encode())
    origin, size, root, *_ = text.split("\n")
    assert origin == name
    return int(size), base64.b64decode(root)


def bundle_name(number: int, size: int) -> str:
    digits = f"{number:03}"
    assert number < 1000
    width = min(256, size - number * 256)
    return digits if width == 256 else f"{digits}.p/{width}"


def entries_of(folder: Path, size: int) -> list[bytes]:
    entries = []
    for number in range(-(-size // 256)):
        data = (folder / "tile" / "entries" / bundle_name(number, size)).read_bytes()
        while data:
            (length,) = struct.unpack(">H", data[:2])
            entries.append(data[2 : 2 + length])
            data = data[2 + length :]
    return entries


def personal_of(folder: Path, size: int) -> list[list[Any]]:
    parts: list[list[Any]] = []
    for number in range(-(-size // 256)):
        data = (folder / "personal" / f"{number:03}").read_bytes()
        while data:
            (length,) = struct.unpack(">I", data[:4])
            parts.append(cbor2.loads(data[4 : 4 + length]))
            data = data[4 + length :]
    return parts


def tree_hash(entries: list[bytes]) -> bytes:
    if len(entries) < 2:
        return hashlib.sha256(b"\x00" + entries[0] if entries else b"").digest()
    split = 1 << (len(entries) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + tree_hash(entries[:split]) + tree_hash(entries[split:])).digest()


def test_an_export_is_verified_from_its_description_alone(tmp_path: Path) -> None:
    folder = exported(grown(tmp_path / "audit", 100, 300, 257), tmp_path / "export")
    vkey = (folder / "key").read_text()
    size, root = checkpoint((folder / "checkpoint").read_text(), vkey)
    entries = entries_of(folder, size)
    assert (size, len(entries)) == (657, 657)
    assert tree_hash(entries) == root
    all_notes = (folder / "checkpoints").read_text().split("keystead/test\n")[1:]
    heads = [checkpoint("keystead/test\n" + each, vkey) for each in all_notes]
    assert [each for each, _ in heads] == [100, 400, 657]
    assert all(tree_hash(entries[:covered]) == signed for covered, signed in heads)
    last_seen = 0
    for entry, (form, salt, part) in zip(entries, personal_of(folder, size), strict=True):
        version, file, sequence, at_us, request, _, outcome, target, kind, commitment = cbor2.loads(entry)
        assert (version, file, sequence, form) == (1, "own", last_seen + 1, 1)
        assert (len(request), outcome, target, kind) == (16, "done", "-", "user")
        assert at_us > 1_800_000_000_000_000
        assert hashlib.sha256(salt + part).digest() == commitment
        name, origin, detail = cbor2.loads(part)
        assert (name, origin, detail) == ("alice", "192.0.2.7", "by alice")
        last_seen = sequence


def test_level_tiles_are_concatenated_hashes(tmp_path: Path) -> None:
    folder = exported(grown(tmp_path / "audit", 600), tmp_path / "export")
    entries = entries_of(folder, 600)
    hashes = [hashlib.sha256(b"\x00" + entry).digest() for entry in entries]
    assert (folder / "tile/0/000").read_bytes() == b"".join(hashes[:256])
    assert (folder / "tile/0/002.p/88").read_bytes() == b"".join(hashes[512:])
    assert (folder / "tile/1/000.p/2").read_bytes() == tree_hash(entries[:256]) + tree_hash(entries[256:512])


def test_a_changed_checkpoint_is_refused_by_it(tmp_path: Path) -> None:
    folder = exported(grown(tmp_path / "audit", 3), tmp_path / "export")
    note = (folder / "checkpoint").read_text().replace("\n3\n", "\n2\n")
    with pytest.raises(InvalidSignature):
        checkpoint(note, (folder / "key").read_text())
