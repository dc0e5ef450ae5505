"""Keys that administrators make or bring for users, or for everybody; and the public half of a pair as text.

Laws: a key comes to be as those of clients do, by the same code; key bytes come in and never go out again, but public
ones.

Source: requirements KS-KEY-002, 003, 007 to 009, 011, 036 to 038, 041; LEG-06; chapter Keys (Create Keys, Import Key).
"""

import binascii
from base64 import b64decode
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, NamedTuple

from keystead.core.algorithms import SYMMETRIC, UsageMask, length_of, material_bytes
from keystead.core.approvals import Approval
from keystead.core.attribute_table import ObjectType
from keystead.core.attribute_values import date
from keystead.core.attributes import Attribute, ItemType, Value, text
from keystead.core.changes import Change
from keystead.core.des_keys import check_des
from keystead.core.errors import Invalid, Refused, WrongState
from keystead.core.fields import Text
from keystead.core.key_names import CATALOGUE, PAIRS, KeySort, sort_of
from keystead.core.key_pairs import PairFormat, default_usage
from keystead.core.pem import read_pem, write_pem
from keystead.core.permission import Access, Right
from keystead.core.records import KIND_OBJECT, ManagedObject
from keystead.core.secret import Secret
from keystead.core.structures import made, name_value
from keystead.gate.call import Call
from keystead.gate.operation import Target, operation
from keystead.operations.admin_keys import (
    DESCRIPTION,
    NAME,
    Assignments,
    Description,
    KeyName,
    attributes_from,
)
from keystead.operations.create import create
from keystead.operations.grants import KeyPlace
from keystead.operations.key_details import KeySummary, summary_of
from keystead.operations.key_pairs import DOMAIN, CreateKeyPair, Wishes, create_key_pair
from keystead.operations.links import LinkType, linked
from keystead.operations.register import register
from keystead.operations.requests import Create, KeyBlock, Register, Terms
from keystead.operations.users import UserName, known_user
from keystead.trust.key_pairs import PrivateKey, PublicKey, read_private, read_public, specification_of, write_public

IMPORT_BYTES_MAX = 262_144  # of text: hexadecimal doubles the largest object
EXAMPLE_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
AlgorithmName = Annotated[str, Text(r"[A-Za-z0-9-]{1,32}", 32, example="AES-256")]
PEM_BEGIN = b"-----BEGIN"


class KeyEncoding(StrEnum):
    """How the bytes of a symmetric key are written."""

    BASE64 = "base64"
    HEXADECIMAL = "hexadecimal"


@dataclass(frozen=True, slots=True)
class GenerateKey:
    """Make a key; RSA and EC keys come as a pair, of which the private half has the name.

    Attributes:
        name: A letter and up to 63 letters, digits, "_", "." and "-"; None = made up.
        algorithm: Such as "AES-256", "HmacSHA256", "RSA-3072", "EC-P256".
        owner: Name of the user who will own it; None = nobody, so that every user may use it.
        deletable: Clients may delete it.
        exportable: Clients may export it.
        active: From now on; else it stays pre-active until somebody activates it.
        activation_us: Active from then on instead, UTC microseconds.
        description: For people.
        attributes: NAME=VALUE each, as of `key.change`.
        versioned: It can have further versions; it is active at once, and this is the first one.
    """

    name: KeyName | None = None
    algorithm: AlgorithmName = "AES-256"
    owner: UserName | None = None
    deletable: bool = False
    exportable: bool = False
    active: bool = True
    activation_us: int | None = None
    description: Description = ""
    attributes: Assignments = ()
    versioned: bool = False


