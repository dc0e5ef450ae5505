"""The tables of names: spot checks against the specifications, and properties that hold for every row."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from keystead.core.errors import Invalid
from keystead.protocols.kmip.wire import names, nodes
from keystead.protocols.kmip.wire.enumerations_table import ENUMERATIONS, MASKS
from keystead.protocols.kmip.wire.tags_table import TAGS, Tag
from tests.support.components import ROOT

TABLES = ("tags_table.py", "enumerations_table.py")
WIRE = Path("src/keystead/protocols/kmip/wire")


@pytest.mark.parametrize(
    ("tag", "name", "since"),
    [
        (Tag.UNIQUE_IDENTIFIER, "UniqueIdentifier", (1, 0)),
        (Tag.IV_COUNTER_NONCE, "IVCounterNonce", (1, 0)),
        (Tag.FRESH, "Fresh", (1, 1)),
        (Tag.X_509_CERTIFICATE_IDENTIFIER, "X_509CertificateIdentifier", (1, 1)),
        (Tag.DATA, "Data", (1, 2)),
        (Tag.PKCS_12_FRIENDLY_NAME, "PKCS_12FriendlyName", (1, 4)),
        (Tag.CLIENT_CORRELATION_VALUE, "ClientCorrelationValue", (1, 4)),
        (Tag.ATTRIBUTES, "Attributes", (2, 0)),
        (Tag.ROTATE_NAME, "RotateName", (2, 1)),
        (0x540001, "0x540001", (1, 0)),
    ],
)
def test_tags(tag: int, name: str, since: tuple[int, int]) -> None:
    assert names.tag_name(tag) == name
    assert names.tag_since(tag) == since
    assert names.tag_available(tag, since)


@pytest.mark.parametrize(
    ("tag", "last"),
    [
        (Tag.TEMPLATE_ATTRIBUTE, (1, 4)),
        (Tag.OPERATION_POLICY_NAME, (1, 4)),
        (Tag.CERTIFICATE_ISSUER, (1, 4)),
        (Tag.ATTRIBUTE_INDEX, (1, 4)),
        (Tag.PRIVATE_KEY_TEMPLATE_ATTRIBUTE, (1, 4)),
    ],
)
def test_tags_that_2_0_reserves(tag: int, last: tuple[int, int]) -> None:
    assert names.tag_available(tag, last)
    assert not names.tag_available(tag, (2, 0))


@pytest.mark.parametrize(
    ("enumeration", "name", "value", "versions"),
    [
        ("CryptographicAlgorithm", "DES3", 2, [(1, 0), (2, 1)]),
        ("SplitKeyMethod", "PolynomialSharingGF2_8", 4, [(1, 2), (2, 1)]),
        ("HashingAlgorithm", "SHA3_256", 15, [(1, 4), (2, 1)]),
        ("MaskGenerator", "MGF1", 1, [(1, 4), (2, 1)]),
        ("ObjectType", "Template", 6, [(1, 0), (1, 4)]),
        ("KeyFormatType", "TransparentECDSAPrivateKey", 14, [(1, 0), (1, 4)]),
        ("EndpointRole", "Server", 2, [(2, 0), (2, 1)]),
        ("TicketType", "Login", 1, [(2, 0), (2, 1)]),
        ("ItemType", "DateTimeExtended", 11, [(2, 0), (2, 1)]),
        ("Operation", "Ping", 59, [(2, 1), (2, 1)]),
        ("CryptographicUsageMask", "ContentCommitment", 0x400, [(1, 0), (1, 4)]),
    ],
)
def test_members(enumeration: str, name: str, value: int, versions: list[tuple[int, int]]) -> None:
    assert names.enum_value(enumeration, name) == value
    assert names.enum_name(enumeration, value) == name
    available = [version for version in names.VERSIONS if names.enum_available(enumeration, value, version)]
    assert [available[0], available[-1]] == versions


def test_every_row_reads_back() -> None:
    for tag in TAGS:
        assert names.tag_number(names.tag_name(tag)) == tag
    for enumeration, members in (ENUMERATIONS | MASKS).items():
        for name, (value, since, until) in members.items():
            assert names.enum_name(enumeration, value) == name
            assert since in names.VERSIONS
            assert until is None or since <= until


def test_constants_and_table_say_the_same() -> None:
    constants = {name: value for name, value in vars(Tag).items() if name.isupper()}
    assert sorted(constants.values()) == sorted(TAGS)
    for name, value in constants.items():
        assert TAGS[value][0].replace("_", "").upper() == name.replace("_", "")


def test_the_enumeration_of_a_tag() -> None:
    assert names.enumeration_of(Tag.OPERATION) == "Operation"
    assert names.enumeration_of(Tag.MASK_GENERATOR_HASHING_ALGORITHM) == "HashingAlgorithm"
    assert names.enumeration_of(Tag.CRYPTOGRAPHIC_USAGE_MASK) == "CryptographicUsageMask"
    assert names.enumeration_of(Tag.KEY_MATERIAL) is None


def test_unknown_names_and_numbers() -> None:
    for call in (
        lambda: names.tag_number("NoSuchTag"),
        lambda: names.tag_since(0x42FFFF),
        lambda: names.enum_value("Operation", "NoSuchOperation"),
        lambda: names.enum_value("NoSuchEnumeration", "Create"),
        lambda: names.enum_name("NoSuchEnumeration", 1),
    ):
        with pytest.raises(Invalid):
            call()
    assert names.enum_name("Operation", 0x80000001) == "0x80000001"
    assert names.enum_available("Operation", 0x80000001, (1, 0)), "extensions belong to no version"
    assert not names.enum_available("Operation", 0x7FFFFFFF, (2, 1))
    assert not names.tag_available(0x42FFFF, (2, 1))


def test_what_a_version_must_not_see() -> None:
    newer = nodes.structure(Tag.BATCH_ITEM, nodes.boolean(Tag.FRESH, True), nodes.byte_string(0x540001, b""))
    tree = nodes.structure(Tag.REQUEST_MESSAGE, newer, nodes.integer(Tag.ATTRIBUTE_INDEX, 0))
    assert names.unavailable_tags(tree, (1, 0)) == {Tag.FRESH}
    assert names.unavailable_tags(tree, (1, 4)) == set()
    assert names.unavailable_tags(tree, (2, 0)) == {Tag.ATTRIBUTE_INDEX}


def test_the_tables_are_what_the_generator_writes(shared_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "shared" / "kmip").mkdir(parents=True)
    source = json.loads((shared_folder / "kmip" / "tables.json").read_text())
    (tmp_path / "shared" / "kmip" / "tables.json").write_text(json.dumps(source))
    (tmp_path / "main" / "tools").mkdir(parents=True)
    (tmp_path / "main" / WIRE).mkdir(parents=True)
    script = tmp_path / "main" / "tools" / "make_kmip_tables.py"
    script.write_text((ROOT / "tools" / "make_kmip_tables.py").read_text())
    subprocess.run([sys.executable, str(script)], check=True, timeout=60)
    for table in TABLES:
        assert (tmp_path / "main" / WIRE / table).read_text() == (ROOT / WIRE / table).read_text()
