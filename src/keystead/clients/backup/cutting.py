"""Where content is cut: at boundaries that the content itself decides, under a secret, so that equal parts stay equal.

Bytes go through a secret permutation before the rolling hash sees them; the cuts of public tables tell an observer
nothing then. Files below SMALL_BYTES are not cut but bundled, so that no object has the length of one of them.

Source: requirement DS-002; Xia and others, FastCDC, 2016; docs/adr/0086-chunks-that-tell-little.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from fastcdc import fastcdc

from keystead.clients.backup.sealing import CHUNK_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bounds of a chunk's length, in bytes; `largest` is at most CHUNK_BYTES_MAX."""

    smallest: int
    usual: int
    largest: int


DATA_SIZES = Sizes(256 * 1024, 1024 * 1024, CHUNK_BYTES_MAX)
LIST_SIZES = Sizes(16 * 1024, 64 * 1024, 256 * 1024)
SMALL_BYTES = DATA_SIZES.smallest
BUNDLE_BYTES_MIN = 512 * 1024
BUNDLE_BYTES_MAX = 2 * 1024 * 1024
_BUNDLE_ENDS = 8  # one file in so many ends a bundle that is long enough
_WINDOW_CHUNKS = 4  # of the largest size: what is looked at once


class Cutter:
    """Cuts a stream that arrives in pieces.

    Args:
        permutation: 256 different bytes, secret.
        sizes: Bounds of the chunks.
    """

    def __init__(self, permutation: bytes, sizes: Sizes) -> None:
        self._permutation = permutation
        self._sizes = sizes
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take more of the stream and give the chunks that are decided."""
        self._held += data
        if len(self._held) >= _WINDOW_CHUNKS * self._sizes.largest:
            yield from self._cut(ended=False)

    def finish(self) -> Iterator[bytes]:
        """Give the rest of the stream; the cutter is fresh again."""
        yield from self._cut(ended=True)

    def _cut(self, *, ended: bool) -> Iterator[bytes]:
        """A cut depends on the `largest` bytes from a chunk's beginning; one that could still change waits."""
        held = bytes(self._held)
        done = 0
        if held:
            sizes = self._sizes
            mixed = held.translate(self._permutation)
            for chunk in fastcdc(mixed, sizes.smallest, sizes.usual, sizes.largest):
                if not ended and chunk.offset + sizes.largest > len(held):
                    break
                done = chunk.offset + chunk.length
                yield held[chunk.offset : done]
        self._held = bytearray(held[done:])


def ends_bundle(length: int, code: bytes) -> bool:
    """Tell whether a bundle of small files is complete.

    Args:
        length: Bytes in the bundle.
        code: Keyed code of its last file, so that an observer cannot foretell the end.
    """
    if length >= BUNDLE_BYTES_MAX:
        return True
    return length >= BUNDLE_BYTES_MIN and code[-1] % _BUNDLE_ENDS == 0
