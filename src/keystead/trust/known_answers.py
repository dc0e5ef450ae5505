"""The computations of the self-tests: each with its known answer, for each of the two OpenSSL builds in the process.

`cryptography` brings its own OpenSSL; Python's hashlib, hmac and ssl use the system's. Both compute for us, so both are
tested. A computation that verifies gives VERIFIED, or raises.

Source: requirement KS-FIPS-003; the table's own sources.
"""

import hashlib
import hmac
import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from keystead.trust import selftest_table as table

VERIFIED = b"verified"
BUNDLED = backend.openssl_version_text().split(" ")[1]
SYSTEM = ssl.OPENSSL_VERSION.split(" ")[1]
_RANDOM_BYTES = 32


class KnownAnswer(NamedTuple):
    """One self-test.

    Attributes:
        name: Of the algorithm, with the build of OpenSSL that computes it.
        compute: Gives the answer.
        expected: What it must be.
    """

    name: str
    compute: Callable[[], bytes]
    expected: bytes


def _aes_gcm() -> bytes:
    cipher, nonce = AESGCM(bytes.fromhex(table.AES_GCM_KEY)), bytes.fromhex(table.AES_GCM_IV)
    text, bound = bytes.fromhex(table.AES_GCM_TEXT), bytes.fromhex(table.AES_GCM_AAD)
    sealed = cipher.encrypt(nonce, text, bound)
    return sealed if cipher.decrypt(nonce, sealed, bound) == text else b""


def _both_ways(cipher: Cipher[modes.CBC] | Cipher[modes.ECB], text: bytes) -> bytes:
    encryptor, decryptor = cipher.encryptor(), cipher.decryptor()
    sealed = encryptor.update(text) + encryptor.finalize()
    return sealed if decryptor.update(sealed) + decryptor.finalize() == text else b""


def _aes_cbc() -> bytes:
    key, vector = bytes.fromhex(table.AES_CBC_KEY), bytes.fromhex(table.AES_CBC_IV)
    return _both_ways(Cipher(algorithms.AES(key), modes.CBC(vector)), bytes.fromhex(table.AES_CBC_TEXT))


def _triple_des() -> bytes:
    key = bytes.fromhex(table.TRIPLE_DES_KEY)
    return _both_ways(Cipher(TripleDES(key), modes.ECB()), table.TRIPLE_DES_TEXT)  # noqa: S305  # the published mode


def _aes_key_wrap() -> bytes:
    key, text = bytes.fromhex(table.AES_KW_KEY), bytes.fromhex(table.AES_KW_TEXT)
    wrapped = keywrap.aes_key_wrap(key, text)
    return wrapped if keywrap.aes_key_unwrap(key, wrapped) == text else b""


