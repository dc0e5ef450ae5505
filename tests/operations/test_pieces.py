"""Data in pieces: the same answers as whole, whose stream it is, when it ends, and what is never given out early."""

import hashlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystead.core.errors import KeysteadError
from keystead.core.structures import TAG_USAGE_LIMITS_COUNT, made
from keystead.gate.call import Batch
from keystead.gate.streams import IDLE_S_MAX, STREAMS_PER_USER_COUNT_MAX
from keystead.operations.key_pairs import CreateKeyPair, Wishes
from keystead.operations.macs import Mac, MacVerify
from keystead.operations.pieces import (
    DecryptPiece,
    EncryptPiece,
    HashPiece,
    MacPiece,
    MacVerifyPiece,
    PieceDone,
    SignatureVerifyPiece,
    SignPiece,
)
from keystead.operations.requests import CipherParameters, Decrypt, Encrypt, Get, Revoke
from keystead.operations.signatures import SignatureVerify
from keystead.trust.pieces import GATHERED_BYTES_MAX
from keystead.trust.root import Role
from tests.support.builders import ALICE, BOB, HMAC_SHA256, Node, a_key, attributes, date, enumeration

DATA = bytes(range(256)) * 3
CBC, PADDED, CTR, CFB, GCM, CCM = (
    CipherParameters(mode=1),
    CipherParameters(mode=1, padding=3),
    CipherParameters(mode=6),
    CipherParameters(mode=4),
    CipherParameters(mode=9),
    CipherParameters(mode=8),
)
SHA_256 = CipherParameters(hashing=6)
BOTH = 128 | 256


def feed(node: Node, kind: Callable[..., Any], pieces: list[bytes], **first: Any) -> PieceDone:
    """All pieces through one stream; the last answer, with all data that came out."""
    done = node.ask(ALICE, kind(pieces[0], **first))
    data = done.data
    iv = done.iv
    target = {"target": first["target"]} if "target" in first else {}
    for place, one in enumerate(pieces[1:], 2):
        assert done.correlation is not None
        done = node.ask(ALICE, kind(one, correlation=done.correlation, is_last=place == len(pieces), **target))
        data += done.data
    assert done.correlation is None
    return PieceDone(done.id, data, None, iv, done.tag, done.is_valid)


def cut(data: bytes, *places: int) -> list[bytes]:
    ends = [0, *places, len(data)]
    return [data[begin:end] for begin, end in pairwise(ends)]


@pytest.mark.parametrize(
    "parameters", [CBC, PADDED, CTR, CFB, GCM, CCM], ids=["CBC", "PKCS5", "CTR", "CFB", "GCM", "CCM"]
)
def test_pieces_give_what_the_whole_gives(node: Node, parameters: CipherParameters) -> None:
    key = a_key(node)
    iv = bytes(16 if parameters.mode in (1, 4, 6) else 12)
    whole = node.ask(ALICE, Encrypt(DATA, key, parameters, iv))
    pieces = feed(node, EncryptPiece, cut(DATA, 5, 5, 300), target=key, parameters=parameters, iv=iv)
    assert (pieces.data, pieces.tag) == (whole.data, whole.tag)
    first = {"target": key, "parameters": parameters, "iv": iv, "proof": whole.tag}
    assert feed(node, DecryptPiece, cut(whole.data, 1, 300), **first).data == DATA


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(data=st.binary(max_size=200), places=st.lists(st.integers(0, 200), max_size=4))
def test_wherever_the_data_is_cut(node: Node, data: bytes, places: list[int]) -> None:
    key = a_key(node)
    at = sorted(min(place, len(data)) for place in places)
    pieces = [*cut(data, *at), b""]
    sealed = feed(node, EncryptPiece, pieces, target=key, parameters=PADDED, iv=bytes(16)).data
    assert node.ask(ALICE, Decrypt(sealed, key, PADDED, bytes(16))).data == data
    digest = feed(node, HashPiece, pieces, parameters=SHA_256).data
    assert digest == hashlib.sha256(data).digest()


def test_codes_and_signatures(node: Node) -> None:
    mac_key = a_key(node, algorithm=HMAC_SHA256, mask=BOTH)
    code = feed(node, MacPiece, cut(DATA, 7), target=mac_key).data
    assert code == node.ask(ALICE, Mac(DATA, mac_key)).code
    assert feed(node, MacVerifyPiece, cut(DATA, 9), target=mac_key, proof=code).is_valid
    assert feed(node, MacVerifyPiece, cut(DATA, 9), target=mac_key, proof=code[:-1]).is_valid is False
    cmac_key = a_key(node, mask=BOTH)
    cmac = CipherParameters(mode=7)
    assert feed(node, MacPiece, cut(DATA, 7), target=cmac_key, parameters=cmac).data == (
        node.ask(ALICE, Mac(DATA, cmac_key, cmac)).code
    )


