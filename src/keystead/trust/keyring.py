"""The keyring: seals and opens material under the realms' key-encryption keys, as the security module allows.

Laws: a key-encryption key exists in clear only while the module is unlocked. Secure key cache off: it is unwrapped for
each call and dropped. On: it is held masked in locked memory, and a bounded number of materials' ciphers stay ready.
Locking the module or switching the cache drops everything before that call returns.

Honest limits: dropping means that wrapped pages are overwritten; Python bytes and OpenSSL's contexts are freed, not
provably erased. See docs/adr/0021.

Source: requirements KS-GEN-006, KS-HSM-050 to 054; performance.md section 4; design.md section 6 ("secure key cache").
"""

import secrets
import threading
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystead.core.changes import SealedMaterial
from keystead.core.errors import Internal
from keystead.core.eviction import oldest
from keystead.core.records import ROOT_REALM
from keystead.core.secret import Secret
from keystead.trust.locked_memory import LockedSecret
from keystead.trust.material import Opener, Place, PlaceFields, binding, seal, subkey_cipher
from keystead.trust.root import RootOfTrust
from keystead.trust.sealing import frame

REALM_KEY_BYTES = 32
CIPHER_COUNT_MAX = 16_384  # about 2.4 KB each
READY_COUNT_MAX = 32_768  # plans of all operations together; at most 3 KB each with its cipher


class _Held:
    """What is held between calls while the secure key cache works; dropped as a whole."""

    __slots__ = ("is_dropped", "openers", "ready", "realm_keys", "streams")

    def __init__(self) -> None:
        self.realm_keys: dict[str, LockedSecret] = {}
        self.openers: dict[PlaceFields, Opener] = {}
        self.ready: dict[Any, Any] = {}
        self.streams: dict[bytes, Any] = {}
        self.is_dropped = False

    def drop(self) -> None:
        self.is_dropped = True
        self.openers.clear()
        self.ready.clear()
        self.streams.clear()
        for key in self.realm_keys.values():
            key.wipe()
        self.realm_keys.clear()