def _bundled_hash(algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(b"abc")
    return digest.finalize()


def _bundled_hmac() -> bytes:
    mac = HMAC(table.HMAC_KEY, hashes.SHA256())
    mac.update(table.HMAC_TEXT)
    return mac.finalize()


def _hkdf() -> bytes:
    salt, info = bytes.fromhex(table.HKDF_SALT), bytes.fromhex(table.HKDF_INFO)
    return HKDF(hashes.SHA256(), 42, salt, info).derive(bytes.fromhex(table.HKDF_KEY))


def _bundled_pbkdf2() -> bytes:
    return PBKDF2HMAC(hashes.SHA256(), 64, b"salt", 1).derive(b"passwd")


def _argon2id() -> bytes:
    kdf = Argon2id(
        salt=b"\x02" * 16, length=32, iterations=3, lanes=4, memory_cost=32, ad=b"\x04" * 12, secret=b"\x03" * 8
    )
    return kdf.derive(b"\x01" * 32)


def _rsa_key() -> rsa.RSAPrivateKey:
    der = bytes.fromhex(table.RSA_PRIVATE_PKCS1)
    key = serialization.load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("the table's key is no RSA key")
    return key


def _rsa_pkcs1() -> bytes:
    key = _rsa_key()
    signature = key.sign(table.MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    key.public_key().verify(signature, table.MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    return signature


def _rsa_pss() -> bytes:
    form = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    _rsa_key().public_key().verify(bytes.fromhex(table.RSA_PSS_SIGNATURE), table.MESSAGE, form, hashes.SHA256())
    return VERIFIED


def _rsa_oaep() -> bytes:
    form = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    return _rsa_key().decrypt(bytes.fromhex(table.RSA_OAEP_SEALED), form)


def _ecdsa() -> bytes:
    key = ec.derive_private_key(table.ECDSA_PRIVATE, ec.SECP256R1())
    published = encode_dss_signature(table.ECDSA_R, table.ECDSA_S)
    key.public_key().verify(published, b"sample", ec.ECDSA(hashes.SHA256()))
    return key.sign(b"sample", ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def _ecdh() -> bytes:
    key = ec.derive_private_key(table.ECDH_PRIVATE, ec.SECP256R1())
    peer = ec.derive_private_key(table.ECDH_PEER_PRIVATE, ec.SECP256R1())
    return key.exchange(ec.ECDH(), peer.public_key())


def _ed25519() -> bytes:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(table.ED25519_PRIVATE))
    signature = key.sign(b"")
    key.public_key().verify(signature, b"")
    return signature


def _random_differs(draw: Callable[[int], bytes]) -> bytes:
    """Two draws differ from each other and from zeros: finds a generator that is stuck, nothing finer."""
    distinct = {draw(_RANDOM_BYTES), draw(_RANDOM_BYTES), bytes(_RANDOM_BYTES)}
    return VERIFIED if len(distinct) == 3 else b""


def _system_tls() -> bytes:
    """A TLS 1.3 handshake with itself: key exchange, signature, certificate and records of the system's build.

    The certificate is made by the other build, for this test.
    """
    key = ec.derive_private_key(table.ECDSA_PRIVATE, ec.SECP256R1())
    certificate = _certificate(key)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    descriptor = os.memfd_create("selftest")
    try:
        os.write(descriptor, private + certificate)
        server.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    client.load_verify_locations(cadata=certificate.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = client.wrap_bio(to_client, to_server, server_hostname="selftest")
    here = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (there, here, there, here):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    there.write(table.MESSAGE)
    return here.read(len(table.MESSAGE))


def _certificate(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "selftest")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        builder.not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("selftest")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def _bundled(name: str, compute: Callable[[], bytes], expected: str | bytes) -> KnownAnswer:
    answer = bytes.fromhex(expected) if isinstance(expected, str) else expected
    return KnownAnswer(f"{name} (bundled OpenSSL {BUNDLED})", compute, answer)


def _system(name: str, compute: Callable[[], bytes], expected: str | bytes) -> KnownAnswer:
    answer = bytes.fromhex(expected) if isinstance(expected, str) else expected
    return KnownAnswer(f"{name} (system OpenSSL {SYSTEM})", compute, answer)


KNOWN_ANSWERS: tuple[KnownAnswer, ...] = (
    _bundled("AES-256-GCM", _aes_gcm, table.AES_GCM_SEALED),
    _bundled("AES-256-CBC", _aes_cbc, table.AES_CBC_SEALED),
    _bundled("AES-256 key wrap", _aes_key_wrap, table.AES_KW_SEALED),
    _bundled("SHA-256", lambda: _bundled_hash(hashes.SHA256()), table.SHA256_ABC),
    _bundled("SHA-384", lambda: _bundled_hash(hashes.SHA384()), table.SHA384_ABC),
    _bundled("SHA-512", lambda: _bundled_hash(hashes.SHA512()), table.SHA512_ABC),
    _bundled("SHA3-256", lambda: _bundled_hash(hashes.SHA3_256()), table.SHA3_256_ABC),
    _bundled("HMAC-SHA-256", _bundled_hmac, table.HMAC_SHA256),
    _bundled("HKDF", _hkdf, table.HKDF_OUTPUT),
    _bundled("PBKDF2", _bundled_pbkdf2, table.PBKDF2_OUTPUT),
    _bundled("Argon2id", _argon2id, table.ARGON2ID_OUTPUT),
    _bundled("RSA PKCS#1 v1.5 signature", _rsa_pkcs1, table.RSA_PKCS1_SIGNATURE),
    _bundled("RSA PSS verification", _rsa_pss, VERIFIED),
    _bundled("RSA OAEP", _rsa_oaep, table.MESSAGE),
    _bundled("ECDSA P-256", _ecdsa, encode_dss_signature(table.ECDSA_R, table.ECDSA_S)),
    _bundled("ECDH P-256", _ecdh, table.ECDH_SHARED),
    _bundled("Ed25519", _ed25519, table.ED25519_SIGNATURE),
    _bundled("random generator", lambda: _random_differs(lambda count: AESGCM.generate_key(count * 8)), VERIFIED),
    _system("SHA-256", lambda: hashlib.sha256(b"abc").digest(), table.SHA256_ABC),
    _system("SHA-384", lambda: hashlib.sha384(b"abc").digest(), table.SHA384_ABC),
    _system("SHA-512", lambda: hashlib.sha512(b"abc").digest(), table.SHA512_ABC),
    _system("SHA3-256", lambda: hashlib.sha3_256(b"abc").digest(), table.SHA3_256_ABC),
    _system("HMAC-SHA-256", lambda: hmac.digest(table.HMAC_KEY, table.HMAC_TEXT, "sha256"), table.HMAC_SHA256),
    _system("PBKDF2", lambda: hashlib.pbkdf2_hmac("sha256", b"passwd", b"salt", 1, 64), table.PBKDF2_OUTPUT),
    _system("TLS 1.3", _system_tls, table.MESSAGE),
    _system("random generator", lambda: _random_differs(ssl.RAND_bytes), VERIFIED),
    KnownAnswer("random numbers of the kernel", lambda: _random_differs(os.urandom), VERIFIED),
)
"""Everything that must hold before anything is served."""

LEGACY_ANSWERS: tuple[KnownAnswer, ...] = (_bundled("Triple DES", _triple_des, table.TRIPLE_DES_SEALED),)
"""What must also hold where legacy algorithms are switched on (LEG-15)."""
