"""Keys: making, importing, exporting, telling of, listing and deleting them.

A key pair has one name, its private key's; the public half is found over its link.

Source: docs/xml-interface.md; requirements KS-NAE-005, 007 to 011, 015; KS-LOG-013.
"""

import hashlib
from typing import Any

from keystead.core.algorithms import KEY_BITS_MAX, Algorithm, KeyFormat, UsageMask
from keystead.core.attribute_table import PAIR, ObjectType
from keystead.core.attribute_values import date
from keystead.core.attributes import Attribute, ItemType, Value
from keystead.core.errors import Invalid, Refused
from keystead.core.key_pairs import PairFormat
from keystead.core.pem import read_pem, write_pem
from keystead.core.records import ManagedObject
from keystead.core.secret import Secret
from keystead.core.structures import made, name_value
from keystead.operations.key_lists import KEYS_LISTED_COUNT_MAX, ListOwnKeys
from keystead.operations.key_pairs import DOMAIN, CreateKeyPair, Wishes
from keystead.operations.key_versions import ListVersions
from keystead.operations.requests import Create, Delete, Get, GetAttributes, GotWrapped, KeyBlock, Register, Terms
from keystead.protocols.xml.translate.algorithms import ALGORITHMS, CURVES, PAIRS, name_of, usage_of
from keystead.protocols.xml.translate.fields import FLAG, ID, KEY_NAME, RAW, Field, Mark, Values, choice, number, text
from keystead.protocols.xml.translate.key_versions import (
    VERSION,
    VERSION_INFO,
    VERSIONS_PAGE,
    listed_versions,
    told_life,
)
from keystead.protocols.xml.translate.work import Answer, Asked, Row, Work, words
from keystead.protocols.xml.wire.elements import Element, of
from keystead.storage.store import LOCATE_OFFSET_MAX

FINGERPRINT_BYTES = 20
_FINGERPRINT = b"keystead fingerprint\0"


def _terms(values: Values) -> Terms:
    versioned = "VersionedKey" in values
    return Terms(values.get("KeyName"), "Deletable" in values, "Exportable" in values, versioned=versioned)


def _attributes(asked: Asked) -> tuple[Attribute, ...]:
    """Return what every new key has: it is active from now on, and KMIP clients find it by its name."""
    given = [Attribute("Activation Date", 0, date(asked.now_us))]
    if "KeyName" in asked.values:
        given.append(Attribute("Name", 0, name_value(asked.values["KeyName"])))
    return tuple(given)


def _shape(values: Values) -> tuple[Attribute, ...]:
    found = [Attribute("Cryptographic Algorithm", 0, Value(ItemType.ENUMERATION, int(values["Algorithm"])))]
    if "KeySize" in values:
        found.append(Attribute("Cryptographic Length", 0, Value(ItemType.INTEGER, values["KeySize"])))
    return tuple(found)


def _usage(mask: UsageMask) -> Attribute:
    return Attribute("Cryptographic Usage Mask", 0, Value(ItemType.INTEGER, int(mask)))


def _check_owner(asked: Asked) -> None:
    if asked.values.get("Owner", asked.user) != asked.user:
        raise Refused("a key belongs to who makes it; leave Owner out", "refused.feature")


def _make_generate(asked: Asked) -> Work:
    values = asked.values
    _check_owner(asked)
    algorithm = values["Algorithm"]
    given = (*_attributes(asked), *_shape(values))
    if algorithm in PAIRS.values():
        if "CurveID" in values:
            given = (*given, Attribute(DOMAIN, 0, made(DOMAIN, None, int(values["CurveID"]))))
        request: Any = CreateKeyPair(common=Wishes(given), terms=_terms(values))
    elif "CurveID" in values:
        raise Invalid("only EC keys have a curve", "invalid.field")
    else:
        given = (*given, _usage(usage_of(algorithm)))
        request = Create(int(ObjectType.SYMMETRIC_KEY), given, terms=_terms(values))
    return Work((request,), _created, values.get("KeyName", ""), name_of(algorithm))


def _make_import(asked: Asked) -> Work:
    values = asked.values
    _check_owner(asked)
    algorithm = values["Algorithm"]
    given = (*_attributes(asked), *_shape(values))
    if algorithm in PAIRS.values():
        object_type, form, secret = read_pem(values["KeyData"])
        is_private = object_type is ObjectType.PRIVATE_KEY
        usage = UsageMask.SIGN | UsageMask.VERIFY if is_private else UsageMask.VERIFY
        if algorithm == Algorithm.RSA:
            usage |= UsageMask.DECRYPT if is_private else UsageMask.ENCRYPT
    else:
        object_type, form, usage = ObjectType.SYMMETRIC_KEY, PairFormat.RAW, usage_of(algorithm)
        secret = _from_hexadecimal(values["KeyData"])
    block = KeyBlock(int(form), secret, int(algorithm))
    request = Register(int(object_type), block, (*given, _usage(usage)), terms=_terms(values))
    return Work((request,), _created, values["KeyName"], name_of(algorithm))


