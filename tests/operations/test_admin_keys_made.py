"""Keys that administrators make and import."""

from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from keystead.core.key_names import CATALOGUE
from keystead.core.permission import EVERY_ACCESS, Access
from keystead.core.secret import Secret
from keystead.core.structures import name_value
from keystead.gate.call import Batch
from keystead.gate.workshop import Done, Make
from keystead.operations.admin_key_search import FindKeys
from keystead.operations.admin_keys import ShowKey
from keystead.operations.admin_keys_made import (
    IMPORT_BYTES_MAX,
    GenerateKey,
    ImportKey,
    KeyEncoding,
    MadeKey,
    ShowPublicKey,
)
from keystead.operations.macs import Mac
from keystead.operations.requests import (
    CipherParameters,
    Condition,
    Create,
    Decrypt,
    Delete,
    Encrypt,
    Get,
    Locate,
    Terms,
)
from keystead.operations.users import CreateUser
from tests.support.builders import ADMINISTRATOR, ALICE, BOB, EVERYTHING, GLOBAL, START_US, US_PER_S, Node, a_key

PLANTED = bytes.fromhex("133457799bbcdff1") * 4
HEXADECIMAL = KeyEncoding.HEXADECIMAL
CBC = CipherParameters(1, 3, random_iv=True)


@pytest.fixture(autouse=True)
def alice(node: Node) -> None:
    node.ask(ADMINISTRATOR, CreateUser("alice"))


@pytest.fixture
def wide(node: Node) -> Node:
    """Every switch on."""
    node.gate.switches = EVERYTHING
    return node


def of_alice(name: str | None = "made", algorithm: str = "AES-256", **more: Any) -> GenerateKey:
    return GenerateKey(name, algorithm, "alice", **more)


def brought(material: bytes, algorithm: str | None = None, **more: Any) -> ImportKey:
    return replace(ImportKey(Secret(material), "brought", algorithm, owner="alice", exportable=True), **more)


def pem_of(key: Any, form: PrivateFormat = PrivateFormat.TraditionalOpenSSL) -> bytes:
    found: bytes = key.private_bytes(Encoding.PEM, form, NoEncryption())
    return found


@pytest.mark.row("KS-KEY-003", "KS-KEY-011", "KS-KEY-057")
def test_a_generated_key_is_its_owners_at_once(node: Node) -> None:
    made: MadeKey = node.ask(ADMINISTRATOR, of_alice(exportable=True, description="d", attributes=("x-a=b",)))
    key = made.key.id
    assert (made.key.name, made.key.owner, made.key.algorithm, made.key.state) == ("made", "alice", "AES-256", "active")
    sealed = node.ask(ALICE, Encrypt(b"text", key, CBC))
    assert node.ask(ALICE, Decrypt(sealed.data, key, CBC, iv=sealed.iv)).data == b"text"
    assert node.ask(ALICE, Locate((Condition("Name", name_value("made")),))).ids == (key,)
    assert node.reason(BOB, Get(key)) == "not_found.item"
    assert [one.value for one in node.ask(ADMINISTRATOR, ShowKey("made")).attributes] == ["b", "d"]
    assert node.ask(ADMINISTRATOR, ShowKey("made")).key == made.key
    assert node.ask(ADMINISTRATOR, FindKeys()).keys == (made.key,)
    assert len(node.ask(ALICE, Get(key)).block.material) == 32


@pytest.mark.row("KS-KEY-008", "KS-KEY-009")
def test_flags_are_as_they_were_chosen(node: Node) -> None:
    made = node.ask(ADMINISTRATOR, of_alice())
    assert (made.deletable, made.exportable) == (False, False)
    assert node.reason(ALICE, Get(made.key.id)) == "refused.permission"
    assert node.reason(ALICE, Delete(made.key.id)) == "refused.permission"
    free = node.ask(ADMINISTRATOR, of_alice(None, deletable=True, exportable=True)).key
    assert free.name == f"key-{free.id}"
    assert node.reason(ALICE, Get(free.id)) is None
    assert node.reason(ALICE, Delete(free.id)) is None


@pytest.mark.row("KS-KEY-007")
@pytest.mark.parametrize("algorithm", [name for name in CATALOGUE if not name.startswith("RSA")])
def test_every_algorithm_of_the_catalogue_is_made(wide: Node, algorithm: str) -> None:
    made = wide.ask(ADMINISTRATOR, GenerateKey("made", algorithm))
    assert made.key.algorithm == algorithm
    assert bool(made.public_id) == algorithm.startswith(("EC", "Ed"))


