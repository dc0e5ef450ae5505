"""CryptoRequest on a running node: what goes in chunks comes out, whatever is in them; a refused one leaves none."""

import hmac
from base64 import b64encode
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystead.protocols.xml.wire.framing import DATA_BYTES_MAX, write_data
from tests.support.dev_node import DevNode
from tests.support.xml.client import FLAG, Answer, Client, logged_in, request

HOSTILE = b"</Data><Size>3</Size>\0\xff<CryptoRequest><ID>9</ID></CryptoRequest>"
GCM, CBC = "AES/GCM/NoPadding", "AES/CBC/PKCS5Padding"


@pytest.fixture(scope="module")
def keys(node: DevNode) -> dict[str, str]:
    """Names of alice's keys by algorithm."""
    names = {"AES": "crypto.aes", "HmacSHA256": "crypto.mac", "RSA": "crypto.rsa", "EC": "crypto.ec"}
    with logged_in(node, "alice") as client:
        for algorithm, name in names.items():
            more: dict[str, Any] = {"KeySize": 2048} if algorithm == "RSA" else {}
            assert client.ask("KeyGen", KeyName=name, Algorithm=algorithm, Exportable=FLAG, **more).ok
    return names


def crypto(client: Client, action: str, key: str, data: bytes, **more: Any) -> Answer:
    return client.ask("Crypto", data, Action=action, KeyName=key, **more)


@pytest.mark.parametrize("how", [CBC, GCM, "AES/CTR/NoPadding"])
@pytest.mark.parametrize("data", [b"", HOSTILE, bytes(1_100_000)], ids=["empty", "hostile", "long"])
@pytest.mark.row("KS-NAE-014")
def test_what_is_encrypted_is_decrypted(alice: Client, keys: dict[str, str], how: str, data: bytes) -> None:
    sealed = crypto(alice, "ENCRYPT", keys["AES"], data, Algorithm=how)
    assert sealed.data != data or not data
    opened = crypto(alice, "DECRYPT", keys["AES"], sealed.data or b"", Algorithm=how, IV=sealed.text("IV"))
    assert opened.data == data


def test_gcm_is_gcm(alice: Client, keys: dict[str, str]) -> None:
    key = AESGCM(bytes.fromhex(alice.ask("KeyExport", KeyName=keys["AES"]).text("KeyData")))
    sealed = crypto(alice, "ENCRYPT", keys["AES"], HOSTILE, Algorithm=GCM, AAD="0102")
    iv = bytes.fromhex(sealed.text("IV"))
    assert key.decrypt(iv, sealed.data or b"", b"\1\2") == HOSTILE
    with pytest.raises(InvalidTag):
        key.decrypt(iv, sealed.data or b"", None)
    for spoiled in (b"short", (sealed.data or b"")[:-1] + b"\0"):
        answer = crypto(alice, "DECRYPT", keys["AES"], spoiled, Algorithm=GCM, IV=iv.hex())
        assert answer.number == 1601


@pytest.mark.row("KS-NAE-014")
def test_codes_are_made_and_judged(alice: Client, keys: dict[str, str]) -> None:
    key = bytes.fromhex(alice.ask("KeyExport", KeyName=keys["HmacSHA256"]).text("KeyData"))
    code = crypto(alice, "MAC", keys["HmacSHA256"], HOSTILE, Algorithm="HmacSHA256").data
    assert code == hmac.digest(key, HOSTILE, "sha256")
    for data, verdict in ((HOSTILE, "true"), (b"other", "false")):
        answer = crypto(alice, "MACV", keys["HmacSHA256"], data, MAC=code.hex())
        assert (answer.text("Valid"), answer.data) == (verdict, None)


@pytest.mark.parametrize(
    ("algorithm", "how"), [("RSA", "SHA256withRSA"), ("RSA", "SHA512withRSA/PSS"), ("EC", "SHA256withECDSA")]
)
@pytest.mark.row("KS-NAE-014")
def test_signatures_are_made_and_judged(alice: Client, keys: dict[str, str], algorithm: str, how: str) -> None:
    signature = crypto(alice, "SIGN", keys[algorithm], HOSTILE, Algorithm=how).data or b""
    for data, verdict in ((HOSTILE, "true"), (b"other", "false")):
        answer = crypto(alice, "SIGNV", keys[algorithm], data, Algorithm=how, Signature=signature.hex())
        assert answer.text("Valid") == verdict


def test_a_pair_encrypts_with_its_public_half(alice: Client, keys: dict[str, str]) -> None:
    how = "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"
    sealed = crypto(alice, "ENCRYPT", keys["RSA"], b"secret", Algorithm=how).data or b""
    assert crypto(alice, "DECRYPT", keys["RSA"], sealed, Algorithm=how).data == b"secret"


@pytest.mark.row("KS-LOG-030", "KS-NAE-014")
def test_several_pieces_are_as_many_operations(node: DevNode, alice: Client, keys: dict[str, str]) -> None:
    pieces = [b64encode(piece).decode() for piece in (b"one", b"two", b"three")]
    base: dict[str, Any] = {"Action": "MAC", "KeyName": keys["HmacSHA256"], "ID": "several-1"}
    answer = alice.ask("Crypto", Base64DataSingle=pieces, **base)
    single = [alice.ask("Crypto", Base64DataSingle=piece, **{**base, "ID": "s"}).data or b"" for piece in pieces]
    assert answer.data == b"".join(single)
    log = (node.data / "logs" / "activity.log").read_text()
    for ordinal in (1, 2, 3):
        assert log.count(f" several-1 Crypto {keys['HmacSHA256']} [{ordinal} MAC HMAC-SHA256] 0 ") == 1


def test_a_refused_request_takes_its_data_along(alice: Client, keys: dict[str, str]) -> None:
    base: dict[str, Any] = {"Action": "ENCRYPT", "Algorithm": GCM}
    bad = [
        request("Crypto", KeyName="nowhere", **base),
        request("Crypto", KeyName=keys["AES"], Action="ENCRYPT", Algorithm="AES/XYZ"),
        request("Crypto", KeyName=keys["AES"], Action="BURN", Algorithm=GCM),
        request("Crypto", KeyName=keys["RSA"], **base),
    ]
    for at, head in enumerate(bad):
        alice.send(head + write_data((HOSTILE, HOSTILE)) + request("RandGen", ID=f"after{at}", Size=1))
    for at in range(len(bad)):
        refused, after = alice.receive(), alice.receive()
        assert refused is not None
        assert after is not None
        assert (refused.name, refused.ok, refused.is_fatal) == ("CryptoResponse", False, False)
        assert (after.text("ID"), after.ok) == (f"after{at}", True)


def test_two_pieces_never_share_an_iv_in_gcm(alice: Client, keys: dict[str, str]) -> None:
    base: dict[str, Any] = {"Action": "ENCRYPT", "Algorithm": GCM, "KeyName": keys["AES"]}
    assert alice.ask("Crypto", Base64DataSingle=["AAAA", "AAAB"], IV="00" * 12, **base).number == 1004
    ivs = alice.ask("Crypto", Base64DataSingle=["AAAA", "AAAB"], **base).all("IV")
    assert len(set(ivs)) == 2


def test_too_much_data_ends_the_connection(alice: Client, keys: dict[str, str]) -> None:
    head = request("Crypto", Action="ENCRYPT", KeyName=keys["AES"], Algorithm=GCM)
    alice.send(head + b"<Data><Size>%d</Size>" % (DATA_BYTES_MAX + 1))
    answer = alice.receive()
    assert answer is not None
    assert (answer.number, answer.is_fatal) == (1005, True)
    assert alice.is_closed()