class Keyring:
    """Seals and opens material. Thread-safe.

    Args:
        root: The security module.
        realm_keys: Realm -> its wrapped key-encryption key, as `new_realm_key` returned it; or what loads them, asked
            when a realm is not known.
        cipher_count_max: Ready ciphers held at most; the oldest goes first.

    Attributes:
        ready: Plans and prepared ciphers of served keys, kept by whoever made them; None while nothing may be held
            between calls. Emptied and replaced when the module locks or the cache is switched, so ask for it each time
            and add to it with `keep` only.
        streams: What streams of data in pieces hold of keys, by Correlation Value; comes and goes as `ready` does, but
            whoever adds to it bounds it.
    """

    def __init__(
        self,
        root: RootOfTrust,
        realm_keys: Mapping[str, bytes] | Callable[[], Mapping[str, bytes]],
        cipher_count_max: int = CIPHER_COUNT_MAX,
    ) -> None:
        self._root = root
        self._load = realm_keys if callable(realm_keys) else dict
        self._wrapped: dict[str, bytes] = {} if callable(realm_keys) else dict(realm_keys)
        self._cipher_count_max = cipher_count_max
        self._lock = threading.Lock()  # never held while the module is asked: its watchers come here under its lock
        self._held: _Held | None = None
        self.ready: dict[Any, Any] | None = None
        self.streams: dict[bytes, Any] | None = None
        root.watch(self._module_changed)
        self._module_changed()

    def new_realm_key(self, realm: str) -> bytes:
        """Make a realm's key-encryption key. The caller stores it, then hands it to `add_realm`.

        Returns: the key wrapped by the module, bound to the realm.

        Raises:
            Unavailable: locked.
        """
        return self._root.wrap_key(Secret(secrets.token_bytes(REALM_KEY_BYTES)), _realm_context(realm))

    def add_realm(self, realm: str, wrapped: bytes) -> None:
        """Take a realm's wrapped key-encryption key into use."""
        with self._lock:
            self._wrapped[realm] = wrapped

    def forget(self) -> None:
        """Drop every realm's key, because the realms changed; they are loaded again when needed."""
        if self._load is not dict:
            self._wrapped = {}
        self._module_changed()

    def seal(self, place: Place, secret: Secret) -> SealedMaterial:
        """Seal material for its place.

        Raises:
            Unavailable: locked.
        """
        return seal(self._cipher(self._held, place.realm, place.material_id), place, secret)

    def open(self, realm: str, kind: str, object_id: str, material: SealedMaterial) -> Secret:
        """Open material that was sealed for this place.

        Raises:
            Unavailable: locked. Tampered: sealed for another place, or changed.
        """
        return self.opener((realm, kind, object_id, material.id, material.version), material.sealed).open()

    def opener(self, place: PlaceFields, sealed: bytes) -> Opener:
        """Return what opens sealed bytes at their place; whoever keeps it does so in `ready`.

        Raises:
            Unavailable: locked. Tampered: of an unknown form.
        """
        held: _Held | None = self._held
        if held is None:
            return Opener(self._cipher(held, place[0], place[3]), binding(place), sealed)
        opener = held.openers.get(place)
        if opener is None or opener.sealed is not sealed:
            opener = Opener(self._cipher(held, place[0], place[3]), binding(place), sealed)
            self._keep(held, place, opener)
        return opener

    def keep(self, key: Any, plan: Any) -> None:
        """Put a plan into `ready` if anything may be held between calls; the oldest go when there are too many."""
        ready = self.ready
        if ready is not None:
            if len(ready) >= READY_COUNT_MAX:
                for old in oldest(ready):
                    ready.pop(old, None)
            ready[key] = plan

    def check(self) -> None:
        """Test the path to the module: unwrap the first realm's key-encryption key, past everything that is held.

        Raises:
            Unavailable: locked. Tampered, DeviceFault: the module does not do what it must.
        """
        self._root.unwrap_key(self._wrapped_key(ROOT_REALM), _realm_context(ROOT_REALM))

    def holds_keys(self) -> bool:
        """Tell whether anything is held between calls."""
        held = self._held
        return held is not None and bool(held.realm_keys or held.openers or held.ready or held.streams)

    def cipher_count(self) -> int:
        """Tell how many ciphers are ready."""
        held = self._held
        return 0 if held is None else len(held.openers)

    def _cipher(self, held: _Held | None, realm: str, material_id: str) -> AESGCM:
        if held is not None:
            with self._lock:
                key = held.realm_keys.get(realm)
                if key is not None:
                    return subkey_cipher(key.reveal(), material_id)
        unwrapped = self._root.unwrap_key(self._wrapped_key(realm), _realm_context(realm))
        if held is not None:
            with self._lock:
                if not held.is_dropped and realm not in held.realm_keys:
                    held.realm_keys[realm] = LockedSecret(unwrapped)
        return subkey_cipher(unwrapped.reveal(), material_id)

    def _wrapped_key(self, realm: str) -> bytes:
        if realm not in self._wrapped:
            self._wrapped |= self._load()
        try:
            return self._wrapped[realm]
        except KeyError:
            raise Internal(f"there is no key-encryption key of the realm {realm}") from None

    def _keep(self, held: _Held, place: PlaceFields, opener: Opener) -> None:
        with self._lock:
            if held.is_dropped:
                return
            openers = held.openers
            if len(openers) >= self._cipher_count_max and place not in openers:
                for old in oldest(openers):
                    del openers[old]
            openers[place] = opener

    def _module_changed(self) -> None:
        """Drop everything; begin anew if the module is unlocked and the cache switched on."""
        status = self._root.status()
        with self._lock:
            if self._held is not None:
                self._held.drop()
            self._held = _Held() if status.activated and status.key_cache else None
            self.ready = None if self._held is None else self._held.ready
            self.streams = None if self._held is None else self._held.streams


def _realm_context(realm: str) -> bytes:
    return frame(b"realm", realm.encode())
