"""One cloning from a source to a target: five messages inside TLS. Sans-IO; the coordinator carries the bytes.

Laws: no secret leaves before the target has proven itself and signed the transcript; the target changes nothing before
all of it holds, and then all at once; the source says "cloned" only on the target's signed word about the same key.

Source: requirements CA-001, 004 to 008, 015 to 021, 032, 033; design.md section 6 ("joins, cloning"); docs/cloning.md.
"""

import hashlib
import hmac
import io
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cbor2

from keystead.core.errors import Invalid, Refused, Tampered, WrongState
from keystead.core.secret import Secret
from keystead.core.translation import tr
from keystead.custody.modules import messages
from keystead.custody.modules.channel import Channel
from keystead.custody.modules.manufacture import Identity, judge, read_identity
from keystead.custody.modules.messages import NONCE_BYTES, Options, Said, field_bytes, packed, unpacked
from keystead.custody.modules.module import SecureModule
from keystead.custody.modules.state import ATTEMPTS_COUNT, ModuleState
from keystead.trust import envelope
from keystead.trust.envelope import Sealing
from keystead.trust.origins import SIGNATURE_BYTES
from keystead.trust.sealing import frame

ENVELOPE_KIND = "module-clone"
CLONE_BYTES_MAX = 16_384
_TARGET, _DONE = "module-clone-target", "module-clone-done"


class _Side:
    """What both sides share."""

    def __init__(self, module: SecureModule, *, is_target: bool) -> None:
        self._module = module
        self._channel = Channel(module.device, module.root, is_target=is_target)
        self._nonce = os.urandom(NONCE_BYTES)
        self._own_certificate = module.device.identity.certificate
        self._transcript = b""
        self._peer: Identity | None = None
        self.is_finished = False

    @property
    def peer(self) -> Identity:
        """Return who the other side is.

        Raises:
            Refused: not proven yet.
        """
        if self._peer is None:
            raise Refused(tr("the other module has not proven itself"))
        return self._peer

    def _meet(self, encoded: bytes) -> None:
        """Judge the other side's identity (CA-033).

        Raises:
            Refused: expired, revoked, of another certificate, or of this module's own serial. Tampered: not genuine.
        """
        peer = read_identity(encoded, self._module.root)
        judge(peer, self._channel.peer_certificate, self._module.state.revoked, self._module.now)
        if peer.serial == self._module.serial:
            raise Refused(tr("the other module has the same serial number as this one; one of them is not genuine"))
        self._peer = peer

    def _send(self, said: Said, fields: dict[str, Any]) -> tuple[bytes, bytes]:
        """Return a message and the bytes that carry it."""
        message = packed(said, fields)
        return message, self._channel.send(message)

    def _carried(self, data: bytes, answer: Callable[[bytes], bytes]) -> bytes:
        """Take carried bytes and return those to carry back.

        Raises:
            WrongState: more comes after the end.
        """
        if self.is_finished:
            raise WrongState(tr("this cloning has ended; start another one"), "wrong_state.module")
        arrived, back = self._channel.receive(data)
        for message in arrived:
            if self.is_finished:
                raise Invalid(tr("the other module says more than the protocol has"))
            back += answer(message)
        return back


class Target(_Side):
    """The side that becomes a clone.

    Args:
        module: Empty, or unlocked by its administrator and `replace` confirmed.
        replace: What it holds may be replaced (CA-032).
    """

    def __init__(self, module: SecureModule, *, replace: bool) -> None:
        module.check_target(replace=replace)
        super().__init__(module, is_target=True)
        self._replace = replace
        self._hello = b""

    def start(self) -> bytes:
        """Return the first bytes to carry to the source."""
        return self._channel.start()

    def receive(self, data: bytes) -> bytes:
        """Take what the coordinator carried from the source; returns what to carry back."""
        was_open = self._channel.is_open
        back = self._carried(data, self._answer)
        if self._channel.is_open and not was_open:
            self._hello, carried = self._send(Said.HELLO, self._introduction())
            back += carried
        return back

    def _introduction(self) -> dict[str, Any]:
        holds = self._module.state.holds_key
        return {"identity": self._module.device.identity.encoded, "nonce": self._nonce, "holds_key": holds}

    def _answer(self, message: bytes) -> bytes:
        if not self._transcript:
            return self._ready(message)
        return self._become(message)

    def _ready(self, message: bytes) -> bytes:
        fields = unpacked(message, Said.OFFER)
        self._meet(field_bytes(fields, "identity"))
        field_bytes(fields, "nonce", NONCE_BYTES)
        self._transcript = messages.transcript(self._hello, message, self._own_certificate, self.peer.certificate)
        signature = self._module.device.origin.sign(self._transcript, _TARGET)
        return self._send(Said.READY, {"signature": signature})[1]

    def _become(self, message: bytes) -> bytes:
        """Open the envelope, check all of it, take it over, and say so."""
        sealed = io.BytesIO(field_bytes(unpacked(message, Said.CLONE), "envelope"))
        peer = self.peer
        opened = envelope.verify(sealed, {peer.origin.id: peer.origin}, ENVELOPE_KIND)
        if opened.header.about.get("transcript") != self._transcript:
            raise Tampered(tr("the envelope is of another cloning; it was played again or swapped"))
        copied = _copied(opened.read([self._module.device.recipient], CLONE_BYTES_MAX), peer.serial)
        self._module.check_target(replace=self._replace)  # it may have been locked meanwhile
        self._module.become(copied)
        self.is_finished = True
        signature = self._module.device.origin.sign(_held(self._transcript, copied), _DONE)
        return self._send(Said.DONE, {"signature": signature})[1]