def _from_hexadecimal(digits: str) -> Secret:
    try:
        return Secret(bytes.fromhex(digits.strip()))
    except ValueError:
        raise Invalid("KeyData of a symmetric key is hexadecimal", "invalid.key") from None


def _created(results: list[Any]) -> Answer:
    record = results[0].record
    return Answer((*_fingerprint(record), words("KeyName", record.handle)))


def _fingerprint(record: ManagedObject) -> tuple[Element, ...]:
    """Return a name for the key's bytes; there is none of those that could be guessed from it."""
    if record.digest is None:
        return ()
    digest = hashlib.sha256(_FINGERPRINT + record.digest).digest()
    return (words("Fingerprint", digest[:FINGERPRINT_BYTES].hex()),)


_EXPORTED: dict[int, PairFormat] = {
    Algorithm.RSA: PairFormat.PKCS_1,
    Algorithm.EC: PairFormat.EC_PRIVATE_KEY,
    Algorithm.ECDSA: PairFormat.EC_PRIVATE_KEY,
    Algorithm.ECDH: PairFormat.EC_PRIVATE_KEY,
}


def _format_of(record: ManagedObject | None) -> int | None:
    """Return the format to ask for."""
    if record is None:
        return None
    if record.object_type == ObjectType.PRIVATE_KEY:
        return int(_EXPORTED.get(record.shape.algorithm, PairFormat.PKCS_8))
    if record.object_type == ObjectType.PUBLIC_KEY:
        return int(PairFormat.X_509)
    return int(KeyFormat.RAW) if record.object_type == ObjectType.SYMMETRIC_KEY else None


def _make_export(asked: Asked) -> Work:
    name = asked.values["KeyName"]
    record = asked.find(name)
    return Work(
        (Get(asked.version_target(record), _format_of(record)),), lambda results: _exported(name, results), name
    )


def _make_public_export(asked: Asked) -> Work:
    name = asked.values["KeyName"]
    target = asked.public_half(asked.find(name)) or asked.target(name)
    return Work((Get(target, int(PairFormat.X_509)),), lambda results: _exported(name, results), name)


def _exported(name: str, results: list[Any]) -> Answer:
    got = results[0]
    if isinstance(got, GotWrapped) or got.block is None:
        raise Refused("this object is not exported here; KMIP hands it out", "refused.feature")
    block = got.block
    data = block.material.reveal()
    text = write_pem(got.object_type, block.format, data) if got.object_type in PAIR else data.hex()
    algorithm = (words("Algorithm", name_of(block.algorithm)),) if block.algorithm else ()
    return Answer((words("KeyName", name), *algorithm, Element("KeyData", text)))


def _make_delete(asked: Asked) -> Work:
    name = asked.values["KeyName"]
    request = Delete(asked.target(name), asked.public_half(asked.find(name)))
    return Work((request,), lambda _results: Answer(), name)


def _make_info(asked: Asked) -> Work:
    name = asked.values["KeyName"]
    request = GetAttributes(asked.version_target(asked.find(name)), ("State",))
    if "Maximum" not in asked.values:
        return Work((request,), lambda results: Answer(_told(results[0].record, asked.now_us)), name)
    listing = ListVersions(name, str(asked.values.get("Below", "")), asked.values["Maximum"])

    def answer(results: list[Any]) -> Answer:
        return Answer((*_told(results[0].record, asked.now_us), *listed_versions(results[1].versions)))

    return Work((request, listing), answer, name)


def _told(record: ManagedObject, now_us: int) -> tuple[Element, ...]:
    shape, protection = record.shape, record.protection
    return (
        words("KeyName", record.handle),
        words("Algorithm", name_of(shape.algorithm)),
        words("KeySize", shape.length_bits),
        *([] if record.owner is None else [words("Owner", record.owner)]),
        words("Exportable", protection.exportable and protection.extractable),
        words("Deletable", protection.deletable),
        *told_life(record, now_us),
        *_fingerprint(record),
    )


def _listing(asked: Asked) -> tuple[ListOwnKeys]:
    values = asked.values
    return (ListOwnKeys(values.get("Offset", 0), values.get("Maximum", KEYS_LISTED_COUNT_MAX)),)


def _make_names(asked: Asked) -> Work:
    return Work(_listing(asked), lambda results: Answer(tuple(words("KeyName", one.handle) for one in results[0])))


def _make_query(asked: Asked) -> Work:
    def answer(results: list[Any]) -> Answer:
        return Answer(tuple(of("Key", _told(one, asked.now_us)) for one in results[0]))

    return Work(_listing(asked), answer)