@pytest.mark.parametrize("algorithm", [26, 0x37], ids=["ECDSA", "Ed25519"])
def test_signatures_in_pieces_are_signatures(node: Node, algorithm: int) -> None:
    common = Wishes(attributes(Cryptographic_Algorithm=enumeration(algorithm), Activation_Date=date(-9)))
    pair = node.ask(ALICE, CreateKeyPair(common))
    signature = feed(node, SignPiece, cut(DATA, 99), target=pair.private_id).data
    assert node.ask(ALICE, SignatureVerify(DATA, signature, pair.public_id)).is_valid
    assert feed(node, SignatureVerifyPiece, cut(DATA, 1), target=pair.public_id, proof=signature).is_valid
    changed = feed(node, SignatureVerifyPiece, cut(DATA + b"x", 1), target=pair.public_id, proof=signature)
    assert changed.is_valid is False


def begun(node: Node, key: str, **more: Any) -> bytes:
    first = {"parameters": CTR, "iv": bytes(16), **more}
    correlation = node.ask(ALICE, EncryptPiece(b"data", key, **first)).correlation
    assert correlation is not None
    return bytes(correlation)


def test_a_stream_is_its_owners_its_keys_and_its_operations_alone(node: Node) -> None:
    key, other = a_key(node), a_key(node)
    correlation = begun(node, key)
    assert node.reason(BOB, HashPiece(b"x", correlation=correlation)) == "invalid.field"
    assert node.reason(ALICE, EncryptPiece(b"x", other, correlation)) == "invalid.field"
    assert node.reason(ALICE, DecryptPiece(b"x", key, correlation)) == "invalid.field"
    assert node.reason(ALICE, EncryptPiece(b"x", key, bytes(16))) == "invalid.field"
    assert node.ask(ALICE, EncryptPiece(b"x", key, correlation, is_last=True)).correlation is None
    assert node.reason(ALICE, EncryptPiece(b"x", key, correlation)) == "invalid.field"  # it is over


def test_every_piece_needs_what_the_whole_would(node: Node) -> None:
    key = a_key(node)
    correlation = begun(node, key)
    node.ask(ALICE, Revoke(1, target=key))
    assert node.reason(ALICE, EncryptPiece(b"x", key, correlation)) == "wrong_state.object"
    decrypting = a_key(node, mask=8)
    refused = EncryptPiece(b"x", decrypting, parameters=CTR, iv=bytes(16))
    assert node.reason(ALICE, refused) == "refused.usage_mask"


def test_nothing_is_held_without_the_key_cache_or_while_locked(node: Node) -> None:
    key = a_key(node)
    correlation = begun(node, key)
    node.module.logout(Role.CRYPTO_USER)
    node.unlock()
    assert node.reason(ALICE, EncryptPiece(b"x", key, correlation)) == "invalid.field"
    for _ in range(2 * STREAMS_PER_USER_COUNT_MAX):  # those that the lock has ended count no more
        begun(node, key)
        node.module.logout(Role.CRYPTO_USER)
        node.unlock()
    node.module.set_key_cache(enabled=False)
    assert node.reason(ALICE, EncryptPiece(b"x", key, parameters=CTR, iv=bytes(16))) == "unavailable.locked"
    assert feed(node, HashPiece, [b"a", b"b"], parameters=SHA_256).data == hashlib.sha256(b"ab").digest()


def test_streams_are_bounded_and_grow_old(node: Node) -> None:
    key = a_key(node)
    last = [begun(node, key) for _ in range(STREAMS_PER_USER_COUNT_MAX)][-1]
    assert node.reason(ALICE, EncryptPiece(b"x", key, parameters=CTR, iv=bytes(16))) == "limited"
    assert node.reason(BOB, HashPiece(b"x", parameters=SHA_256)) is None
    node.clock.pass_s(IDLE_S_MAX + 1)
    assert node.reason(ALICE, EncryptPiece(b"x", key, last)) == "invalid.field"
    begun(node, key)


def test_what_gathers_gathers_no_more_than_it_may(node: Node) -> None:
    key = a_key(node)
    first = EncryptPiece(bytes(GATHERED_BYTES_MAX), key, parameters=CCM, iv=bytes(12))
    correlation = node.ask(ALICE, first).correlation
    assert node.reason(ALICE, EncryptPiece(b"x", key, correlation)) == "too_large.request"
    assert node.reason(ALICE, EncryptPiece(b"x", key, correlation)) == "invalid.field"  # and the stream is gone


