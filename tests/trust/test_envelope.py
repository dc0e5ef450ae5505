import hashlib
import io
import itertools
import json
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.core.errors import Invalid, KeysteadError, NotSupported, Refused, Tampered, TooLarge, Unavailable
from keystead.core.secret import Secret
from keystead.trust import envelope
from keystead.trust.envelope import CHUNK_BYTES, MAGIC, TRAILER_BYTES, Sealing, seal, verify
from keystead.trust.origins import Origin, OriginKey
from keystead.trust.recipients import Identity, Module, PaperShares, Passphrase, Quorum, RecipientSecret, Shares
from keystead.trust.root import Role
from keystead.trust.sealing import TAG_BYTES
from tests.support import envelope_reader
from tests.support.modules import Bench

ORIGIN, FOREIGN = Origin.generate(), Origin.generate()
OWNER = RecipientSecret.generate()
TRUSTED = {ORIGIN.key.id: ORIGIN.key}
WHOLE_CHUNK = CHUNK_BYTES + TAG_BYTES
ANSWERS = Path(__file__).parents[1] / "fixtures" / "envelopes"
LENGTHS = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 77]


def sealed(content: bytes = b"content", *, kind: str = "test", origin: Origin = ORIGIN) -> bytes:
    target = io.BytesIO()
    seal([content], target, Sealing(kind, [OWNER.key], origin, 1_700_000_000_000_000, {"what": "a test"}))
    return target.getvalue()


def opened(data: bytes, trusted: dict[bytes, OriginKey] | None = None) -> bytes:
    return b"".join(verify(io.BytesIO(data), TRUSTED if trusted is None else trusted, "test").open([OWNER]))


def content_at(data: bytes) -> int:
    return len(MAGIC) + 4 + int.from_bytes(data[len(MAGIC) : len(MAGIC) + 4], "big")


def signed_again(data: bytes, origin: Origin = ORIGIN) -> bytes:
    """Give changed bytes a signature that holds, as a recipient who is also the origin could."""
    body = data[:-TRAILER_BYTES] + envelope._SUITE.pack(1) + origin.key.id
    return body + origin.sign(hashlib.sha512(body).digest(), "envelope")


@pytest.mark.parametrize("length_bytes", LENGTHS)
def test_what_is_sealed_comes_back(length_bytes: int) -> None:
    content = os.urandom(length_bytes)
    data = sealed(content)
    found = verify(io.BytesIO(data), TRUSTED, "test")
    assert found.length_bytes == length_bytes
    assert b"".join(found.open([OWNER])) == content
    assert found.header.about == {"what": "a test"}
    assert found.header.made_at == 1_700_000_000_000_000
    assert found.origin == ORIGIN.key
    assert length_bytes < 64 or content[:64] not in data


@given(st.lists(st.binary(max_size=200_000), max_size=6))
@settings(max_examples=25, deadline=None)
def test_pieces_of_any_length_make_the_same_content(pieces: list[bytes]) -> None:
    target = io.BytesIO()
    seal(pieces, target, Sealing("test", [OWNER.key], ORIGIN, 1, {}))
    assert opened(target.getvalue()) == b"".join(pieces)


def test_any_of_several_recipients_opens_it(tmp_path: Path) -> None:
    paper = PaperShares(2, 3)
    target = io.BytesIO()
    word = Passphrase(Secret("Grüße".encode()))
    seal([b"for all"], target, Sealing("test", [word, paper, OWNER.key], ORIGIN, 1, {}))
    found = verify(target, TRUSTED, "test")
    for identity in (word, Shares(paper.made[1:]), OWNER):
        assert found.read([identity], 100).matches(Secret(b"for all"))
    with pytest.raises(Refused):
        found.read([RecipientSecret.generate()], 100)


# ------------------------------------------------------------------------------------------------- each is refused


def _cut(data: bytes) -> bytes:
    return data[:-1]


def _cut_by_a_chunk(data: bytes) -> bytes:
    start = content_at(data)
    return data[:start] + data[start + WHOLE_CHUNK :]


def _appended(data: bytes) -> bytes:
    return data + b"\0"


def _reordered(data: bytes) -> bytes:
    start = content_at(data)
    first, second = data[start : start + WHOLE_CHUNK], data[start + WHOLE_CHUNK : start + 2 * WHOLE_CHUNK]
    return data[:start] + second + first + data[start + 2 * WHOLE_CHUNK :]


