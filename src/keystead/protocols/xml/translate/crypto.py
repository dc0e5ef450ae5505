"""CryptoRequest: encrypting, decrypting, authentication codes, signatures.

A key pair is used under its one name: what its public half does is done with that. Data comes behind the request, or in
it as Base64, where several pieces are several operations.

Source: docs/xml-interface.md; requirements KS-NAE-014, KS-LOG-013, 030.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from keystead.core.algorithms import Mode
from keystead.core.errors import CryptographicFailure, Invalid
from keystead.core.records import ManagedObject
from keystead.operations.macs import Mac, MacVerify
from keystead.operations.requests import CipherParameters, Decrypt, Encrypt
from keystead.operations.signatures import Sign, SignatureVerify
from keystead.protocols.xml.translate.algorithms import MACS, SIGNATURES, TRANSFORMATIONS, Transformation
from keystead.protocols.xml.translate.fields import BASE64, ID, KEY_NAME, Field, Mark, choice, hexadecimal, text
from keystead.protocols.xml.translate.key_versions import VERSION
from keystead.protocols.xml.translate.work import KEY_VERSION, NOWHERE, Answer, Asked, Row, Work, words

PIECES_COUNT_MAX = 100
IV_BYTES_MAX = 128
CODE_BYTES_MAX = 4_096
CHUNK_BYTES_MAX = 1_048_576
INLINE = "Base64DataSingle"


class Action(StrEnum):
    """What to do with the data."""

    ENCRYPT = "ENCRYPT"
    DECRYPT = "DECRYPT"
    MAC = "MAC"
    MAC_VERIFY = "MACV"
    SIGN = "SIGN"
    SIGNATURE_VERIFY = "SIGNV"


_BY_PUBLIC_HALF = frozenset({Action.ENCRYPT, Action.SIGNATURE_VERIFY})


def _make(asked: Asked) -> Work:
    values = asked.values
    action, name = values["Action"], values["KeyName"]
    pieces = (asked.data,) if asked.data is not None else values[INLINE]
    if len(pieces) > PIECES_COUNT_MAX:
        raise Invalid("a request has at most 100 pieces of data", "invalid.field")
    record = asked.find(name)
    target = asked.version_target(record)
    if action in _BY_PUBLIC_HALF and target != NOWHERE:
        target = asked.public_half(record) or target
    make, answer = _DOERS[action](asked, record, target)
    return Work(tuple(make(piece) for piece in pieces), _telling_version(asked, record, answer), name)


def _telling_version(
    asked: Asked, record: ManagedObject | None, answer: Callable[[list[Any]], Answer]
) -> Callable[[list[Any]], Answer]:
    """Return an answer that tells which version of a versioned key was used."""
    if record is None or record.versioning is None:
        return answer
    number = asked.values.get(KEY_VERSION, record.versioning.number)

    def told(results: list[Any]) -> Answer:
        found = answer(results)
        return found._replace(elements=(words(KEY_VERSION, number), *found.elements))

    return told


Doer = tuple[Callable[[bytes], Any], Callable[[list[Any]], Answer]]


def _named(values: Any, names: dict[str, Any]) -> Any:
    """Return what the Algorithm element means."""
    name = values.get("Algorithm")
    if name is None:
        raise Invalid("CryptoRequest lacks Algorithm", "invalid.missing")
    if name not in names:
        raise Invalid(f"Algorithm is one of {', '.join(names)}", "invalid.cryptographic_parameters")
    return names[name]


def _without(values: Any, *names: str) -> None:
    for name in names:
        if name in values:
            raise Invalid(f"{name} does not go with this action", "invalid.field")


def _encrypt(asked: Asked, _record: ManagedObject | None, target: str) -> Doer:
    found: Transformation = _named(asked.values, TRANSFORMATIONS)
    _without(asked.values, "MAC", "Signature")
    iv, associated = asked.values.get("IV"), asked.values.get("AAD")
    is_random = found.has_iv and iv is None
    parameters = found.parameters._replace(random_iv=is_random)
    if iv is not None and parameters.mode == Mode.GCM and len(asked.values.get(INLINE, ())) > 1:
        raise Invalid("several pieces under one IV would break this mode; leave IV out", "invalid.field")

    def answer(results: list[Any]) -> Answer:
        ivs = tuple(words("IV", result.iv.hex()) for result in results if result.iv is not None)
        return Answer(ivs, _chunks([result.data + (result.tag or b"") for result in results]))

    return lambda data: Encrypt(data, target, parameters, iv, associated), answer


def _decrypt(asked: Asked, _record: ManagedObject | None, target: str) -> Doer:
    found: Transformation = _named(asked.values, TRANSFORMATIONS)
    _without(asked.values, "MAC", "Signature")
    iv, associated = asked.values.get("IV"), asked.values.get("AAD")
    if found.has_iv and iv is None:
        raise Invalid("CryptoRequest lacks IV", "invalid.missing")
    length = found.tag_bytes

    def make(data: bytes) -> Any:
        if length and len(data) < length:
            raise CryptographicFailure("the data does not fit key and parameters")
        tag = data[-length:] if length else None
        return Decrypt(data[: len(data) - length], target, found.parameters, iv, associated, tag)

    return make, lambda results: Answer((), _chunks([result.data for result in results]))


def _mac_parameters(asked: Asked) -> CipherParameters | None:
    if "Algorithm" not in asked.values:
        return None
    return CipherParameters(algorithm=int(_named(asked.values, MACS)))


def _signature_parameters(asked: Asked) -> CipherParameters:
    found: CipherParameters = _named(asked.values, SIGNATURES)
    return found


def _mac(asked: Asked, _record: ManagedObject | None, target: str) -> Doer:
    _without(asked.values, "IV", "AAD", "MAC", "Signature")
    parameters = _mac_parameters(asked)
    return (
        lambda data: Mac(data, target, parameters),
        lambda results: Answer((), _chunks([result.code for result in results])),
    )


def _mac_verify(asked: Asked, _record: ManagedObject | None, target: str) -> Doer:
    _without(asked.values, "IV", "AAD", "Signature")
    parameters, code = _mac_parameters(asked), _judged_by(asked, "MAC")
    return lambda data: MacVerify(data, code, target, parameters), _verdicts


def _sign(asked: Asked, _record: ManagedObject | None, target: str) -> Doer:
    _without(asked.values, "IV", "AAD", "MAC", "Signature")
    parameters = _signature_parameters(asked)
    return (
        lambda data: Sign(data, target, parameters),
        lambda results: Answer((), _chunks([result.signature for result in results])),
    )


def _verify(asked: Asked, _record: ManagedObject | None, target: str) -> Doer:
    _without(asked.values, "IV", "AAD", "MAC")
    parameters, signature = _signature_parameters(asked), _judged_by(asked, "Signature")
    return lambda data: SignatureVerify(data, signature, target, parameters), _verdicts


def _judged_by(asked: Asked, name: str) -> bytes:
    found: bytes | None = asked.values.get(name)
    if found is None:
        raise Invalid(f"CryptoRequest lacks {name}", "invalid.missing")
    if len(asked.values.get(INLINE, ())) > 1:
        raise Invalid(f"one {name} is of one piece of data", "invalid.field")
    return found


def _verdicts(results: list[Any]) -> Answer:
    return Answer(tuple(words("Valid", result.is_valid) for result in results))


def _chunks(pieces: list[bytes]) -> tuple[bytes, ...]:
    """Return chunks of an answer: each piece begins with one of its own."""
    return tuple(
        piece[at : at + CHUNK_BYTES_MAX] for piece in pieces for at in range(0, max(1, len(piece)), CHUNK_BYTES_MAX)
    )


_DOERS: dict[Action, Callable[[Asked, ManagedObject | None, str], Doer]] = {
    Action.ENCRYPT: _encrypt,
    Action.DECRYPT: _decrypt,
    Action.MAC: _mac,
    Action.MAC_VERIFY: _mac_verify,
    Action.SIGN: _sign,
    Action.SIGNATURE_VERIFY: _verify,
}

_ACTIONS = {action.value: action for action in Action}
ROWS: dict[str, Row] = {
    "CryptoRequest": Row(
        (
            ID,
            Field("Action", choice(", ".join(_ACTIONS), _ACTIONS), Mark.OURS, required=True),
            Field("KeyName", KEY_NAME, Mark.OURS, required=True),
            VERSION,
            Field("Algorithm", text(), Mark.OURS, about="with mode and padding; only MAC and MACV do without"),
            Field("IV", hexadecimal(IV_BYTES_MAX), Mark.OURS, about="absent: made at random and answered"),
            Field("AAD", hexadecimal(CODE_BYTES_MAX), Mark.OURS, about="additional data of GCM"),
            Field("MAC", hexadecimal(CODE_BYTES_MAX), Mark.OURS, about="of MACV"),
            Field("Signature", hexadecimal(CODE_BYTES_MAX), Mark.OURS, about="of SIGNV"),
            Field(INLINE, BASE64, Mark.OURS, multiple=True, about="data in the request"),
            Field("DataSingle", None, about="where its length stands is not known"),
        ),
        _make,
        "Encrypts, decrypts, signs, verifies; several Base64DataSingle are as many operations, all done or none",
        (
            Field(KEY_VERSION, None, Mark.OURS, about="that was used, of a versioned key"),
            Field("IV", None, Mark.OURS, multiple=True, about="of what was encrypted with a random one"),
            Field("Valid", None, Mark.OURS, multiple=True, about="of MACV and SIGNV, instead of data"),
        ),
        data="both",
    ),
}
"""The one request."""