def test_nothing_unauthenticated_is_given_out(node: Node) -> None:
    key = a_key(node)
    whole = node.ask(ALICE, Encrypt(DATA, key, GCM, bytes(12)))
    first = node.ask(ALICE, DecryptPiece(whole.data, key, parameters=GCM, iv=bytes(12)))
    assert first.data == b""
    wrong = DecryptPiece(b"", key, first.correlation, is_last=True, proof=bytes(16))
    assert node.reason(ALICE, wrong) == "cryptography"


def test_a_piece_that_is_run_anew_is_fed_once(node: Node) -> None:
    limits = made("Usage Limits", 100, None, 2)
    key = a_key(node, Usage_Limits=limits)
    whole = feed(node, EncryptPiece, cut(DATA, 5), target=a_key(node), parameters=CTR, iv=bytes(16))
    assert len(whole.data) == len(DATA)
    inner = node.gate.committer
    lost: list[int] = []

    class LosesOnce:
        """A committer before which somebody else changes the key, once."""

        def submit(self, transaction: Any, done: Any) -> None:
            if not lost:
                lost.append(1)
                node.change(key, last_change_us=node.clock.us)
            inner.submit(transaction, done)

    node.gate.committer = LosesOnce()
    got = feed(node, EncryptPiece, cut(DATA, 5), target=key, parameters=CTR, iv=bytes(16)).data
    assert lost
    assert node.ask(ALICE, Decrypt(got, key, CTR, bytes(16))).data == DATA
    left = node.record(key).attributes.first("Usage Limits")
    assert left is not None
    assert left.field(TAG_USAGE_LIMITS_COUNT) == 99


def test_what_is_taken_back_ends_the_stream(node: Node) -> None:
    key = a_key(node)
    correlation = begun(node, key)
    answers: list[Any] = []
    failing = (EncryptPiece(b"x", key, correlation), Get("018f0000-0000-7000-8000-000000000000"))
    node.gate.run(Batch(ALICE, failing, number=1, undo=True), answers.append)
    assert [reply.error.reason for reply in answers[0]] == ["undone", "not_found.item"]
    assert node.reason(ALICE, EncryptPiece(b"x", key, correlation)) == "invalid.field"


def test_what_does_not_fit_ends_the_stream_with_a_reason(node: Node) -> None:
    key = a_key(node)
    short = node.ask(ALICE, EncryptPiece(b"abc", key, parameters=CBC, iv=bytes(16))).correlation
    last = EncryptPiece(b"", key, short, is_last=True)
    assert node.reason(ALICE, last) == "invalid.cryptographic_parameters"
    garbage = node.ask(ALICE, DecryptPiece(bytes(32), key, parameters=PADDED, iv=bytes(16))).correlation
    assert node.reason(ALICE, DecryptPiece(b"", key, garbage, is_last=True)) == "cryptography"
    for parameters, iv in (
        (CBC, bytes(15)),
        (CBC, None),
        (GCM, bytes(7)),
        (CipherParameters(mode=6, padding=3), bytes(16)),
    ):
        assert node.reason(ALICE, EncryptPiece(b"", key, parameters=parameters, iv=iv)) is not None
    assert node.reason(ALICE, HashPiece(b"")) == "invalid.missing"
    assert node.reason(ALICE, HashPiece(b"", parameters=CipherParameters(hashing=4))) == "refused.switched_off"


def test_no_data_shows(node: Node) -> None:
    canary = b"canary-in-pieces"
    piece = HashPiece(canary, parameters=SHA_256)
    with pytest.raises(KeysteadError):
        node.ask(ALICE, HashPiece(canary, correlation=bytes(16)))
    node.ask(ALICE, piece)
    assert "canary" not in repr(piece) + "".join(node.lines())


def test_a_piece_that_is_refused_is_not_fed(node: Node) -> None:
    key = a_key(node, algorithm=HMAC_SHA256, mask=BOTH, Usage_Limits=made("Usage Limits", 10, None, 1))
    correlation = node.ask(ALICE, MacPiece(b"a", key)).correlation
    assert node.reason(ALICE, MacPiece(b"b" * 10, key, correlation)) == "refused.usage_limit"
    code = node.ask(ALICE, MacPiece(b"", key, correlation, is_last=True)).data
    assert node.ask(ALICE, MacVerify(b"a", code, key)).is_valid
    assert not node.ask(ALICE, MacVerify(b"a" + b"b" * 10, code, key)).is_valid
