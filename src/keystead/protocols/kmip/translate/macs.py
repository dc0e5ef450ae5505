"""Payloads of MAC, MAC Verify, Hash, RNG Retrieve and RNG Seed.

Source: KMIP 1.4 sections 4.33 to 4.37, 9.1.3.2.23; KMIP 2.1 sections 6.1.19, 6.1.32, 6.1.33, 6.1.46, 6.1.47.
"""

from keystead.core.errors import Invalid
from keystead.operations.macs import Hash, Hashed, Mac, MacMade, MacVerify
from keystead.operations.pieces import HashPiece, MacPiece, MacVerifyPiece, PieceDone
from keystead.operations.random_numbers import Drawn, RngRetrieve, RngSeed, Seeded
from keystead.protocols.kmip.translate.ciphers import (
    PIECES,
    answer_piece,
    in_pieces,
    piece,
    read_parameters,
    whole,
)
from keystead.protocols.kmip.translate.fields import Dialect, Field, Layout, Values, byte_string, integer
from keystead.protocols.kmip.translate.targets import TARGET
from keystead.protocols.kmip.wire import nodes
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag

_PARAMETERS = Field(Tag.CRYPTOGRAPHIC_PARAMETERS, "parameters", read_parameters)
_DATA = Field(Tag.DATA, "data", byte_string)

MAC = Layout(TARGET, _PARAMETERS, _DATA, *PIECES)
MAC_VERIFY = Layout(TARGET, _PARAMETERS, _DATA, Field(Tag.MAC_DATA, "code", byte_string), *PIECES)
HASH = Layout(_PARAMETERS, _DATA, *PIECES)
RNG_RETRIEVE = Layout(Field(Tag.DATA_LENGTH, "length_bytes", integer))
RNG_SEED = Layout(_DATA)


def make_mac(values: Values, _dialect: Dialect) -> Mac | MacPiece:
    """MAC."""
    if in_pieces(values):
        return MacPiece(**piece(values))
    return Mac(**whole(values))


def make_mac_verify(values: Values, _dialect: Dialect) -> MacVerify | MacVerifyPiece:
    """MAC Verify."""
    if in_pieces(values):
        return MacVerifyPiece(**piece(values, proof="code"))
    if "code" not in values:
        raise Invalid("there is no MAC Data to judge", "invalid.missing")
    return MacVerify(**whole(values))


def make_hash(values: Values, _dialect: Dialect) -> Hash | HashPiece:
    """Hash."""
    if in_pieces(values):
        return HashPiece(**piece(values))
    given = whole(values)
    parameters = given.get("parameters")
    return Hash(given["data"], None if parameters is None else parameters.hashing)


def make_rng_retrieve(values: Values, _dialect: Dialect) -> RngRetrieve:
    """RNG Retrieve."""
    if "length_bytes" not in values:
        raise Invalid("say how many bytes: Data Length", "invalid.missing")
    return RngRetrieve(**values)


def make_rng_seed(values: Values, _dialect: Dialect) -> RngSeed:
    """RNG Seed."""
    if "data" not in values:
        raise Invalid("there is no Data to seed with", "invalid.missing")
    return RngSeed(**values)


def answer_mac(result: MacMade | PieceDone, _dialect: Dialect) -> list[Node]:
    """Identifier and code."""
    if isinstance(result, PieceDone):
        return answer_piece(result, Tag.MAC_DATA)
    return [nodes.text(Tag.UNIQUE_IDENTIFIER, result.id), nodes.byte_string(Tag.MAC_DATA, result.code)]


def answer_hash(result: Hashed | PieceDone, _dialect: Dialect) -> list[Node]:
    """The hash."""
    if isinstance(result, PieceDone):
        return answer_piece(result, Tag.DATA)
    return [nodes.byte_string(Tag.DATA, result.data)]


def answer_rng_retrieve(result: Drawn, _dialect: Dialect) -> list[Node]:
    """Random bytes."""
    return [nodes.byte_string(Tag.DATA, result.data.reveal())]


def answer_rng_seed(result: Seeded, _dialect: Dialect) -> list[Node]:
    """How much was used."""
    return [nodes.integer(Tag.DATA_LENGTH, result.length_bytes)]