@pytest.mark.row("KS-KEY-007")
def test_outdated_algorithms_need_the_switch(node: Node) -> None:
    for algorithm in ("DES", "DES-EDE-168", "RC4-128", "HmacSHA1", "SEED", "ARIA-256", "RSA-1024"):
        assert node.reason(ADMINISTRATOR, of_alice(algorithm=algorithm)) == "refused.switched_off"
    assert node.reason(ADMINISTRATOR, of_alice(algorithm="RSA-512")) == "invalid.attribute_value"
    assert node.reason(ADMINISTRATOR, of_alice(algorithm="ROT-13")) == "invalid.algorithm"


@pytest.mark.row("KS-KEY-003")
def test_a_key_of_nobody_needs_the_switch(node: Node) -> None:
    assert node.reason(ADMINISTRATOR, GenerateKey("made")) == "refused.switched_off"
    assert node.reason(ADMINISTRATOR, brought(PLANTED[:16].hex().encode(), "AES-128", owner=None, encoding=HEXADECIMAL))
    node.gate.switches = EVERYTHING
    key = node.ask(ADMINISTRATOR, GenerateKey("made", exportable=True)).key
    assert key.owner is None
    assert node.reason(GLOBAL, Get(key.id)) is None


def test_owner_and_name_are_checked(node: Node) -> None:
    assert node.reason(ADMINISTRATOR, GenerateKey("made", owner="nobody")) == "not_found.item"
    node.ask(ADMINISTRATOR, of_alice())
    assert node.reason(ADMINISTRATOR, of_alice()) == "exists"
    assert node.reason(ADMINISTRATOR, of_alice("1")) == "invalid.field"
    assert node.reason(ALICE, of_alice("other")) == "refused.permission"


def test_users_never_say_whose_a_key_is(wide: Node) -> None:
    for owner in ("bob", None):
        assert wide.reason(ALICE, Create(2, terms=Terms(owner=owner))) == "refused.permission"


def test_a_key_becomes_active_when_it_was_said(node: Node) -> None:
    later = node.ask(ADMINISTRATOR, of_alice(activation_us=START_US + 60 * US_PER_S)).key.id
    never = node.ask(ADMINISTRATOR, of_alice("other", active=False)).key.id
    assert [node.ask(ADMINISTRATOR, ShowKey(key)).key.state for key in (later, never)] == ["pre-active"] * 2
    node.clock.pass_s(60)
    assert [node.ask(ADMINISTRATOR, ShowKey(key)).key.state for key in (later, never)] == ["active", "pre-active"]


@pytest.mark.row("KS-KEY-007", "KS-KEY-041")
@pytest.mark.parametrize("algorithm", ["RSA-2048", "EC-P384"])
def test_a_pair_has_both_halves_and_its_public_one_can_be_had(node: Node, algorithm: str) -> None:
    made = node.ask(ADMINISTRATOR, of_alice(algorithm=algorithm))
    public = node.ask(ADMINISTRATOR, ShowKey(made.public_id))
    assert (public.key.kind, public.key.owner, public.other_half) == ("public-key", "alice", made.key.id)
    assert node.ask(ADMINISTRATOR, ShowKey("made")).other_half == made.public_id
    pems = {node.ask(ADMINISTRATOR, ShowPublicKey(target)).pem for target in ("made", made.key.id, made.public_id)}
    (pem,) = pems
    assert load_pem_public_key(pem.encode()).key_size == made.key.length_bits  # type: ignore[union-attr]  # these have one
    assert node.reason(ADMINISTRATOR, ShowPublicKey(a_key(node))) == "invalid.object_type"
    for stranger in (
        replace(ADMINISTRATOR, access=EVERY_ACCESS & ~Access.KEYS),
        replace(ADMINISTRATOR, realm="tenant"),
        ALICE,
    ):
        reasons = {node.reason(stranger, ShowPublicKey(target)) for target in ("made", made.public_id)}
        assert reasons <= {"refused.permission", "not_found.item"}


def test_an_rsa_key_is_made_on_another_thread(node: Node) -> None:
    waiting: list[tuple[Make, Done]] = []

    class Later:
        def submit(self, make: Make, done: Done) -> None:
            waiting.append((make, done))

    node.gate.workshop = Later()
    answers: list[Any] = []
    node.gate.run(Batch(ADMINISTRATOR, (of_alice(algorithm="RSA-2048"),)), answers.append)
    assert (len(waiting), answers) == (1, [])


@pytest.mark.row("KS-KEY-011", "KS-KEY-036", "KS-KEY-038")
@pytest.mark.parametrize(
    ("algorithm", "written", "encoding"),
    [
        ("AES-256", PLANTED.hex().encode(), HEXADECIMAL),
        ("AES-256", b" " + PLANTED.hex(" ").upper().encode() + b"\n", HEXADECIMAL),
        ("AES-256", b64encode(PLANTED), KeyEncoding.BASE64),
        ("HmacSHA384", b64encode(PLANTED), KeyEncoding.BASE64),
    ],
)
def test_a_symmetric_key_is_imported(node: Node, algorithm: str, written: bytes, encoding: KeyEncoding) -> None:
    made = node.ask(ADMINISTRATOR, brought(written, algorithm, encoding=encoding))
    assert (made.key.owner, made.key.length_bits, made.key.state) == ("alice", 256, "active")
    assert node.ask(ALICE, Get(made.key.id)).block.material.reveal() == PLANTED
    use = Encrypt(b"text", made.key.id, CBC) if algorithm == "AES-256" else Mac(b"text", made.key.id)
    assert node.reason(ALICE, use) is None


