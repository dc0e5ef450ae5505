"""Keyed digests: bound to one store, one use and one place; errors that name what fails and carry none of it."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import Tampered
from keystead.core.records import MaterialReference
from keystead.storage.sealed import Seals, key_of, material_of, text_of
from keystead.storage.store import StoreKeys
from keystead.trust.sealing import derive
from tests.support.stores import KEYS, object_id

STORE_ID = bytes(16)
SEALS = Seals(KEYS, STORE_ID)
PARTS = st.tuples(
    st.sampled_from(["object", "user", "u"]), st.binary(max_size=6), st.integers(0, 300), st.binary(max_size=6)
)


@given(PARTS, PARTS)
def test_different_parts_never_give_the_same_digest(
    one: tuple[str, bytes, int, bytes], other: tuple[str, bytes, int, bytes]
) -> None:
    assert (SEALS.record_mac(*one) == SEALS.record_mac(*other)) == (one == other)
    assert (SEALS.root_term(*one) == SEALS.root_term(*other)) == (one == other)


def test_the_record_mac_is_plain_hmac() -> None:
    key = derive(KEYS.record, "store/record", STORE_ID)
    framed = b"\0\0\0\4user\0\0\0\1"
    framed = (
        (4).to_bytes(4, "big") + (1).to_bytes(4, "big") + (7).to_bytes(8, "big") + (3).to_bytes(4, "big") + b"useridoc"
    )
    assert SEALS.record_mac("user", b"i", 7, b"doc") == hmac.new(key, framed, hashlib.sha256).digest()


def test_every_use_and_every_store_has_its_own_keys() -> None:
    others = Seals(KEYS, b"\1" * 16), Seals(StoreKeys(b"\7" * 32, b"\7" * 32, b"\7" * 32), STORE_ID)
    message = bytes(32)
    for seals in (SEALS, *others):
        digests = {
            seals.chain(b"", message),
            seals.leaf(b"", message),
            seals.marks_mac(message),
            seals.first_chain(message),
            seals.first_leaf(message),
        }
        assert len(digests) == 5
    assert len({seals.marks_mac(message) for seals in (SEALS, *others)}) == 3


def test_a_changed_record_is_named_and_nothing_of_it_told() -> None:
    key = key_of("object", object_id(1))
    assert key is not None
    mac = SEALS.record_mac("object", key, 1, b"the document")
    SEALS.check_record("object", key, 1, b"the document", mac)
    for revision, document, stored in (
        (2, b"the document", mac),
        (1, b"The document", mac),
        (1, b"the document", mac[:-1]),
    ):
        with pytest.raises(Tampered, match=object_id(1)) as caught:
            SEALS.check_record("object", key, revision, document, stored)
        assert "document" not in caught.value.message


def test_both_trails_begin_with_the_marks_of_the_store() -> None:
    assert SEALS.first_chain(b"marks") != SEALS.first_chain(b"other")
    assert SEALS.first_leaf(b"marks") != SEALS.first_leaf(b"other")


def test_the_root_opens_only_with_its_store_and_marks() -> None:
    sealed = SEALS.seal_root(b"the sum", b"marks")
    assert SEALS.open_root(sealed, b"marks") == b"the sum"
    assert b"the sum" not in sealed
    assert SEALS.seal_root(b"the sum", b"marks") != sealed
    wrong = [(SEALS, sealed, b"other"), (Seals(KEYS, b"\1" * 16), sealed, b"marks"), (SEALS, sealed[:-1], b"marks")]
    wrong += [(SEALS, b"", b"marks"), (SEALS, bytes(40), b"marks"), (SEALS, b"\1" + sealed[1:], b"marks")]
    for seals, stored, marks in wrong:
        with pytest.raises(Tampered):
            seals.open_root(stored, marks)


def test_material_is_held_against_the_document() -> None:
    named = MaterialReference("m", 4, hashlib.sha256(b"sealed").digest())
    found = material_of("object", "x", named, b"sealed")
    assert found is not None
    assert (found.id, found.version, found.sealed) == ("m", 4, b"sealed")
    assert material_of("object", "x", None, b"left over") is None
    for wrong in (None, b"", b"sealeD"):
        with pytest.raises(Tampered, match="object x"):
            material_of("object", "x", named, wrong)


@given(st.uuids().map(str))
def test_ids_of_objects_are_kept_as_16_bytes(record_id: str) -> None:
    key = key_of("object", record_id)
    assert key is not None
    assert len(key) == 16
    assert text_of("object", key) == record_id
    assert key_of("user", record_id) == record_id.encode()


@given(st.text(max_size=40))
def test_any_text_may_be_asked_for(asked: str) -> None:
    key = key_of("object", asked)
    assert key is None or text_of("object", key) == asked
