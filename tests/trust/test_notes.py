"""Signed notes, verifier keys, checkpoints and proofs: a note that another program made, and everything forged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import Invalid, Tampered
from keystead.trust.notes import (
    Checkpoint,
    Proof,
    VerifierKey,
    checkpoint_of,
    new_signing_key,
    opened,
    sign,
    split_notes,
)
from tests.storage.audit_tree.building import KEY, ORIGIN, PRIVATE

# The example of the format's first implementation.
KNOWN_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
KNOWN_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
KNOWN_NOTE = (
    f"{KNOWN_TEXT}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
CHECKPOINT = Checkpoint(ORIGIN, 3, bytes(range(32)), ("epoch own 1",))
NOTE = sign(CHECKPOINT.text, ORIGIN, PRIVATE)


def test_a_note_that_another_program_made() -> None:
    key = VerifierKey.from_text(KNOWN_KEY)
    assert key.text == KNOWN_KEY
    assert opened(KNOWN_NOTE, key) == KNOWN_TEXT


def test_a_checkpoint_comes_back_as_it_was_signed() -> None:
    assert checkpoint_of(NOTE, KEY) == CHECKPOINT
    assert CHECKPOINT.text.startswith(f"{ORIGIN}\n3\nAAECAwQF")


def test_signatures_of_others_are_passed_over_and_one_of_ours_must_fit() -> None:
    other = sign(CHECKPOINT.text, "witness/w", new_signing_key()[1]).rsplit("\n\n", 1)[1]
    assert checkpoint_of(NOTE + other, KEY) == CHECKPOINT
    with pytest.raises(Tampered, match="not signed by"):
        checkpoint_of(f"{CHECKPOINT.text}\n{other}", KEY)
    wrong = sign("other\n", ORIGIN, PRIVATE).rsplit("\n\n", 1)[1]
    with pytest.raises(Tampered, match="does not fit"):
        checkpoint_of(NOTE + wrong, KEY)


@given(st.integers(0, len(NOTE.encode()) - 1), st.integers(1, 255))
def test_a_note_with_one_other_byte_is_refused(place: int, flip: int) -> None:
    data = bytearray(NOTE.encode())
    data[place] ^= flip
    changed = bytes(data).decode(errors="surrogateescape")
    try:
        found = checkpoint_of(changed, KEY)
    except Tampered:
        return
    assert found == CHECKPOINT  # of what is signed nothing is another: the last digit before padding has idle bits
    assert changed.startswith(CHECKPOINT.text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no note",
        CHECKPOINT.text,
        NOTE[:-1],
        NOTE + "x",
        NOTE.replace("\n3\n", "\n03\n"),
        NOTE.replace(ORIGIN, f"{ORIGIN}\r"),
        CHECKPOINT.text + "\n" + "— a AAAAAAAA\n" * 17,
    ],
)
def test_what_is_no_note_is_refused(text: str) -> None:
    with pytest.raises(Tampered):
        checkpoint_of(text, KEY)


@pytest.mark.parametrize("size", ["-1", "03", "", "1e3", "9223372036854775808", "٣"])
def test_a_size_is_a_plain_number(size: str) -> None:
    note = sign(CHECKPOINT.text.replace("\n3\n", f"\n{size}\n"), ORIGIN, PRIVATE)
    with pytest.raises(Tampered):
        checkpoint_of(note, KEY)


def test_the_checkpoint_of_another_log_by_the_same_key_is_refused() -> None:
    note = sign(Checkpoint("keystead/other", 3, bytes(32)).text, ORIGIN, PRIVATE)
    with pytest.raises(Tampered, match="another log"):
        checkpoint_of(note, KEY)


@pytest.mark.parametrize(
    "text", ["", "a+b", KEY.text[:-2], KEY.text.replace("keystead", "keystaed"), "a b+00000000+AQ==", "a+0+b+c"]
)
def test_a_damaged_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        VerifierKey.from_text(text)


def test_notes_that_stand_one_after_the_other() -> None:
    other = sign(Checkpoint(ORIGIN, 4, bytes(32)).text, ORIGIN, PRIVATE)
    assert split_notes(NOTE + other + NOTE) == ([NOTE, other, NOTE], "")
    assert split_notes("") == ([], "")
    for cut in range(1, len(other)):
        assert split_notes(NOTE + other[:cut]) == ([NOTE], other[:cut])


@given(st.integers(0, 2**60), st.lists(st.binary(min_size=32, max_size=32), max_size=64), st.binary(max_size=99))
def test_a_proof_comes_back_as_it_was_written(index: int, steps: list[bytes], extra: bytes) -> None:
    proof = Proof(index, tuple(steps), NOTE, extra)
    assert Proof.from_text(proof.text) == proof


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v1\n\n",
        "c2sp.org/tlog-proof@v1\nextra !\nindex 1\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 01\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 1\n" + f"{'A' * 43}=\n" * 65 + "\nnote",
        "c2sp.org/tlog-proof@v2\nindex 1\n\nnote",
    ],
)
def test_what_is_no_proof_is_refused(text: str) -> None:
    with pytest.raises(Tampered):
        Proof.from_text(text)
