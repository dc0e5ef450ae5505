"""Self-tests: known answers and the software's own checksum before anything is served, conditional tests while serving.

Laws: a failed test is named with its time, and nothing is served after it; only a restart clears it. The checksum finds
files that were damaged or changed since the installation; whoever can write the files can write the checksums too.

Source: requirements KS-FIPS-003 to 005, 008.
"""

import base64
import hashlib
import os
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import Any

from cryptography.exceptions import InternalError, InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, x448, x25519

from keystead.core.errors import Unavailable
from keystead.core.secret import Secret
from keystead.trust.known_answers import KNOWN_ANSWERS, LEGACY_ANSWERS, KnownAnswer

INTEGRITY = "software integrity"
CONTINUOUS = "continuous random number test"
PAIRWISE = "pairwise consistency of a new key"
RANDOM_BLOCK_BYTES = 16
_PACKAGE = "keystead"
_FAILURES = (InvalidSignature, InvalidTag, UnsupportedAlgorithm, InternalError, ValueError, TypeError, OSError)


@dataclass(frozen=True, slots=True)
class SelftestResult:
    """Outcome of one test.

    Attributes:
        name: What was tested, with the library that was.
        ok: Whether it held.
        at_us: When it ended, UTC microseconds.
        duration_us: How long it took.
        detail: What a person should know beyond that.
    """

    name: str
    ok: bool
    at_us: int
    duration_us: int
    detail: str = ""


def run_selftests(*, legacy: bool = False, broken: Collection[str] = ()) -> list[SelftestResult]:
    """Run every test; none is left out because another failed.

    Args:
        legacy: Also those of legacy algorithms.
        broken: Names of tests whose answer is spoilt, to see that a failure is noticed and what follows from it.
    """
    tests = KNOWN_ANSWERS + (LEGACY_ANSWERS if legacy else ())
    results = [_timed(test.name, partial(_holds, test, broken)) for test in tests]
    return [*results, _timed(INTEGRITY, partial(_integrity, broken))]


def _timed(name: str, run: Callable[[], tuple[bool, str]]) -> SelftestResult:
    started_ns = time.perf_counter_ns()
    try:
        ok, detail = run()
    except _FAILURES as error:
        ok, detail = False, type(error).__name__
    return SelftestResult(name, ok, time.time_ns() // 1_000, (time.perf_counter_ns() - started_ns) // 1_000, detail)


def _holds(test: KnownAnswer, broken: Collection[str]) -> tuple[bool, str]:
    answer = test.compute()
    if test.name in broken:
        answer = answer[:-1] + bytes([answer[-1] ^ 1])
    return answer == test.expected, ""


def _integrity(broken: Collection[str]) -> tuple[bool, str]:
    """Compare the package's files with the checksums that were installed with it."""
    recorded = {str(file): file for file in metadata.files(_PACKAGE) or () if file.hash is not None}
    ours = [file for name, file in recorded.items() if name.startswith(f"{_PACKAGE}/")]
    if INTEGRITY in broken:
        return False, "spoilt"
    if not ours:
        return True, "not checked: runs from a source folder, which has no installed checksums"
    for file in ours:
        digest = hashlib.sha256(file.read_binary()).digest()
        if file.hash is None or base64.urlsafe_b64encode(digest).decode().rstrip("=") != file.hash.value:
            return False, f"{file} is not what was installed"
    return True, f"{len(ours)} files"


class ConditionalTests:
    """Tests of everything random that becomes a key, and of every new key pair, while serving (KS-FIPS-004).

    Args:
        source: Gives random bytes.
    """

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._last_block = source(RANDOM_BLOCK_BYTES)
        self.failed: SelftestResult | None = None
        """The test that failed; everything is refused from then on (KS-FIPS-005)."""

    def random_key(self, length_bytes: int) -> Secret:
        """Draw a symmetric key. Every 16-byte block is compared with the one before it.

        Raises:
            Unavailable: a conditional test failed, now or earlier; restart the node.
        """
        self.require()
        block_count = -(-length_bytes // RANDOM_BLOCK_BYTES)
        drawn = self._source(block_count * RANDOM_BLOCK_BYTES)
        with self._lock:
            for at in range(0, len(drawn), RANDOM_BLOCK_BYTES):
                block = drawn[at : at + RANDOM_BLOCK_BYTES]
                if block == self._last_block or len(block) < RANDOM_BLOCK_BYTES:
                    self._fail(CONTINUOUS)
                self._last_block = block
        self.require()
        return Secret(drawn[:length_bytes])

    def rsa_key(self, size_bits: int) -> rsa.RSAPrivateKey:
        """Generate an RSA key pair and test that its halves fit. About 50 ms for 2048 bits.

        Raises:
            Unavailable: as `random_key`.
        """
        self.require()
        key = rsa.generate_private_key(65_537, size_bits)
        self.check_pair(key, key.public_key())
        return key

    def ec_key(self, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
        """Generate an EC key pair and test that its halves fit.

        Raises:
            Unavailable: as `random_key`.
        """
        self.require()
        key = ec.generate_private_key(curve)
        self.check_pair(key, key.public_key())
        return key

    def octet_key(self, draw: Callable[[], Any]) -> Any:
        """Generate a key pair on an Edwards or Montgomery curve and test that its halves fit.

        Raises:
            Unavailable: as `random_key`.
        """
        self.require()
        key = draw()
        self.check_pair(key, key.public_key())
        return key

    def check_pair(self, private: Any, public: Any) -> None:
        """Sign with one half and verify with the other, or agree on a secret from both sides.

        Raises:
            Unavailable: they do not fit; everything is refused from now on.
        """
        if not _fits(private, public):
            self._fail(PAIRWISE)
        self.require()

    def require(self) -> None:
        """Let pass as long as no test has failed.

        Raises:
            Unavailable: one has (reason unavailable.self_test).
        """
        if self.failed is not None:
            raise Unavailable(f"the {self.failed.name} failed; restart the node", "unavailable.self_test")

    def _fail(self, name: str) -> None:
        if self.failed is None:
            self.failed = SelftestResult(name, ok=False, at_us=time.time_ns() // 1_000, duration_us=0)


def _fits(private: Any, public: Any) -> bool:
    message = b"keystead pairwise consistency"
    try:
        if isinstance(private, rsa.RSAPrivateKey):
            signature = private.sign(message, padding.PKCS1v15(), hashes.SHA256())
            public.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(private, ec.EllipticCurvePrivateKey):
            public.verify(private.sign(message, ec.ECDSA(hashes.SHA256())), message, ec.ECDSA(hashes.SHA256()))
        elif isinstance(private, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)):
            public.verify(private.sign(message), message)
        elif isinstance(private, x25519.X25519PrivateKey):
            ours = x25519.X25519PrivateKey.generate()
            return bool(private.exchange(ours.public_key()) == ours.exchange(public))
        elif isinstance(private, x448.X448PrivateKey):
            theirs = x448.X448PrivateKey.generate()
            return bool(private.exchange(theirs.public_key()) == theirs.exchange(public))
        else:
            return False
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