def _repeated(data: bytes) -> bytes:
    start = content_at(data)
    return data[: start + WHOLE_CHUNK] + data[start:]


def _without_its_end(data: bytes) -> bytes:
    start, end = content_at(data), len(data) - TRAILER_BYTES
    return data[: start + 2 * WHOLE_CHUNK] + data[end:]


def _swapped(data: bytes) -> bytes:
    """Put another envelope's content behind this header."""
    other = sealed(bytes(3 * CHUNK_BYTES))
    return data[: content_at(data)] + other[content_at(other) :]


CHANGES: list[Callable[[bytes], bytes]] = [
    *(_cut, _cut_by_a_chunk, _appended, _reordered, _repeated, _without_its_end, _swapped),
]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_envelopes_are_refused_by_their_signature(change: Callable[[bytes], bytes]) -> None:
    data = sealed(os.urandom(2 * CHUNK_BYTES + 5))
    with pytest.raises(Tampered):
        opened(change(data))


@pytest.mark.parametrize("change", [_reordered, _repeated, _without_its_end, _swapped])
def test_and_by_their_content_even_if_somebody_signed_them(change: Callable[[bytes], bytes]) -> None:
    data = signed_again(change(sealed(os.urandom(2 * CHUNK_BYTES + 5))))
    with pytest.raises(Tampered, match="content"):
        opened(data)


@given(st.integers(0, 10**9), st.integers(1, 255))
@settings(deadline=None)
def test_no_byte_can_be_changed(place: int, change: int) -> None:
    data = bytearray(SMALL)
    data[place % len(data)] ^= change
    with pytest.raises((Tampered, NotSupported)):
        opened(bytes(data))


@given(st.integers(0, 10**9))
@settings(deadline=None)
def test_no_end_can_be_missing(length_bytes: int) -> None:
    with pytest.raises((Tampered, NotSupported)):
        opened(SMALL[: length_bytes % len(SMALL)])


SMALL = sealed(b"small")


def test_who_is_not_trusted_is_refused_though_the_signature_holds() -> None:
    with pytest.raises(Tampered, match="nobody who is trusted"):
        opened(sealed(origin=FOREIGN))
    with pytest.raises(Tampered):
        opened(sealed(), trusted={})


def test_another_origins_name_is_no_signature() -> None:
    data = sealed(origin=FOREIGN)
    forged = data[: -TRAILER_BYTES + 2] + ORIGIN.key.id + data[-TRAILER_BYTES + 2 + 32 :]
    with pytest.raises(Tampered, match="does not hold"):
        opened(forged)


def test_the_header_is_not_read_before_the_signature_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_arguments: object) -> None:
        raise AssertionError("interpreted before it was verified")

    monkeypatch.setattr(envelope, "_read_header", unreadable)
    for change in CHANGES:
        with pytest.raises(Tampered):
            opened(change(sealed(os.urandom(2 * CHUNK_BYTES + 5))))


@pytest.mark.parametrize("suite", [0, 2, 0xFFFF])
def test_other_suites_are_refused_by_name(suite: int) -> None:
    data = sealed()
    body = data[:-TRAILER_BYTES] + suite.to_bytes(2, "big") + ORIGIN.key.id
    downgraded = body + ORIGIN.sign(hashlib.sha512(body).digest(), "envelope")
    with pytest.raises(NotSupported, match=f"suite {suite}"):
        opened(downgraded)
    with pytest.raises(Invalid):
        opened(with_header(suite=suite))


def test_other_formats_are_refused_by_name() -> None:
    with pytest.raises(NotSupported, match="format"):
        opened(sealed().replace(b"env-1", b"env-0", 1))


def test_another_kind_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="'other', not 'test'"):
        opened(sealed(kind="other"))


# ------------------------------------------------------------------------------- headers of an origin that went mad


def with_header(*, raw: bytes | None = None, **changes: Any) -> bytes:
    data = sealed()
    start = content_at(data)
    fields = cbor2.loads(data[len(MAGIC) + 4 : start])
    for name, value in changes.items():
        if value is None:
            del fields[name]
        else:
            fields[name] = value
    header = cbor2.dumps(fields, canonical=True) if raw is None else raw
    return signed_again(MAGIC + len(header).to_bytes(4, "big") + header + data[start:])


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": None},
        {"extra": 1},
        {"id": b"short"},
        {"id": 7},
        {"prefix": b"12345678"},
        {"prefix": None},
        {"about": [1]},
        {"made": "yesterday"},
        {"recipients": []},
        {"recipients": [["hpke", {}]] * 17},
        {"recipients": [["hpke"]]},
        {"recipients": [["hpke", 5]]},
        {"recipients": 5},
    ],
)
def test_headers_that_break_the_form_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((Invalid, Refused)):
        opened(with_header(**changes))