@dataclass(frozen=True, slots=True)
class ImportKey:
    """Take a key that was made elsewhere, in clear.

    Attributes:
        material: Text: PEM of an RSA or EC key (PKCS#1, PKCS#8, SEC 1 or public), or the bytes of a symmetric key.
        name: As of `key.generate`.
        algorithm: As of `key.generate`; of PEM it may be left out.
        encoding: Of a symmetric key.
        owner: As of `key.generate`; who had it elsewhere does not matter.
        deletable: Clients may delete it.
        exportable: Clients may export it.
        active: From now on; else it stays pre-active until somebody activates it.
        activation_us: Active from then on instead, UTC microseconds.
        description: For people.
        attributes: NAME=VALUE each, as of `key.change`.
        versioned: As of `key.generate`; not of pairs.
    """

    material: Annotated[Secret, Text(characters_max=IMPORT_BYTES_MAX, example=EXAMPLE_KEY)]
    name: KeyName | None = None
    algorithm: AlgorithmName | None = None
    encoding: KeyEncoding = KeyEncoding.BASE64
    owner: UserName | None = None
    deletable: bool = False
    exportable: bool = False
    active: bool = True
    activation_us: int | None = None
    description: Description = ""
    attributes: Assignments = ()
    versioned: bool = False


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key that came to be.

    Attributes:
        key: The key; of a pair the private half, where there is one.
        public_id: Id of the public half, "" = none.
        deletable: Clients may delete it.
        exportable: Clients may export it.
    """

    key: KeySummary
    public_id: str
    deletable: bool
    exportable: bool


@dataclass(frozen=True, slots=True)
class ShowPublicKey:
    """Give the public half of a pair out.

    Attributes:
        target: Id or name of the private or of the public key.
    """

    target: KeyPlace


@dataclass(frozen=True, slots=True)
class PublicKeyText:
    """A public key.

    Attributes:
        id: Of the key that was named.
        name: Of that key.
        pem: SubjectPublicKeyInfo as PEM.
    """

    id: str
    name: str
    pem: str


def logged_key(key: MadeKey) -> str:
    """Return what the activity log says of a new key (KS-LOG-013)."""
    words = [key.key.algorithm, str(key.key.length_bits)]
    words += ["Deletable"] if key.deletable else []
    words += ["Exportable"] if key.exportable else []
    return " ".join(words)


def id_of_key(key: MadeKey) -> str:
    """Return the id for the ID Placeholder."""
    return key.key.id


@operation(
    GenerateKey,
    "key.generate",
    "KeyGenerate",
    administrator=Access.KEYS,
    material=True,
    detail=logged_key,
    places=id_of_key,
    answer=MadeKey,
    approval=Approval.CHANGE_KEYS,
)
def generate_key(call: Call, request: GenerateKey) -> Change:
    """Make the key or the pair, as Create and Create Key Pair do."""
    sort = sort_of(request.algorithm)
    terms = _terms(call, request)
    given = (*_given(call, request), *_shape(sort))
    if sort.algorithm not in PAIRS:
        change = create(call, Create(int(ObjectType.SYMMETRIC_KEY), given, terms=terms))
        return made_key(call, change, change.result.record, "generated")
    if sort.curve:
        given = (*given, Attribute(DOMAIN, 0, made(DOMAIN, None, int(sort.curve))))
    change = create_key_pair(call, CreateKeyPair(Wishes(given), terms=terms))
    return made_key(call, change, change.result.record, "generated", change.result.public_id)


@operation(
    ImportKey,
    "key.import",
    "KeyImport",
    administrator=Access.KEYS,
    material=True,
    detail=logged_key,
    places=id_of_key,
    route="POST /imported-keys",
    answer=MadeKey,
    approval=Approval.CHANGE_KEYS,
)
def import_key(call: Call, request: ImportKey) -> Change:
    """Keep the key, as Register does; a private key brings its public half."""
    if not 0 < len(request.material) <= IMPORT_BYTES_MAX:
        raise Invalid(f"the text of a key has 1 to {IMPORT_BYTES_MAX} bytes", "invalid.key")
    sort = None if request.algorithm is None else sort_of(request.algorithm)
    terms, given = _terms(call, request), _given(call, request)
    written = request.material.reveal().strip()
    if written.startswith(PEM_BEGIN) or (sort is not None and sort.algorithm in PAIRS):
        return _pair_imported(call, _half_from(written, sort), terms, given)
    if sort is None:
        raise Invalid("say the algorithm of a symmetric key", "invalid.missing")
    secret = symmetric_secret(written, request.encoding, sort)
    shape = _shape(sort, length_of(sort.algorithm, len(secret)))
    usage = _usage(int(_SYMMETRIC_USES[SYMMETRIC[sort.algorithm].rights]))
    block = KeyBlock(int(PairFormat.RAW), secret, sort.algorithm)
    change = register(call, Register(int(ObjectType.SYMMETRIC_KEY), block, (*given, *shape, usage), terms=terms))
    return made_key(call, change, change.result.record, "imported")


@operation(
    ShowPublicKey,
    "key.public_key",
    "KeyPublicKey",
    administrator=Access.KEYS,
    targets=(Target(Right.SEE, by_name=True),),
    material=True,
    route="GET /keys/{target}/public-key",
)
def show_public_key(call: Call, _request: ShowPublicKey) -> PublicKeyText:
    """Return the public half, from whichever half was named."""
    record, material = call.target, call.targets[0].material
    if record.object_type not in (ObjectType.PRIVATE_KEY, ObjectType.PUBLIC_KEY):
        raise Invalid("only RSA and EC keys have a public half", "invalid.object_type")
    if record.protection.wrapped:
        raise Refused("the key is kept wrapped by another one, as it came", "refused.feature")
    if material is None:
        raise WrongState("the key has no material", "wrong_state.object")
    shape = record.shape
    secret = call.desk.keyring.open(record.realm, KIND_OBJECT, record.id, material)
    if record.object_type == ObjectType.PRIVATE_KEY:
        key: PublicKey = read_private(shape.format, secret, shape.algorithm).public_key()
    else:
        key = read_public(shape.format, secret, shape.algorithm)
    form = int(PairFormat.X_509)
    pem = write_pem(int(ObjectType.PUBLIC_KEY), form, write_public(key, form).reveal())
    return PublicKeyText(record.id, record.handle, pem)


def _terms(call: Call, request: GenerateKey | ImportKey) -> Terms:
    owner = None if request.owner is None else known_user(call, request.owner)
    return Terms(request.name, request.deletable, request.exportable, owner, request.versioned)


def _given(call: Call, request: GenerateKey | ImportKey) -> tuple[Attribute, ...]:
    """Return what a new key has beside its shape; KMIP clients find it by its name."""
    given = list(attributes_from(call, request.attributes))
    if request.description:
        given.append(Attribute(DESCRIPTION, 0, text(request.description)))
    if request.name is not None:
        given.append(Attribute(NAME, 0, name_value(request.name)))
    if request.activation_us is not None:
        given.append(Attribute("Activation Date", 0, Value(ItemType.DATE_TIME_EXTENDED, request.activation_us)))
    elif request.active:
        given.append(Attribute("Activation Date", 0, date(call.now_us)))
    return tuple(given)


def _shape(sort: KeySort, length_bits: int = 0) -> tuple[Attribute, ...]:
    return (
        Attribute("Cryptographic Algorithm", 0, Value(ItemType.ENUMERATION, int(sort.algorithm))),
        Attribute("Cryptographic Length", 0, Value(ItemType.INTEGER, int(length_bits or sort.length_bits))),
    )


def _usage(mask: int) -> Attribute:
    return Attribute("Cryptographic Usage Mask", 0, Value(ItemType.INTEGER, mask))


_SYMMETRIC_USES = {
    Right.ENCRYPT | Right.DECRYPT: UsageMask.ENCRYPT | UsageMask.DECRYPT,
    Right.MAC | Right.MAC_VERIFY: UsageMask.MAC_GENERATE | UsageMask.MAC_VERIFY,
}
"""What keys of an algorithm can do -> what they are for."""


def made_key(call: Call, change: Change, record: ManagedObject, how: str, public_id: str = "") -> Change:
    """Return a change that makes a key with what is told of it."""
    summary, protection = summary_of(record, call.now_us), record.protection
    result = MadeKey(summary, public_id, protection.deletable, protection.exportable)
    detail = f"{summary.algorithm} {record.handle} of {record.owner or 'nobody'} {how}"
    return change._replace(result=result, detail=detail)


def symmetric_secret(written: bytes, encoding: KeyEncoding, sort: KeySort, *, exact: bool = False) -> Secret:
    """Return the bytes of a symmetric key; those of MAC keys may have any length unless it has to be exact.

    Raises:
        Invalid: not of this encoding, of another length than the algorithm's, or a weak key.
    """
    try:
        if encoding is KeyEncoding.HEXADECIMAL:
            material = bytes.fromhex(written.decode("ascii"))
        else:
            material = b64decode(b"".join(written.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(f"the key is not {encoding}; say which encoding it has", "invalid.key") from None
    wanted = material_bytes(sort.algorithm, sort.length_bits)
    is_mac = SYMMETRIC[sort.algorithm].rights & Right.MAC
    if len(material) != wanted and (exact or not is_mac):
        raise Invalid(f"a key of this algorithm has {wanted} bytes, this one has {len(material)}", "invalid.key")
    check_des(sort.algorithm, material)
    return Secret(material)


class _Half(NamedTuple):
    """A key of a pair as it came: a private key, or the public one alone."""

    key: PrivateKey | PublicKey
    block: KeyBlock
    is_private: bool


def _half_from(written: bytes, wanted: KeySort | None) -> _Half:
    """Return a key of a pair from PEM.

    Raises:
        Invalid: this is no PEM of a key, or of another algorithm than the one that was named.
        NotSupported: it is of a kind that is not offered.
    """
    object_type, form, secret = read_pem(written.decode("ascii", "replace"))
    is_private = object_type is ObjectType.PRIVATE_KEY
    key: PrivateKey | PublicKey = read_private(form, secret) if is_private else read_public(form, secret)
    found = specification_of(key)
    if wanted is not None and (wanted.algorithm, wanted.length_bits, wanted.curve) != tuple(map(int, found)):
        names = [name for name, sort in CATALOGUE.items() if sort == tuple(map(int, found))]
        raise Invalid(f"the PEM holds another key: {names[0] if names else 'of another algorithm'}", "invalid.key")
    return _Half(key, KeyBlock(int(form), secret, int(found.algorithm), found.length_bits), is_private)


def _pair_imported(call: Call, half: _Half, terms: Terms, given: tuple[Attribute, ...]) -> Change:
    """Register a key of a pair, and with a private one its public half; each has the other as its Link."""
    found = specification_of(half.key)
    usage = _usage(int(default_usage(found, private=half.is_private)))
    kind = ObjectType.PRIVATE_KEY if half.is_private else ObjectType.PUBLIC_KEY
    first = register(call, Register(int(kind), half.block, (*given, usage), terms=terms))
    if isinstance(half.key, PublicKey):
        return made_key(call, first, first.result.record, "imported")
    form = int(PairFormat.X_509)
    block = KeyBlock(form, write_public(half.key.public_key(), form), int(found.algorithm), found.length_bits)
    usage = _usage(int(default_usage(found, private=False)))
    others = terms._replace(handle=None, exportable=True)
    second = register(call, Register(int(ObjectType.PUBLIC_KEY), block, (*given, usage), terms=others))
    (private,), (public,) = first.puts, second.puts
    ids = private.record.id, public.record.id
    private = private._replace(record=_linked(first.result.record, LinkType.PUBLIC_KEY, ids[1]))
    public = public._replace(record=_linked(second.result.record, LinkType.PRIVATE_KEY, ids[0]))
    return made_key(call, first._replace(puts=(private, public)), first.result.record, "imported", ids[1])


def _linked(record: ManagedObject, kind: LinkType, object_id: str) -> ManagedObject:
    return record._replace(attributes=linked(record.attributes, kind, object_id))
