"""Register: the server takes an object that was made elsewhere, of every type but certificate requests.

Source: KMIP 1.4 sections 2.2, 4.3, 11.4; KMIP 2.1 sections 2, 6.1.43; requirements KS-KMIP-021 to 024, 047; AMB-03.
"""

from keystead.core.algorithms import SECRET_BYTES_MAX, KeyFormat, length_of, material_bytes, new_key_rule
from keystead.core.attribute_rules import Birth, birth_of, check_quantum_safe
from keystead.core.attribute_table import PAIR, ObjectType
from keystead.core.certificates import CertificateType, check_certificate_type, with_certificate
from keystead.core.changes import Change
from keystead.core.errors import Invalid, NotSupported
from keystead.core.permission import Right, Switches
from keystead.core.split_keys import check_split_key, packed
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.operations.key_pairs import registered_key
from keystead.operations.new_objects import born, born_under, described, id_of, with_shape, with_templates
from keystead.operations.requests import KeyBlock, Register
from keystead.trust.certificates import read_certificate

PGP_KEY_VERSION_MAX = 255  # one octet (RFC 4880 section 5.5.2)

FORMATS = {
    ObjectType.SYMMETRIC_KEY: frozenset(KeyFormat),
    ObjectType.SECRET_DATA: frozenset({KeyFormat.RAW, KeyFormat.OPAQUE}),
    ObjectType.SPLIT_KEY: frozenset(KeyFormat),
    ObjectType.PGP_KEY: frozenset({KeyFormat.RAW, KeyFormat.OPAQUE}),
}


@operation(
    Register,
    "key.register",
    "Register",
    user=Right.CREATE,
    configuration=True,
    material=True,
    detail=described,
    places=id_of,
)
def register(call: Call, request: Register) -> Change:
    """Keep the object; what its key block and its attributes say must agree."""
    given = with_templates(call, request.templates, request.attributes)
    birth = birth_of(request.object_type, given)._replace(owner=request.terms.owner)
    if request.object_type == ObjectType.TEMPLATE:
        return born_under(call, born(call, request.object_type, birth, None, given), request.terms)
    block = request.block
    if block is None:
        raise Invalid("there is no object to register", "invalid.missing")
    birth = _completed(request.object_type, birth, block, call.switches)
    check_quantum_safe(birth.shape, birth.attributes)
    secret = block.material if block.split is None else packed(block.split, block.material)
    return born_under(call, born(call, request.object_type, birth, secret, given), request.terms)


def _completed(object_type: int, birth: Birth, block: KeyBlock, switches: Switches) -> Birth:
    if not 0 < len(block.material) <= SECRET_BYTES_MAX:
        raise Invalid("an object has 1 to 65,536 bytes", "invalid.key")
    if object_type == ObjectType.OPAQUE:
        return with_shape(birth, subtype=block.subtype, format=0)
    if object_type in PAIR:
        return registered_key(object_type, birth, block, switches)
    if object_type == ObjectType.CERTIFICATE:
        return _certificate(birth, block)
    if object_type not in FORMATS:
        raise Invalid("objects of this type are not kept here", "invalid.object_type")
    if block.format not in FORMATS[ObjectType(object_type)]:
        raise NotSupported("the object cannot be kept in this format; send it as Raw", "not_supported.key_format")
    algorithm = _agreed(birth.shape.algorithm, block.algorithm, "Cryptographic Algorithm")
    length_bits = _agreed(birth.shape.length_bits, block.length_bits, "Cryptographic Length")
    _agreed(birth.shape.format, block.format, "Key Format Type")
    if object_type in (ObjectType.SPLIT_KEY, ObjectType.PGP_KEY):
        _check_uninterpreted(object_type, block)
        return with_shape(
            birth, algorithm=algorithm, length_bits=length_bits, format=block.format, subtype=block.subtype
        )
    length_bits = length_bits or length_of(algorithm, len(block.material))
    if object_type == ObjectType.SYMMETRIC_KEY:
        new_key_rule(algorithm, length_bits, switches, made_here=False)
    if material_bytes(algorithm, length_bits) != len(block.material):
        raise Invalid("the key bytes do not have the Cryptographic Length", "invalid.key")
    return with_shape(birth, algorithm=algorithm, length_bits=length_bits, format=block.format, subtype=block.subtype)


def told_shape(object_type: int, birth: Birth, block: KeyBlock, switches: Switches) -> Birth:
    """Complete the birth of an object whose bytes cannot be looked at: what was told of it counts.

    Raises:
        Invalid: the key block and the attributes contradict each other, or the algorithm has no such keys.
        Refused: outdated, and legacy algorithms are switched off.
    """
    if not 0 < len(block.material) <= SECRET_BYTES_MAX:
        raise Invalid("an object has 1 to 65,536 bytes", "invalid.key")
    algorithm = _agreed(birth.shape.algorithm, block.algorithm, "Cryptographic Algorithm")
    length_bits = _agreed(birth.shape.length_bits, block.length_bits, "Cryptographic Length")
    _agreed(birth.shape.format, block.format, "Key Format Type")
    if object_type == ObjectType.SYMMETRIC_KEY:
        if not length_bits:
            raise Invalid("say the Cryptographic Length of the key", "invalid.missing")
        new_key_rule(algorithm, length_bits, switches, made_here=False)
    return with_shape(birth, algorithm=algorithm, length_bits=length_bits, format=block.format, subtype=block.subtype)


def _check_uninterpreted(object_type: int, block: KeyBlock) -> None:
    """Check what a split or PGP key says beside its bytes; these are its client's, as are algorithm and length."""
    if object_type == ObjectType.PGP_KEY:
        if not 1 <= block.subtype <= PGP_KEY_VERSION_MAX:
            raise Invalid("the version of a PGP key is from 1 to 255", "invalid.field")
    elif block.split is None:
        raise Invalid("there is no split key to register", "invalid.missing")
    else:
        check_split_key(block.split)


def _certificate(birth: Birth, block: KeyBlock) -> Birth:
    """Complete the birth of a certificate; the certificate itself says what it is."""
    kind = block.subtype
    check_certificate_type(kind)
    told = birth.shape
    _agreed(told.format, block.format, "Key Format Type")
    found = read_certificate(block.material, told.algorithm) if kind == CertificateType.X_509 else None
    if found is not None:
        told = told._replace(
            algorithm=_agreed(told.algorithm, found.algorithm, "Cryptographic Algorithm"),
            length_bits=_agreed(told.length_bits, found.length_bits, "Cryptographic Length"),
        )
    attributes = with_certificate(birth.attributes, kind, len(block.material), found)
    return birth._replace(shape=told._replace(format=block.format, subtype=kind), attributes=attributes)


def _agreed(attribute: int, block: int, name: str) -> int:
    if attribute and block and attribute != block:
        raise Invalid(f"the key block and the attributes name a different {name}", "invalid.field")
    return int(attribute or block)