@pytest.mark.parametrize(
    "raw", [b"", b"\xff", b"\xa0", b"\x80", b"\x9f\xff", b"\xbf" + bytes(50), b"\x1b" + b"\xff" * 8]
)
def test_headers_that_are_no_maps_are_refused(raw: bytes) -> None:
    with pytest.raises(Invalid):
        opened(with_header(raw=raw))


def test_a_header_in_another_encoding_is_refused() -> None:
    data = sealed()
    header = data[len(MAGIC) + 4 : content_at(data)]
    with pytest.raises(Invalid):
        opened(with_header(raw=header + b"\0"))
    fields = cbor2.loads(header)
    with pytest.raises(Invalid):
        opened(with_header(raw=cbor2.dumps(dict(reversed(fields.items())))))


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_signed_header_gives_a_clear_error(raw: bytes) -> None:
    with pytest.raises(KeysteadError):
        opened(with_header(raw=raw))


def test_a_header_longer_than_the_file_is_refused() -> None:
    data = sealed()
    longer = data[: len(MAGIC)] + b"\xff\xff\xff\xff" + data[len(MAGIC) + 4 :]
    with pytest.raises(Invalid, match="longer"):
        opened(signed_again(longer))


def test_a_header_is_bound_to_its_content() -> None:
    with pytest.raises(Tampered, match="content"):
        opened(with_header(made=1))


def test_content_that_changes_after_the_check_is_refused() -> None:
    source = io.BytesIO(sealed(os.urandom(CHUNK_BYTES + 1)))
    found = verify(source, TRUSTED, "test")
    source.seek(found.content_at + WHOLE_CHUNK)
    source.write(b"x")
    pieces = found.open([OWNER])
    next(pieces)
    with pytest.raises(Tampered):
        next(pieces)


# ------------------------------------------------------------------------------------------------------------ bounds


def test_memory_does_not_grow_with_the_content(tmp_path: Path) -> None:
    def content() -> Iterator[bytes]:
        for _ in range(64):
            yield bytes(1_048_576)

    path = tmp_path / "large"
    tracemalloc.start()
    with path.open("wb") as target:
        seal(content(), target, Sealing("test", [OWNER.key], ORIGIN, 1, {}))
    with path.open("rb") as source:
        length = sum(len(piece) for piece in verify(source, TRUSTED, "test").open([OWNER]))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert length == 64 * 1_048_576
    assert peak_bytes < 8 * 1_048_576


def test_what_is_said_about_the_content_is_bounded() -> None:
    with pytest.raises(TooLarge):
        seal([b""], io.BytesIO(), Sealing("test", [OWNER.key], ORIGIN, 1, {"long": bytes(envelope.HEADER_BYTES_MAX)}))
    with pytest.raises(TooLarge):
        verify(io.BytesIO(sealed(bytes(101))), TRUSTED, "test").read([OWNER], 100)


@pytest.mark.parametrize("count", [0, envelope.RECIPIENTS_COUNT_MAX + 1])
def test_recipients_are_one_to_sixteen(count: int) -> None:
    with pytest.raises(Invalid):
        seal([b""], io.BytesIO(), Sealing("test", [OWNER.key] * count, ORIGIN, 1, {}))


# ------------------------------------------------------------------------- known answers and the second reader


def answers() -> list[dict[str, Any]]:
    return list(json.loads((ANSWERS / "answers.json").read_text())["answers"])


def answer_id(answer: dict[str, Any]) -> str:
    return str(answer["file"])


def content_of(answer: dict[str, Any]) -> bytes:
    """Return the content: a byte counter, so that no long text has to be kept."""
    return bytes(itertools.islice(itertools.cycle(range(251)), answer["length_bytes"]))


