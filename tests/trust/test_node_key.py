import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import Invalid, Refused, Tampered
from keystead.core.secret import Secret
from keystead.trust.node_key import NodeKey, check_outside


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node.key"


def test_a_written_key_is_read_back(path: Path) -> None:
    key = NodeKey.generate()
    key.write(path)
    again = NodeKey.read(path)
    assert again.id == key.id
    assert again.derive("tls").matches(key.derive("tls"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_is_never_overwritten(path: Path) -> None:
    NodeKey.generate().write(path)
    before = path.read_bytes()
    with pytest.raises(Refused, match="not overwritten"):
        NodeKey.generate().write(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o610])
def test_a_file_that_others_may_use_is_refused(path: Path, mode: int) -> None:
    NodeKey.generate().write(path)
    path.chmod(mode)
    with pytest.raises(Refused, match="mode to 0600"):
        NodeKey.read(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(path: Path) -> None:
    NodeKey.generate().write(path)
    os.chown(path, 12345, -1)
    with pytest.raises(Refused, match="another user"):
        NodeKey.read(path)


def test_a_key_in_the_data_folder_is_refused_also_by_a_link(path: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    inside = data / "node.key"
    NodeKey.generate().write(inside)
    path.symlink_to(inside)
    for each in (inside, path):
        with pytest.raises(Refused, match="data folder"):
            NodeKey.read(each, data)
    check_outside(tmp_path / "elsewhere", data)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("pipe", "missing", "."):
        with pytest.raises(Invalid):
            NodeKey.read(tmp_path / name)


def test_any_flipped_bit_is_found(path: Path) -> None:
    NodeKey.generate().write(path)
    text = path.read_bytes()
    for position in range((len(text) - 1) * 8):
        flipped = bytearray(text)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(Invalid, match="no node key, or a damaged one"):
            NodeKey.from_text(bytes(flipped))


@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_foreign_text_is_no_key(text: bytes) -> None:
    with pytest.raises(Invalid):
        NodeKey.from_text(text)


def test_every_purpose_has_a_key_of_its_own() -> None:
    key = NodeKey.generate()
    derived = [key.derive(purpose).reveal() for purpose in ("module", "tls", "settings", "activation")]
    for store in ("node", "store"):
        keys = key.store_keys(store)
        derived += [keys.record, keys.chain, keys.audit]
    assert len(set(derived)) == 10
    assert {len(each) for each in derived} == {32}
    assert key.store_keys("node") == key.store_keys("node")


def test_derivations_never_change() -> None:
    """Whoever changes one loses every store and secret that was made before."""
    key = NodeKey(bytes(8), Secret(bytes(range(32))))
    assert key.derive("tls").reveal().hex() == "6e9edd11d5e2ccd3a0f6077ca26f720972efc5d240e243f552af854a18545c3c"
    assert key.store_keys("node").record.hex() == "47e292179ab92b0de2fe6ef262c84d17c632ed491c0270584e2516524cac939a"


def test_a_sealed_secret_opens_for_its_node_purpose_and_context_only() -> None:
    key = NodeKey.generate()
    sealed = key.seal("tls", b"kmip", Secret(b"private"))
    assert key.unseal("tls", b"kmip", sealed).reveal() == b"private"
    for other, purpose, context in (
        (NodeKey.generate(), "tls", b"kmip"),
        (key, "settings", b"kmip"),
        (key, "tls", b""),
    ):
        with pytest.raises(Tampered):
            other.unseal(purpose, context, sealed)


def test_nothing_secret_in_what_is_shown() -> None:
    key = NodeKey.generate()
    assert repr(key) == f"NodeKey({key.id.hex()}, redacted)"
    assert key.store_keys("node").record.hex() not in repr(key.store_keys("node"))
    assert repr(key.store_keys("node")) == "DerivedStoreKeys()"
