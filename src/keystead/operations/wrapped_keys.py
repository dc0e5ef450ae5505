"""Keys that are kept wrapped by a key which is not here: how their material is written, and that nobody uses them.

Source: KMIP 1.4 section 2.1.5 (Key Wrapping Data); RFC 8949.
"""

import cbor2

from keystead.core.errors import WrongState
from keystead.core.records import KIND_OBJECT, ManagedObject
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.operations.requests import CipherParameters, Wrapping
from keystead.storage.store import Loaded, as_object


def packed(data: Secret, wrapping: Wrapping, iv: bytes | None) -> Secret:
    """Return what is sealed of a wrapped key: its bytes, and how they were wrapped."""
    parameters = None if wrapping.parameters is None else list(wrapping.parameters)
    fields = [data.reveal(), wrapping.key, parameters, wrapping.method, wrapping.encoding, iv]
    return Secret(cbor2.dumps(fields, canonical=True))


def unpacked(material: Secret) -> tuple[Secret, Wrapping, bytes | None]:
    """Return what `packed` was given."""
    data, key, parameters, method, encoding, iv = cbor2.loads(material.reveal())
    used = None if parameters is None else CipherParameters(*parameters)
    return Secret(data), Wrapping(key, used, method, encoding), iv


def opened(call: Call, loaded: Loaded) -> Secret:
    """Return the key bytes to work with.

    Raises:
        WrongState: it is kept wrapped.
    """
    record = as_object(loaded)
    check_usable(record)
    secret: Secret = call.desk.keyring.open(record.realm, KIND_OBJECT, record.id, loaded.material)
    return secret


def check_usable(record: ManagedObject) -> None:
    """Refuse to work with a key whose bytes are not known here.

    Raises:
        WrongState: it is kept wrapped.
    """
    if record.protection.wrapped:
        raise WrongState("the key is kept wrapped by another one; get it and unwrap it first")
