"""The attribute table against the specifications' own tables of tags and enumerations."""

import json
from pathlib import Path
from typing import Any

import pytest

from keystead.core.attribute_table import (
    ATTRIBUTES,
    BY_TAG_NAME,
    CUSTOM,
    SERVER_CUSTOM,
    AttributeRule,
    Client,
    Home,
    ObjectType,
    rule_of,
    vendor_name,
    vendor_parts,
)
from keystead.core.attributes import ItemType
from keystead.core.search import HEAD_NAMES

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "2.0", "2.1")
TABLE_MISSES = {"Compromise Date"}  # the parsed tables of 2.x lack it, the specification's section 4.10 has it
UNTAGGED = {"Operation Policy Name", "Certificate Identifier", "Certificate Subject", "Certificate Issuer"}
EVERY_RULE = pytest.mark.parametrize("rule", ATTRIBUTES.values(), ids=lambda rule: rule.tag_name)


@pytest.fixture(scope="session")
def tables(shared_folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared_folder / "kmip" / "tables.json").read_text())
    return found


def version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


@EVERY_RULE
def test_an_attribute_has_its_tag_in_every_version_that_knows_it(rule: AttributeRule, tables: dict[str, Any]) -> None:
    for name in VERSIONS:
        if rule.known_in(version(name)) and rule.name not in TABLE_MISSES | UNTAGGED:
            assert rule.name in tables[name]["tags"], name


@EVERY_RULE
def test_an_attribute_is_not_older_than_its_tag(rule: AttributeRule, tables: dict[str, Any]) -> None:
    first = next((name for name in VERSIONS if rule.name in tables[name]["tags"]), None)
    assert first is not None
    # some tags stand in messages before they become attributes
    assert version(first) <= rule.since


def test_object_types_are_the_specifications(tables: dict[str, Any]) -> None:
    named = {name: int(number, 16) for name, number in tables["2.1"]["enums"]["Object Type"].items()}
    assert sorted(named.values()) == [int(kind) for kind in ObjectType]
    assert named["Secret Data"] == ObjectType.SECRET_DATA
    assert named["Symmetric Key"] == ObjectType.SYMMETRIC_KEY


@EVERY_RULE
def test_what_clients_may_change_they_may_also_give(rule: AttributeRule) -> None:
    if rule.client & (Client.MODIFY | Client.DELETE):
        assert rule.client & Client.ADD
    if rule.read_only:
        assert rule.client == Client.NONE


def test_everything_that_a_search_finds_in_the_head_is_kept_there() -> None:
    assert {name for name, rule in ATTRIBUTES.items() if rule.home is Home.HEAD} >= HEAD_NAMES


def test_tag_names() -> None:
    assert BY_TAG_NAME["CryptographicAlgorithm"].name == "Cryptographic Algorithm"
    assert BY_TAG_NAME["X_509CertificateIssuer"].name == "X.509 Certificate Issuer"
    assert BY_TAG_NAME["PKCS_12FriendlyName"].type is ItemType.TEXT_STRING


def test_versions_and_kinds() -> None:
    assert not ATTRIBUTES["Fresh"].known_in((1, 0))
    assert ATTRIBUTES["Fresh"].known_in((1, 1))
    assert not ATTRIBUTES["Operation Policy Name"].known_in((2, 0))
    assert not ATTRIBUTES["State"].applies_to(ObjectType.OPAQUE, (1, 4))
    assert ATTRIBUTES["State"].applies_to(ObjectType.OPAQUE, (2, 0))


def test_rules_of_clients_own_attributes() -> None:
    assert rule_of("x-Barcode") is CUSTOM
    assert rule_of("y-Serial") is SERVER_CUSTOM
    assert rule_of("example.org/Tier") is CUSTOM
    assert rule_of("Colour") is None
    assert SERVER_CUSTOM.read_only


@pytest.mark.parametrize(
    ("vendor", "name", "stored"),
    [("x", "ID", "x-ID"), ("y", "ID", "y-ID"), ("example.org", "a/b", "example.org/a/b")],
)
def test_vendor_attributes_become_custom_attributes_and_back(vendor: str, name: str, stored: str) -> None:
    assert vendor_name(vendor, name) == stored
    assert vendor_parts(stored) == (vendor, name)


def test_an_ordinary_name_has_no_vendor() -> None:
    assert vendor_parts("Name") is None
