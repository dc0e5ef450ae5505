"""Ciphers for managed symmetric keys: a table from KMIP's algorithm and mode to what computes it.

Laws: what is not in the table is not offered. Legacy algorithms and modes say so in the table; whether they may be used
is the gate's matter. A random IV is fresh from the system for every use.

Source: KMIP 1.4 sections 9.1.3.2.13 to 9.1.3.2.15 (enumerations), 4.29, 4.30; KS-KEY-007; LEG-06, LEG-07.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, CAST5, IDEA, SEED, Blowfish, Camellia, TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB, OFB
from cryptography.hazmat.primitives.ciphers import CipherAlgorithm, algorithms, modes

from keystead.core.errors import Invalid, NotSupported
from keystead.core.secret import Secret
from keystead.trust.aead_modes import GCM_IV_BYTES_MAX, GCM_IV_BYTES_MIN, Ccm, ChaChaPoly, Gcm
from keystead.trust.cipher_modes import (
    PADDING_ANSI_X923,
    PADDING_NONE,
    PADDING_PKCS5,
    Arc4,
    Block,
    ChaCha,
    KeyWrap,
    Prepared,
    Stream,
    Xts,
    parameters,
)
from keystead.trust.random_pool import random_bytes

GCM_RANDOM_IV_COUNT_MAX = 1 << 32
"""Encryptions under one key with random 96-bit IVs (NIST SP 800-38D section 8.3); spent from a durable lease."""

GCM_RANDOM_IV_BYTES = 12


class Algorithm(IntEnum):
    """Cryptographic Algorithm: those that encrypt; the numbers are KMIP's."""

    DES = 0x01
    TRIPLE_DES = 0x02
    AES = 0x03
    BLOWFISH = 0x10
    CAMELLIA = 0x11
    CAST5 = 0x12
    IDEA = 0x13
    RC4 = 0x16
    CHACHA20 = 0x1C
    CHACHA20_POLY1305 = 0x1E
    SEED = 0x2A


class Mode(IntEnum):
    """Block Cipher Mode; the numbers are KMIP's. NONE stands for "not given"."""

    NONE = 0x00
    CBC = 0x01
    ECB = 0x02
    PCBC = 0x03
    CFB = 0x04
    OFB = 0x05
    CTR = 0x06
    CCM = 0x08
    GCM = 0x09
    XTS = 0x0B
    AES_KEY_WRAP_PADDING = 0x0C
    NIST_KEY_WRAP = 0x0D
    AEAD = 0x12


class Padding(IntEnum):
    """Padding Method of block modes; the numbers are KMIP's."""

    NONE = PADDING_NONE
    PKCS5 = PADDING_PKCS5
    ANSI_X923 = PADDING_ANSI_X923


@dataclass(frozen=True, slots=True)
class Suite:
    """An algorithm in a mode.

    Attributes:
        make: Makes it ready for key bytes of one of the lengths, with a padding method.
        key_lengths_bytes: Permitted.
        iv_bytes: Length of a random IV; 0 = the mode has none.
        pads: Whether padding methods other than None make sense.
        authenticates: Gives and needs a tag.
        legacy_algorithm: Only with legacy algorithms switched on (LEG-06).
        legacy_mode: Only with legacy modes switched on (LEG-07).
        budget_count: Encryptions with random IVs that one key may serve; None = no limit of that kind.
    """

    make: Callable[[bytes, int], Prepared]
    key_lengths_bytes: tuple[int, ...]
    iv_bytes: int
    pads: bool = False
    authenticates: bool = False
    legacy_algorithm: bool = False
    legacy_mode: bool = False
    budget_count: int | None = None


def suite(algorithm: int, mode: int) -> Suite:
    """Look an algorithm in a mode up; numbers are KMIP's, mode 0 = not given.

    Raises:
        NotSupported: there is none.
    """
    found = SUITES.get((algorithm, mode))
    if found is None:
        raise NotSupported(
            "this algorithm is not offered in this mode; see Query for what is", "not_supported.cryptography"
        )
    return found


def prepare(algorithm: int, mode: int, padding: int, key: Secret) -> Prepared:
    """Make a key ready for an algorithm, mode and padding method; the result may be kept and used from any thread.

    Args:
        algorithm: Cryptographic Algorithm.
        mode: Block Cipher Mode; 0 = not given, for stream ciphers.
        padding: Padding Method; 0 = not given, which means None.
        key: The key's bytes.

    Raises:
        NotSupported: not offered. Invalid: the key's length or the padding does not fit.
    """
    found = suite(algorithm, mode)
    if len(key) not in found.key_lengths_bytes:
        raise Invalid(f"this cipher takes keys of {found.key_lengths_bytes} bytes, not {len(key)}", "invalid.key")
    method = padding or PADDING_NONE
    if method not in PADDINGS:
        raise NotSupported("this padding method is not offered", "not_supported.cryptography")
    if method != PADDING_NONE and not found.pads:
        raise parameters("this mode takes no padding")
    return found.make(key.reveal(), method)


def new_iv(algorithm: int, mode: int, length_bits: int | None = None) -> bytes | None:
    """Draw a random IV; None for a mode that has none.

    Args:
        algorithm: Cryptographic Algorithm.
        mode: Block Cipher Mode.
        length_bits: IV Length of the request; only GCM has a choice, 64 to 1024. None = the mode's own.

    Raises:
        NotSupported: not offered. Invalid: another length than the mode takes.
    """
    length_bytes = suite(algorithm, mode).iv_bytes
    if length_bits is not None and length_bits != length_bytes * 8:
        is_permitted = mode == Mode.GCM and GCM_IV_BYTES_MIN * 8 <= length_bits <= GCM_IV_BYTES_MAX * 8
        if not is_permitted or length_bits % 8:
            raise parameters(f"this mode takes an IV of {length_bytes * 8} bits")
        length_bytes = length_bits // 8
    return random_iv(length_bytes)