class Source(_Side):
    """The side that is cloned.

    Args:
        module: Unlocked by its administrator, cloning switched on (CA-014, 027).
        options: What the person chose.
        target_serial: Whom the person wants to clone to; "" = whoever is genuine.
    """

    def __init__(self, module: SecureModule, options: Options, target_serial: str = "") -> None:
        module.check_source()
        super().__init__(module, is_target=False)
        self._options = options
        self._target_serial = target_serial
        self._is_sent = False

    def receive(self, data: bytes) -> bytes:
        """Take what the coordinator carried from the target; returns what to carry back."""
        return self._carried(data, self._answer)

    def _answer(self, message: bytes) -> bytes:
        if not self._transcript:
            return self._offer(message)
        return self._accept(message) if self._is_sent else self._clone(message)

    def _offer(self, message: bytes) -> bytes:
        fields = unpacked(message, Said.HELLO)
        self._meet(field_bytes(fields, "identity"))
        if self._target_serial and self.peer.serial != self._target_serial:
            raise Refused(tr("another module than the chosen one answered; look at what is plugged in"))
        field_bytes(fields, "nonce", NONCE_BYTES)
        offer = {"identity": self._module.device.identity.encoded, "nonce": self._nonce}
        said, carried = self._send(Said.OFFER, offer)
        self._transcript = messages.transcript(message, said, self.peer.certificate, self._own_certificate)
        return carried

    def _clone(self, message: bytes) -> bytes:
        """Check the target's signature over everything said, then seal for it alone."""
        signature = field_bytes(unpacked(message, Said.READY), "signature", SIGNATURE_BYTES)
        self.peer.origin.verify(signature, self._transcript, _TARGET)
        self._module.check_source()
        target = io.BytesIO()
        about: dict[str, Any] = {"transcript": self._transcript}
        device = self._module.device
        sealing = Sealing(ENVELOPE_KIND, [self.peer.recipient], device.origin, self._module.now, about)
        envelope.seal([_content(self._module.state, self._options).reveal()], target, sealing)
        self._is_sent = True
        return self._send(Said.CLONE, {"envelope": target.getvalue()})[1]

    def _accept(self, message: bytes) -> bytes:
        signature = field_bytes(unpacked(message, Said.DONE), "signature", SIGNATURE_BYTES)
        self.peer.origin.verify(signature, _held(self._transcript, self._module.state), _DONE)
        self._module.cloned_once(disable_after=self._options.disable_source)
        self.is_finished = True
        return b""


# ------------------------------------------------------------------------------------------------- what is copied


def _content(state: ModuleState, options: Options) -> Secret:
    """Return what a clone gets: the key under its PINs, and settings; padded, so that it has one length."""
    copied = replace(
        state,
        epoch=0,
        cloning=False,  # its administrator switches it on there (CA-021)
        disable_pending=False,
        auto_lock_min=state.auto_lock_min if options.auto_lock else None,
        policy=state.policy if options.policy else None,
        revoked=frozenset(),
        revocation_number=0,
    )
    encoded = copied.encoded()
    return Secret(frame(encoded).ljust(CLONE_BYTES_MAX, b"\0"))


def _copied(content: Secret, source_serial: str) -> ModuleState:
    """Read what `_content` made; PINs get all their attempts.

    Raises:
        Invalid: it breaks its form, or holds no key.
    """
    data = content.reveal()
    length = int.from_bytes(data[:4], "big")
    try:
        state = ModuleState.decoded(data[4 : 4 + length])
        if not state.holds_key:
            raise ValueError
    except (cbor2.CBORError, ValueError, TypeError, KeyError, AttributeError, Tampered):
        raise Invalid(tr("what the source sent breaks its form")) from None
    state.copied_from, state.attempts_left = source_serial, ATTEMPTS_COUNT
    return state


def _held(transcript: bytes, state: ModuleState) -> bytes:
    """Return what a target signs at the end: this cloning, and that it holds this key."""
    return frame(transcript, hashlib.sha256(frame(state.lineage, state.check)).digest())


def same_key(one: ModuleState, other: ModuleState) -> bool:
    """Tell whether two modules hold the same key."""
    return one.holds_key and hmac.compare_digest(one.check, other.check) and one.lineage == other.lineage
