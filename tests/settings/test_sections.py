"""Sections of settings: defaults are strict, words are checked."""

from dataclasses import fields

import pytest

from keystead.core.errors import Invalid, NotFound
from keystead.settings import key_server, services
from keystead.settings.all import SECTIONS, parse
from keystead.settings.section import read


@pytest.mark.row("KS-KMIP-007", "KS-KMIP-008")
def test_permissive_switches_are_off_as_delivered() -> None:
    delivered = key_server.KeyServer()
    assert not delivered.allow_key_configuration
    assert not delivered.allow_key_export
    assert not delivered.allow_global_keys
    assert not key_server.Legacy().algorithms
    assert not key_server.Legacy().modes


@pytest.mark.row("KS-KMIP-004", "KS-KMIP-006", "KS-HCK-002")
def test_constants_of_the_catalogue() -> None:
    assert services.Kmip().port == 5696
    assert key_server.KeyServer().connection_timeout_s == 3600
    assert (services.Health().enabled, services.Health().port) == (False, 9080)
    with pytest.raises(Invalid):
        parse("key_server", "connection_timeout_s", "3601")


def test_there_is_no_switch_for_tls() -> None:
    names = {f.name for f in fields(services.Kmip)}
    assert not {name for name in names if "tls" in name or "ssl" in name}


@pytest.mark.parametrize(
    ("section", "field", "word", "value"),
    [("legacy", "modes", "on", True), ("legacy", "modes", "no", False), ("kmip", "port", "0", 0)],
)
def test_words_become_values(section: str, field: str, word: str, value: object) -> None:
    assert parse(section, field, word) == value


@pytest.mark.parametrize(
    ("section", "field", "word"),
    [("legacy", "modes", "perhaps"), ("kmip", "port", "65536"), ("kmip", "port", "-1"), ("kmip", "port", "x")],
)
def test_other_words_are_refused(section: str, field: str, word: str) -> None:
    with pytest.raises(Invalid):
        parse(section, field, word)


def test_unknown_settings_are_named() -> None:
    with pytest.raises(NotFound):
        parse("legacy", "nothing", "1")
    with pytest.raises(NotFound):
        parse("nothing", "modes", "1")


def test_every_section_tells_title_and_limits() -> None:
    for section in SECTIONS.values():
        assert section.title
        for field in fields(section):
            assert field.metadata["title"]


def test_fields_of_a_newer_version_are_left_out() -> None:
    assert read(key_server.Legacy, {"modes": True, "from_the_future": 1}) == key_server.Legacy(modes=True)