def random_iv(length_bytes: int) -> bytes | None:
    """Draw a random IV; None for length 0."""
    return random_bytes(length_bytes) if length_bytes else None


def triple_des(key: bytes) -> TripleDES:
    """DES with one key is triple DES with the same key three times; two keys are used as first, second, first."""
    return TripleDES(key * 3 if len(key) == 8 else key + key[:8] if len(key) == 16 else key)


def _block(
    algorithm: Callable[[bytes], CipherAlgorithm], block_bytes: int, *, chained: bool
) -> Callable[[bytes, int], Prepared]:
    return lambda key, padding: Block(algorithm(key), block_bytes, padding, chained=chained)


def _stream(
    algorithm: Callable[[bytes], CipherAlgorithm], block_bytes: int, mode: type[CFB | OFB | modes.CTR]
) -> Callable[[bytes, int], Prepared]:
    return lambda key, _: Stream(algorithm(key), block_bytes, mode)


_AES = (16, 24, 32)
_TRIPLE_DES = (16, 24)
_RC4 = (5, 16)  # 40 and 128 bits (KS-KEY-007)

SUITES: dict[tuple[int, int], Suite] = {
    (Algorithm.AES, Mode.GCM): Suite(
        lambda key, _: Gcm(key), _AES, GCM_RANDOM_IV_BYTES, authenticates=True, budget_count=GCM_RANDOM_IV_COUNT_MAX
    ),
    (Algorithm.AES, Mode.CCM): Suite(lambda key, _: Ccm(key), _AES, 12, authenticates=True),
    (Algorithm.AES, Mode.CBC): Suite(_block(algorithms.AES, 16, chained=True), _AES, 16, pads=True),
    (Algorithm.AES, Mode.ECB): Suite(_block(algorithms.AES, 16, chained=False), _AES, 0, pads=True, legacy_mode=True),
    (Algorithm.AES, Mode.CFB): Suite(_stream(algorithms.AES, 16, CFB), _AES, 16),
    (Algorithm.AES, Mode.OFB): Suite(_stream(algorithms.AES, 16, OFB), _AES, 16),
    (Algorithm.AES, Mode.CTR): Suite(_stream(algorithms.AES, 16, modes.CTR), _AES, 16),
    (Algorithm.AES, Mode.XTS): Suite(lambda key, _: Xts(key), (32, 64), 16),
    (Algorithm.AES, Mode.NIST_KEY_WRAP): Suite(lambda key, _: KeyWrap(key, padded=False), _AES, 0),
    (Algorithm.AES, Mode.AES_KEY_WRAP_PADDING): Suite(lambda key, _: KeyWrap(key, padded=True), _AES, 0),
    (Algorithm.CHACHA20, Mode.NONE): Suite(lambda key, _: ChaCha(key), (32,), 12),
    (Algorithm.CHACHA20_POLY1305, Mode.AEAD): Suite(lambda key, _: ChaChaPoly(key), (32,), 12, authenticates=True),
    (Algorithm.CHACHA20_POLY1305, Mode.NONE): Suite(lambda key, _: ChaChaPoly(key), (32,), 12, authenticates=True),
    (Algorithm.TRIPLE_DES, Mode.CBC): Suite(
        _block(triple_des, 8, chained=True), _TRIPLE_DES, 8, pads=True, legacy_algorithm=True
    ),
    (Algorithm.TRIPLE_DES, Mode.ECB): Suite(
        _block(triple_des, 8, chained=False), _TRIPLE_DES, 0, pads=True, legacy_algorithm=True, legacy_mode=True
    ),
    (Algorithm.TRIPLE_DES, Mode.CFB): Suite(_stream(triple_des, 8, CFB), _TRIPLE_DES, 8, legacy_algorithm=True),
    (Algorithm.TRIPLE_DES, Mode.OFB): Suite(_stream(triple_des, 8, OFB), _TRIPLE_DES, 8, legacy_algorithm=True),
    (Algorithm.DES, Mode.CBC): Suite(_block(triple_des, 8, chained=True), (8,), 8, pads=True, legacy_algorithm=True),
    (Algorithm.DES, Mode.ECB): Suite(
        _block(triple_des, 8, chained=False), (8,), 0, pads=True, legacy_algorithm=True, legacy_mode=True
    ),
    (Algorithm.RC4, Mode.NONE): Suite(lambda key, _: Arc4(ARC4(key)), _RC4, 0, legacy_algorithm=True),
}
"""Everything that is offered: (algorithm, mode) -> suite. PCBC is not: no library has it, and nobody should want it."""
for _number, _made, _lengths, _bytes in (
    (Algorithm.BLOWFISH, Blowfish, tuple(range(4, 57)), 8),
    (Algorithm.CAST5, CAST5, tuple(range(5, 17)), 8),
    (Algorithm.IDEA, IDEA, (16,), 8),
    (Algorithm.SEED, SEED, (16,), 16),
    (Algorithm.CAMELLIA, Camellia, (16, 24, 32), 16),
):
    SUITES[_number, Mode.CBC] = Suite(
        _block(_made, _bytes, chained=True), _lengths, _bytes, pads=True, legacy_algorithm=True
    )
    SUITES[_number, Mode.ECB] = Suite(
        _block(_made, _bytes, chained=False), _lengths, 0, pads=True, legacy_algorithm=True, legacy_mode=True
    )

PADDINGS = frozenset(Padding)
