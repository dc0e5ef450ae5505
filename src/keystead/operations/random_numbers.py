"""RNG Retrieve and RNG Seed: random numbers for clients, from where keys come from.

Laws: what is handed out passes the same continuous test as what becomes a key (KS-FIPS-004) and is drawn for this
answer alone; a seed is stirred into the system's pool, where it can only add, and nothing of it is kept.

Source: KMIP 1.4 sections 4.35, 4.36; KMIP 2.1 sections 6.1.46, 6.1.47; random(4); requirements
KS-KMIP-017, KS-FIPS-004.
"""

from dataclasses import dataclass, field
from pathlib import Path

from keystead.core.errors import Invalid
from keystead.core.permission import Right
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.operations.create import tests_of

RANDOM_BYTES_MAX = 131_072
SEED_BYTES_MAX = 65_536
POOL = Path("/dev/urandom")
"""What is written there is mixed in and counts for nothing, whoever writes it."""


@dataclass(frozen=True, slots=True)
class RngRetrieve:
    """Ask for random bytes (KMIP 1.4 section 4.35)."""

    length_bytes: int


@dataclass(frozen=True, slots=True)
class RngSeed:
    """Give random bytes (KMIP 1.4 section 4.36)."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Random bytes."""

    data: Secret


@dataclass(frozen=True, slots=True)
class Seeded:
    """How much of a seed was used, in bytes."""

    length_bytes: int


@operation(RngRetrieve, "server.random", "RNGRetrieve", user=Right.NONE, material=True)
def rng_retrieve(call: Call, request: RngRetrieve) -> Drawn:
    """Draw random bytes for a client."""
    if not 1 <= request.length_bytes <= RANDOM_BYTES_MAX:
        raise Invalid("ask for 1 to 131,072 random bytes at once", "invalid.field")
    return Drawn(tests_of(call).random_key(request.length_bytes))


@operation(RngSeed, "server.seed", "RNGSeed", user=Right.NONE, material=True)
def rng_seed(_call: Call, request: RngSeed) -> Seeded:
    """Stir a seed into the system's pool; none of it where the system does not let us, which is no error."""
    used = request.data[:SEED_BYTES_MAX]
    try:
        with POOL.open("wb", buffering=0) as pool:
            return Seeded(pool.write(used) or 0)
    except OSError:
        return Seeded(0)