@pytest.mark.parametrize("answer", answers(), ids=answer_id)
def test_known_answers_are_read_as_ever(answer: dict[str, Any]) -> None:
    keys = json.loads((ANSWERS / "answers.json").read_text())["keys"]
    data = (ANSWERS / answer["file"]).read_bytes()
    key = Origin(Secret(bytes.fromhex(keys["origin"]))).key
    identity: Identity = RecipientSecret(Secret(bytes.fromhex(keys["recipient"])))
    if answer.get("by") == "passphrase":
        identity = Passphrase(Secret(keys["passphrase"].encode()))
    causes = {"tampered": Tampered, "not-supported": NotSupported, "invalid": Invalid, "refused": Refused}
    if answer["result"] != "opens":
        with pytest.raises(causes[answer["result"]]):
            b"".join(verify(io.BytesIO(data), {key.id: key}, "answer").open([identity]))
        return
    found = verify(io.BytesIO(data), {key.id: key}, "answer")
    assert b"".join(found.open([identity])) == content_of(answer)


@pytest.mark.parametrize("answer", answers(), ids=answer_id)
def test_the_second_reader_agrees_on_known_answers(answer: dict[str, Any]) -> None:
    keys = json.loads((ANSWERS / "answers.json").read_text())["keys"]
    data = (ANSWERS / answer["file"]).read_bytes()
    origin = Origin(Secret(bytes.fromhex(keys["origin"]))).key.encoded
    recipient, passphrase = bytes.fromhex(keys["recipient"]), str(keys["passphrase"]).encode()
    given: dict[str, Any] = {"passphrase": passphrase} if answer.get("by") == "passphrase" else {"recipient": recipient}
    if answer["result"] != "opens":
        with pytest.raises(envelope_reader.Refusal) as refusal:
            envelope_reader.read(data, origins=[origin], kind="answer", **given)
        assert refusal.value.cause == answer["result"]
        return
    assert envelope_reader.read(data, origins=[origin], kind="answer", **given).content == content_of(answer)


@pytest.mark.parametrize("length_bytes", LENGTHS)
def test_the_second_reader_opens_what_is_written_today(length_bytes: int) -> None:
    paper, custodians = PaperShares(2, 3), [RecipientSecret.generate() for _ in range(3)]
    quorum = Quorum(2, [custodian.key for custodian in custodians])
    word, content = Secret(b"a passphrase"), os.urandom(length_bytes)
    target = io.BytesIO()
    seal(
        [content],
        target,
        Sealing("test", [Passphrase(word), OWNER.key, paper, quorum], ORIGIN, 7, {"a": [1, b"b", "c"]}),
    )
    ways: list[dict[str, Any]] = [
        {"passphrase": word.reveal()},
        {"recipient": OWNER.secret.reveal()},
        {"shares": [(share.index, share.value) for share in paper.made[1:]]},
        {"custodians": [custodian.secret.reveal() for custodian in custodians[:2]]},
    ]
    for way in ways:
        found = envelope_reader.read(target.getvalue(), origins=[ORIGIN.key.encoded], kind="test", **way)
        assert (found.content, found.about, found.made) == (content, {"a": [1, b"b", "c"]}, 7)


@pytest.mark.parametrize("change", CHANGES)
def test_the_second_reader_refuses_the_same(change: Callable[[bytes], bytes]) -> None:
    data = change(sealed(os.urandom(2 * CHUNK_BYTES + 5)))
    with pytest.raises(envelope_reader.Refusal) as refusal:
        envelope_reader.read(data, origins=[ORIGIN.key.encoded], kind="test", recipient=OWNER.secret.reveal())
    assert refusal.value.cause == "tampered"


def test_the_security_module_is_a_recipient_and_another_one_is_not() -> None:
    bench, other = Bench(), Bench().unlocked()
    module, target = bench.unlocked(), io.BytesIO()
    seal([b"keys"], target, Sealing("test", [Module(module)], ORIGIN, 1, {}))
    found = verify(target, TRUSTED, "test")
    assert found.read([Module(module)], 100).matches(Secret(b"keys"))
    with pytest.raises(Refused, match="another security module"):
        found.read([Module(other)], 100)
    module.logout(Role.CRYPTO_USER)
    with pytest.raises(Unavailable):
        found.read([Module(module)], 100)


def test_a_module_of_the_same_domain_opens_it_once_it_has_the_partition() -> None:
    bench = Bench()
    module, target = bench.unlocked(), io.BytesIO()
    seal([b"keys"], target, Sealing("test", [Module(module)], ORIGIN, 1, {}))
    other = bench.another(bench.domain)
    new = other.module()
    new.initialise(other.security_officer, other.domain)
    new.create_partition(other.partition_request(module.export_partition()))
    assert verify(target, TRUSTED, "test").read([Module(new)], 100).matches(Secret(b"keys"))