@pytest.mark.row("KS-KEY-036")
@pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
def test_a_private_key_brings_its_public_half(node: Node, form: PrivateFormat) -> None:
    for name, key in (
        ("RSA-2048", rsa.generate_private_key(65537, 2048)),
        ("EC-P256", ec.generate_private_key(ec.SECP256R1())),
    ):
        made = node.ask(ADMINISTRATOR, brought(pem_of(key, form), name))
        assert (made.key.kind, made.key.algorithm) == ("private-key", name)
        shown = node.ask(ADMINISTRATOR, ShowKey(made.public_id))
        assert (shown.key.kind, shown.other_half, shown.key.owner) == ("public-key", made.key.id, "alice")
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        assert node.ask(ADMINISTRATOR, ShowPublicKey("brought")).pem == public
        assert node.ask(ADMINISTRATOR, ShowPublicKey(made.public_id)).pem == public
        node.ask(ALICE, Get(made.key.id))
        node.change(made.key.id, handle=f"key-{made.key.id}")


def test_the_algorithm_of_pem_need_not_be_said(node: Node) -> None:
    edwards = pem_of(ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8)
    assert node.ask(ADMINISTRATOR, brought(edwards)).key.algorithm == "Ed25519"
    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    written = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    made = node.ask(ADMINISTRATOR, ImportKey(Secret(written), "public", owner="alice"))
    assert (made.key.kind, made.key.algorithm, made.public_id) == ("public-key", "EC-P384", "")


@pytest.mark.row("KS-KEY-036")
@pytest.mark.parametrize(
    ("algorithm", "written", "words"),
    [
        ("AES-256", b"", "1 to"),
        ("AES-256", b"0" * (IMPORT_BYTES_MAX + 1), "1 to"),
        (None, PLANTED.hex().encode(), "say the algorithm"),
        ("AES-256", b"not hexadecimal", "not hexadecimal"),
        ("AES-256", "ü".encode(), "not hexadecimal"),
        ("AES-256", PLANTED[:16].hex().encode(), "32 bytes, this one has 16"),
        ("AES-257", PLANTED.hex().encode(), "no algorithm AES-257"),
        ("RSA-2048", PLANTED.hex().encode(), "PEM"),
        ("RSA-2048", b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----", ""),
        (None, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "PEM"),
        ("RSA-3072", pem_of(ec.generate_private_key(ec.SECP256R1())), "another key: EC-P256"),
        ("AES-256", pem_of(ec.generate_private_key(ec.SECP256R1())), "another key: EC-P256"),
    ],
)
def test_it_says_what_is_wrong_with_a_key(node: Node, algorithm: str | None, written: bytes, words: str) -> None:
    request = brought(written, algorithm, encoding=HEXADECIMAL)
    (reply,) = node.batch(ADMINISTRATOR, [request])
    assert reply.error is not None
    assert words in reply.error.message
    assert reply.error.reason.startswith("invalid.")


@pytest.mark.row("KS-KEY-037")
def test_weak_des_keys_and_wrong_parity_are_refused(wide: Node) -> None:
    for written in ("0101010101010101", "0000000000000000", "01fe01fe01fe01fe"):
        request = brought(written.encode(), "DES", encoding=HEXADECIMAL)
        assert wide.reason(ADMINISTRATOR, request) == "invalid.key"
    good = brought(b"133457799BBCDFF1", "DES", encoding=HEXADECIMAL)
    assert wide.ask(ADMINISTRATOR, good).key.algorithm == "DES"


def test_no_byte_of_a_key_that_was_brought_is_written_or_told(node: Node) -> None:
    digits = PLANTED.hex()
    request = brought(digits.encode(), "AES-256", encoding=HEXADECIMAL)
    told = [repr(request), repr(node.ask(ADMINISTRATOR, request))]
    for wrong in (digits[:-2], digits + "zz"):
        (reply,) = node.batch(ADMINISTRATOR, [brought(wrong.encode(), "AES-256", encoding=HEXADECIMAL)])
        told.append(str(reply.error))
    told += node.lines()
    files = [path.read_bytes() for path in node.path.parent.iterdir() if path.is_file()]
    for planted in (digits.encode(), PLANTED, b64encode(PLANTED)):
        assert not any(planted[:12] in text.encode() for text in told)
        assert not any(planted in content for content in files)
