"""Spoiled requests: each has one answer that can be read, or ends the connection; nothing is raised."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.core.permission import Principal
from keystead.protocols.xml.translate.requests_table import REQUESTS
from keystead.protocols.xml.wire.framing import write_data
from tests.support.kmip_loopback import ALICE, Loopback
from tests.support.xml.client import FLAG, VERSION, request
from tests.support.xml.loopback import Connection

SAMPLES = [
    VERSION,
    request("RandGen", Size=8),
    request("DeviceInfo"),
    request("KeyGen", KeyName="fuzz.a", Algorithm="AES", KeySize=256, Exportable=FLAG, Deletable=FLAG),
    request("KeyGen", KeyName="fuzz.e", Algorithm="EC", CurveID="prime256v1", Exportable=FLAG),
    request("KeyImport", KeyName="fuzz.i", Algorithm="HmacSHA256", KeyData="00" * 32, Exportable=FLAG),
    request("KeyInfo", KeyName="fuzz.a"),
    request("KeyExport", KeyName="fuzz.e"),
    request("PublicKeyExport", KeyName="fuzz.e"),
    request("KeyNames", Offset=0, Maximum=2),
    request("KeyQuery", Maximum=2),
    request("Crypto", Action="ENCRYPT", KeyName="fuzz.a", Algorithm="AES/GCM/NoPadding") + write_data((b"data",)),
    request("Crypto", Action="MACV", KeyName="fuzz.i", MAC="00" * 32, Base64DataSingle="AAAA"),
    request("Crypto", Action="SIGN", KeyName="fuzz.e", Algorithm="SHA256withECDSA") + write_data((b"a", b"b")),
    request("KeyDel", KeyName="fuzz.a"),
]
WORDS = [name.removesuffix("Request").encode() for name in REQUESTS] + [
    *(b"ID", b"KeyName", b"Algorithm", b"Size", b"Data", b"true", b"fuzz.a", b"fuzz.e", b"-1", b"99999999999"),
    *(
        b"AES",
        b"RSA",
        b"EC",
        b"HmacSHA1",
        b"DES",
        b"AES/ECB/NoPadding",
        b"SIGNV",
        b"DECRYPT",
        b"\xff",
        b"&lt;",
        b"&#9;",
    ),
]


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with Loopback(tmp_path_factory.mktemp("spoiled")) as server:
        yield server


def check(loopback: Loopback, parts: list[bytes], principal: Principal | None = ALICE) -> None:
    for answer in Connection(loopback, principal).send(parts):
        assert answer.text("Success") in ("true", "false")
        assert answer.number != 1799


def test_the_samples_are_good(loopback: Loopback) -> None:
    said = Connection(loopback, ALICE).send([b"".join(SAMPLES)])
    assert len(said) == len(SAMPLES)
    assert [answer.name for answer in said if not answer.ok] == []


@given(st.integers(0, 2**32))
@settings(max_examples=300)
def test_spoiled_bytes_are_answered_or_end_it(loopback: Loopback, seed: int) -> None:
    random = Random(seed)
    stream = bytearray(b"".join(random.choices(SAMPLES, k=random.randrange(1, 6))))
    for _ in range(random.randrange(1, 6)):
        at = random.randrange(len(stream))
        stream[at : at + random.choice((0, 1, 1, 5, 40))] = random.choice((b"", b"<", b">", b"/", b"\0", b"9", b"\n"))
    cut = random.randrange(len(stream) + 1)
    check(loopback, [bytes(stream[:cut]), bytes(stream[cut:])])


@given(st.integers(0, 2**32))
@settings(max_examples=300)
def test_changed_words_are_answered(loopback: Loopback, seed: int) -> None:
    random = Random(seed)
    stream = b""
    for sample in random.choices(SAMPLES, k=3):
        spoiled = sample
        for _ in range(random.randrange(3)):
            spoiled = spoiled.replace(random.choice(WORDS), random.choice(WORDS), 1)
        stream += spoiled
    check(loopback, [stream])


@given(st.integers(0, 2**32))
@settings(max_examples=50)
def test_strangers_get_one_refusal(loopback: Loopback, seed: int) -> None:
    sample = Random(seed).choice(SAMPLES[1:])
    said = Connection(loopback, None).send([sample + SAMPLES[1]])
    assert [(answer.number, answer.is_fatal) for answer in said] == [(1201, True)]
