"""Which operations there are: one row each, by KMIP's Operation enumeration.

Source: KMIP 1.4 section 4; KMIP 2.1 section 6.1; requirement KS-KMIP-017.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keystead.core.errors import NotSupported
from keystead.protocols.kmip.translate import (
    attribute_changes,
    capabilities,
    ciphers,
    derivations,
    key_pairs,
    macs,
    objects,
    replacements,
    searches,
    signatures,
)
from keystead.protocols.kmip.translate.fields import Dialect, Layout, Values
from keystead.protocols.kmip.wire.names import enum_available, enum_value
from keystead.protocols.kmip.wire.nodes import Node


@dataclass(frozen=True, slots=True)
class Translation:
    """One operation.

    Attributes:
        payload: Fields of the request payload.
        make: Request from the fields' values.
        answer: Items of the response payload from the result.
        changes: It may change something, so its success must not be told as a failure later.
    """

    payload: Layout
    make: Callable[[Values, Dialect], Any]
    answer: Callable[[Any, Dialect], list[Node]]
    changes: bool = False


def _answer_query(functions: tuple[int, ...], dialect: Dialect) -> list[Node]:
    return capabilities.answer_query(functions, dialect, offered)


_ROWS = {
    "Create": Translation(objects.CREATE, objects.make_create, objects.answer_created, changes=True),
    "Register": Translation(objects.REGISTER, objects.make_register, objects.answer_registered, changes=True),
    "Get": Translation(objects.GET, objects.make_get, objects.answer_got),
    "Activate": Translation(objects.TARGET_ONLY, objects.make_activate, objects.answer_touched, changes=True),
    "Revoke": Translation(objects.REVOKE, objects.make_revoke, objects.answer_touched, changes=True),
    "Destroy": Translation(objects.TARGET_ONLY, objects.make_destroy, objects.answer_touched, changes=True),
    "AddAttribute": Translation(
        attribute_changes.ADD, attribute_changes.make_add, attribute_changes.answer_changed, changes=True
    ),
    "ModifyAttribute": Translation(
        attribute_changes.MODIFY, attribute_changes.make_modify, attribute_changes.answer_changed, changes=True
    ),
    "DeleteAttribute": Translation(
        attribute_changes.DELETE, attribute_changes.make_delete, attribute_changes.answer_changed, changes=True
    ),
    "SetAttribute": Translation(
        attribute_changes.SET, attribute_changes.make_set, attribute_changes.answer_changed, changes=True
    ),
    "Locate": Translation(searches.LOCATE, searches.make_locate, searches.answer_located),
    "GetAttributes": Translation(searches.GET_ATTRIBUTES, searches.make_get_attributes, searches.answer_attributes),
    "GetAttributeList": Translation(
        searches.GET_ATTRIBUTE_LIST, searches.make_get_attribute_list, searches.answer_names
    ),
    "Encrypt": Translation(ciphers.ENCRYPT, ciphers.make_encrypt, ciphers.answer_encrypted),
    "Decrypt": Translation(ciphers.DECRYPT, ciphers.make_decrypt, ciphers.answer_decrypted),
    "MAC": Translation(macs.MAC, macs.make_mac, macs.answer_mac),
    "MACVerify": Translation(macs.MAC_VERIFY, macs.make_mac_verify, ciphers.answer_judged),
    "Hash": Translation(macs.HASH, macs.make_hash, macs.answer_hash),
    "RNGRetrieve": Translation(macs.RNG_RETRIEVE, macs.make_rng_retrieve, macs.answer_rng_retrieve),
    "RNGSeed": Translation(macs.RNG_SEED, macs.make_rng_seed, macs.answer_rng_seed),
    "CreateKeyPair": Translation(
        key_pairs.CREATE_KEY_PAIR, key_pairs.make_create_key_pair, key_pairs.answer_pair_created, changes=True
    ),
    "Sign": Translation(signatures.SIGN, signatures.make_sign, signatures.answer_signed),
    "SignatureVerify": Translation(
        signatures.SIGNATURE_VERIFY, signatures.make_signature_verify, ciphers.answer_judged
    ),
    "ReKey": Translation(replacements.REKEY, replacements.make_rekey, objects.answer_registered, changes=True),
    "ReKeyKeyPair": Translation(
        replacements.REKEY_KEY_PAIR, replacements.make_rekey_key_pair, key_pairs.answer_pair_created, changes=True
    ),
    "DeriveKey": Translation(
        derivations.DERIVE_KEY, derivations.make_derive_key, objects.answer_registered, changes=True
    ),
    "Check": Translation(replacements.CHECK, replacements.make_check, replacements.answer_checked),
    "Query": Translation(capabilities.QUERY, capabilities.make_query, _answer_query),
    "DiscoverVersions": Translation(
        capabilities.DISCOVER_VERSIONS, capabilities.make_discover_versions, capabilities.answer_versions
    ),
    "Interop": Translation(capabilities.INTEROP, capabilities.make_interop, capabilities.answer_interop),
}

INTEROP = enum_value("Operation", "Interop")
OPERATIONS = {enum_value("Operation", name): row for name, row in _ROWS.items()}
"""Operation -> how it is translated."""


def _is_offered(code: int, dialect: Dialect) -> bool:
    if code == INTEROP and not dialect.switches.interop:
        return False
    return code in OPERATIONS and enum_available("Operation", code, dialect.version)


def offered(dialect: Dialect) -> list[int]:
    """Return the operations that exist for a client, in the order of their numbers."""
    return [code for code in sorted(OPERATIONS) if _is_offered(code, dialect)]


def read_request(code: int, payload: Node, dialect: Dialect) -> Any:
    """Return the request of a batch item.

    Raises:
        KeysteadError: the payload cannot be read, or asks for what is not offered.
    """
    if not _is_offered(code, dialect):
        raise NotSupported("this operation is not offered; Query lists those that are", "not_supported.operation")
    row = OPERATIONS[code]
    return row.make(row.payload.read(payload, dialect.version), dialect)
