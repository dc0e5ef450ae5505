"""Secret bytes in memory of their own: never in swap where the system allows it, not in a core, masked, wiped.

Honest limits: the bytes that `reveal()` returns are an ordinary Python object until the interpreter reuses its memory,
and OpenSSL keeps the key schedules of live ciphers. Masking keeps a key from standing in memory as it is; it is no
protection against whoever can read the whole memory of the process. This is not hardware protection (KS-HSM-050).

Source: mlock(2), madvise(2); requirement KS-HSM-050.
"""

import ctypes
import mmap
import secrets

from keystead.core.secret import Secret

_MADV_WIPEONFORK = 18  # Linux 4.14; not in Python's mmap module
_libc = ctypes.CDLL(None, use_errno=True)


class LockedSecret:
    """Holds a secret as value XOR mask, each in a locked page of its own.

    Args:
        secret: 1 to one page of bytes.
    """

    __slots__ = ("_length_bytes", "_mask", "_value", "locked")

    def __init__(self, secret: Secret) -> None:
        value = secret.reveal()
        mask = secrets.token_bytes(len(value))
        self._length_bytes = len(value)
        self._mask = _page()
        self._value = _page()
        self.locked = _lock(self._mask) and _lock(self._value)
        """Whether the system keeps both pages out of swap."""
        self._mask[: len(mask)] = mask
        self._value[: len(value)] = _xor(value, mask)

    def reveal(self) -> bytes:
        """Return the secret's bytes; the caller drops them as soon as it can.

        Raises:
            ValueError: wiped.
        """
        length = self._length_bytes
        return _xor(self._value[:length], self._mask[:length])

    def wipe(self) -> None:
        """Overwrite and release. Idempotent."""
        for page in (self._value, self._mask):
            if not page.closed:
                page[:] = bytes(len(page))
                page.close()

    def __repr__(self) -> str:
        return "LockedSecret(redacted)"


def _page() -> mmap.mmap:
    """Map one anonymous private page that is left out of cores and is zero in a forked child."""
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    page.madvise(mmap.MADV_DONTDUMP)
    page.madvise(_MADV_WIPEONFORK)
    return page


def _lock(page: mmap.mmap) -> bool:
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return int(_libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(len(page)))) == 0


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")
