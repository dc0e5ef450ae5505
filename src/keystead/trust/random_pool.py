"""Random bytes for nonces, salts and identifiers, drawn from the system many at a time.

Law: nothing from here becomes a key, PIN or password; those are drawn one by one and tested (`selftest`). Each byte is
given once.

Source: performance.md section 8 rule 7; NIST SP 800-38D section 8.2.2 (random IVs).
"""

import os

AHEAD_COUNT = 256

_drawn: dict[int, list[bytes]] = {}
os.register_at_fork(after_in_child=_drawn.clear)  # two processes must not give the same


def random_bytes(length_bytes: int) -> bytes:
    """Return random bytes; safe from any thread."""
    try:
        return _drawn[length_bytes].pop()
    except (KeyError, IndexError):
        block = os.urandom(length_bytes * AHEAD_COUNT)
        pieces = [block[at : at + length_bytes] for at in range(0, len(block), length_bytes)]
        given = pieces.pop()
        _drawn[length_bytes] = pieces
        return given