_NEWER = "of newer protocol versions"
_NAME = Field("KeyName", KEY_NAME, required=True)
_OFTEN = (
    Field("KeySize", number(1, KEY_BITS_MAX), about="bits"),
    Field("Exportable", FLAG, about="absent: the key never leaves"),
    Field("Deletable", FLAG, about="absent: the key cannot be deleted"),
    Field("Owner", text(), about="the user who asks, if given at all"),
    Field("VersionedKey", FLAG, about="it can have further versions; not of pairs"),
    Field("KeyVersionState", None, about="the newest version is active"),
    Field("Permissions", None, about="grant rights by an administrator's command"),
    Field("CustomAttributeList", None, about="custom attributes"),
    Field("Aliases", None, about=_NEWER),
    Field("KeyRotation", None, about=_NEWER),
    Field("RandomKey", FLAG, about="changes nothing"),
)
_WRAPPED = ("WrapAlgorithm", "HashAlgorithm", "Salt", "Info", "OkmLen", "WrapKeyName", "Padded", "WrapFormat")
_ALGORITHM = Field("Algorithm", choice(", ".join(ALGORITHMS), ALGORITHMS), required=True)
_PAGE = (
    Field("Offset", number(0, LOCATE_OFFSET_MAX), Mark.OURS, about="how many to leave out"),
    Field("Maximum", number(1, KEYS_LISTED_COUNT_MAX), Mark.OURS, about="at most so many; 1,000 unless given"),
)
_MADE = (Field("Fingerprint", None, about="20 bytes in hexadecimal, ours"), Field("KeyName", None))
_DATA = Field("KeyData", None, Mark.WITNESSED, about="hexadecimal on one line, or PEM")
_INFO = tuple(
    Field(name, None, Mark.OURS)
    for name in ("KeyName", "Algorithm", "KeySize", "Owner", "Exportable", "Deletable", "Versioned", "State")
)

ROWS: dict[str, Row] = {
    "KeyGenRequest": Row(
        (
            ID,
            Field("KeyName", KEY_NAME, about="absent: the server makes one up"),
            _ALGORITHM,
            Field("CurveID", choice(", ".join(CURVES), CURVES), about="of EC; its values are ours"),
            *_OFTEN,
            *(Field(name, None, about=_NEWER) for name in ("DerivationAlgorithm", "IkmKeyName", "GenerateKeyID")),
            *(Field(name, None, about=_NEWER) for name in ("Salt", "Info")),
        ),
        _make_generate,
        "Makes a key or a key pair; it is its maker's, and active at once",
        _MADE,
    ),
    "KeyImportRequest": Row(
        (
            ID,
            _NAME,
            _ALGORITHM,
            Field("KeyData", RAW, required=True, about="hexadecimal, or PEM of RSA and EC keys"),
            *_OFTEN,
            *(Field(name, None, about="wrapped keys") for name in _WRAPPED),
            *(Field(name, None, about=_NEWER) for name in ("KeyUUID", "KeyMUID", "ExternalKeyID", "PBEParameters")),
            Field("Password", None, about="PKCS #12"),
        ),
        _make_import,
        "Takes a key that was made elsewhere",
        _MADE,
    ),
    "KeyExportRequest": Row(
        (
            ID,
            _NAME._replace(mark=Mark.WITNESSED),
            VERSION,
            *(Field(name, None, Mark.OURS, about="wrapped keys") for name in ("WrapKeyName", "WrapFormat")),
        ),
        _make_export,
        "Hands a key out, if it is exportable and clients may export keys",
        (Field("KeyName", None, Mark.OURS), Field("Algorithm", None, Mark.OURS), _DATA),
    ),
    "PublicKeyExportRequest": Row(
        (ID, _NAME._replace(mark=Mark.OURS)),
        _make_public_export,
        "Hands out the public half of a pair as PEM",
        (Field("KeyName", None, Mark.OURS), Field("Algorithm", None, Mark.OURS), _DATA._replace(mark=Mark.OURS)),
    ),
    "KeyDelRequest": Row(
        (ID, _NAME._replace(mark=Mark.OURS)),
        _make_delete,
        "Erases a key that is deletable, with the other half of its pair; the name is free again",
    ),
    "KeyInfoRequest": Row(
        (ID, _NAME._replace(mark=Mark.OURS), VERSION, *VERSIONS_PAGE),
        _make_info,
        "Tells of a key, never what is in it; of a versioned key also of one version, or of several",
        (*_INFO, _MADE[0]._replace(mark=Mark.OURS), *VERSION_INFO),
    ),
    "KeyNamesRequest": Row(
        (ID, *_PAGE),
        _make_names,
        "Lists the names of the keys that one may see, newest first",
        (Field("KeyName", None, Mark.OURS, multiple=True),),
    ),
    "KeyQueryRequest": Row(
        (ID, *_PAGE),
        _make_query,
        "Tells of the keys that one may see, newest first",
        (Field("Key", None, Mark.OURS, multiple=True, about="holds what KeyInfoResponse holds"),),
    ),
}
"""Requests about keys."""
