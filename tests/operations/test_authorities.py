"""Foreign CAs, trust profiles and revocation lists as administrators keep them."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.core.changes import Put, SealedMaterial
from keystead.core.records import KIND_AUTHORITY, Record
from keystead.node.trusting import Trust
from keystead.operations import authorities, trust_profiles
from keystead.operations.authorities import (
    Authority,
    InstallAuthority,
    InstallRevocationList,
    ListAuthorities,
    RemoveAuthority,
    ShowAuthority,
)
from keystead.operations.settings import ChangeSetting
from keystead.operations.trust_profiles import (
    AddToProfile,
    CreateProfile,
    DeleteProfile,
    ListProfiles,
    RemoveFromProfile,
)
from keystead.trust.issuers import authority_id
from tests.support.authorities import FOR_AUTHORITIES, a_root, usage
from tests.support.builders import ADMINISTRATOR, Node
from tests.support.stores import reference

ROOT = a_root()
PROFILE, PARTITIONS = "trusted_ca_profile", "serves_partitions"


def profiles(node: Node) -> dict[str, tuple[str, ...]]:
    return {one.name: one.authorities for one in node.ask(ADMINISTRATOR, ListProfiles())}


def change(node: Node, field: str, value: object) -> str:
    return str(node.ask(ADMINISTRATOR, ChangeSetting("key_server", field, value)).caution)


@pytest.fixture
def known(node: Node) -> Node:
    """A node that knows a foreign CA."""
    node.ask(ADMINISTRATOR, InstallAuthority("root", ROOT.pem))
    return node


def test_a_foreign_ca_is_installed_shown_and_removed(known: Node) -> None:
    (told,) = known.ask(ADMINISTRATOR, ListAuthorities())
    ends_s = int(ROOT.certificate.not_valid_after_utc.timestamp())
    assert told == Authority("root", False, "CN=Foreign root", ends_s, None, None)
    assert known.ask(ADMINISTRATOR, ShowAuthority("root")) == ROOT.pem
    known.ask(ADMINISTRATOR, RemoveAuthority("root"))
    assert known.ask(ADMINISTRATOR, ListAuthorities()) == ()
    for gone in (ShowAuthority("root"), RemoveAuthority("root")):
        assert known.reason(ADMINISTRATOR, gone) == "not_found.item"


def test_names_and_keys_of_authorities_are_unique(known: Node) -> None:
    assert known.reason(ADMINISTRATOR, InstallAuthority("again", ROOT.pem)) == "exists"
    assert known.reason(ADMINISTRATOR, InstallAuthority("root", a_root().pem)) == "exists"
    assert known.reason(ADMINISTRATOR, InstallAuthority("1st", a_root().pem)) == "invalid.field"
    assert known.reason(ADMINISTRATOR, InstallAuthority("other", "no certificate")) == "invalid.field"


def test_a_renewed_certificate_takes_the_place_of_the_former_one(known: Node) -> None:
    renewed = a_root(key=ROOT.key, days=(-1, 200))
    known.ask(ADMINISTRATOR, InstallAuthority("root", renewed.pem))
    assert known.ask(ADMINISTRATOR, ShowAuthority("root")) == renewed.pem


def test_only_the_certificate_itself_is_kept(node: Node) -> None:
    """TLS takes no other text beside it, and no character beyond ASCII."""
    node.ask(ADMINISTRATOR, InstallAuthority("root", f"Größe: grün\n{ROOT.pem}\n# ende ö\n"))
    assert node.ask(ADMINISTRATOR, ShowAuthority("root")) == ROOT.pem


def test_a_list_stays_in_force_when_its_ca_may_sign_none_any_more(known: Node) -> None:
    known.ask(ADMINISTRATOR, InstallRevocationList(ROOT.revocation_list([7])))
    without = a_root(key=ROOT.key, extensions=[FOR_AUTHORITIES[0], (usage(signs_lists=False), True)])
    known.ask(ADMINISTRATOR, InstallAuthority("root", without.pem))
    known.objects.refresh()
    trust = Trust(known.objects)
    assert trust.trusted.revoked == {authority_id(ROOT.certificate): frozenset({7})}


def test_the_local_ca_is_neither_replaced_nor_removed(node: Node) -> None:
    fields = {"certificate": ROOT.pem}
    sealed = SealedMaterial("m-1", 1, b"sealed")
    local = Record(KIND_AUTHORITY, "a-1", "clients", fields, material=reference(sealed))
    assert node.store(Put(local, sealed)) is None
    node.objects.refresh()
    assert node.reason(ADMINISTRATOR, InstallAuthority("clients", ROOT.pem)) == "exists"
    assert node.reason(ADMINISTRATOR, InstallAuthority("clients", a_root().pem)) == "exists"
    assert node.reason(ADMINISTRATOR, RemoveAuthority("clients")) == "refused.permission"


def test_so_many_authorities_and_profiles_and_no_more(known: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorities, "AUTHORITIES_COUNT_MAX", 1)
    monkeypatch.setattr(trust_profiles, "PROFILES_COUNT_MAX", 2)
    assert known.reason(ADMINISTRATOR, InstallAuthority("next", a_root().pem)) == "refused.permission"
    known.ask(ADMINISTRATOR, InstallAuthority("root", ROOT.pem))
    assert known.reason(ADMINISTRATOR, CreateProfile("next")) == "refused.permission"


@pytest.mark.row("KS-KMIP-013")
def test_profiles_begin_empty_and_trust_whom_they_are_told_to(known: Node) -> None:
    assert profiles(known) == {"default": ("clients",), "partition_ca_profile": ()}
    known.ask(ADMINISTRATOR, CreateProfile("partners"))
    assert profiles(known)["partners"] == ()
    known.ask(ADMINISTRATOR, AddToProfile("partners", "root"))
    assert profiles(known)["partners"] == ("root",)
    assert known.reason(ADMINISTRATOR, AddToProfile("partners", "root")) == "exists"
    assert known.reason(ADMINISTRATOR, RemoveAuthority("root")) == "refused.permission"
    known.ask(ADMINISTRATOR, RemoveFromProfile("partners", "root"))
    assert known.reason(ADMINISTRATOR, RemoveFromProfile("partners", "root")) == "not_found.item"
    known.ask(ADMINISTRATOR, DeleteProfile("partners"))
    assert "partners" not in profiles(known)


def test_profiles_and_authorities_have_to_be_there(known: Node) -> None:
    assert known.reason(ADMINISTRATOR, AddToProfile("partners", "root")) == "not_found.item"
    assert known.reason(ADMINISTRATOR, AddToProfile("default", "nobody")) == "not_found.item"
    assert known.reason(ADMINISTRATOR, DeleteProfile("partners")) == "not_found.item"
    assert known.reason(ADMINISTRATOR, CreateProfile("default")) == "exists"
    assert known.reason(ADMINISTRATOR, CreateProfile("two words")) == "invalid.field"


def test_built_in_profiles_stay_but_can_be_emptied(known: Node) -> None:
    known.ask(ADMINISTRATOR, RemoveFromProfile("default", "clients"))
    assert profiles(known)["default"] == ()
    for name in ("default", "partition_ca_profile"):
        assert known.reason(ADMINISTRATOR, DeleteProfile(name)) == "refused.permission"


def test_the_key_server_uses_a_profile_that_exists_and_says_when_it_is_empty(known: Node) -> None:
    assert known.reason(ADMINISTRATOR, ChangeSetting("key_server", PROFILE, "partners")) == "not_found.item"
    known.ask(ADMINISTRATOR, CreateProfile("partners"))
    assert "nobody can connect" in change(known, PROFILE, "partners")
    known.ask(ADMINISTRATOR, AddToProfile("partners", "root"))
    assert "nobody can connect" not in change(known, PROFILE, "partners")
    assert known.reason(ADMINISTRATOR, DeleteProfile("partners")) == "refused.permission"
    assert [one.name for one in known.ask(ADMINISTRATOR, ListProfiles()) if one.is_used] == ["partners"]


@pytest.mark.row("KS-KMIP-014")
def test_a_server_for_partitions_uses_their_profile_and_no_other(node: Node) -> None:
    assert node.reason(ADMINISTRATOR, ChangeSetting("key_server", PARTITIONS, True)) == "refused.feature"
    change(node, PROFILE, "partition_ca_profile")
    change(node, PARTITIONS, True)
    assert node.reason(ADMINISTRATOR, ChangeSetting("key_server", PROFILE, "default")) == "refused.feature"
    change(node, PARTITIONS, False)
    change(node, PROFILE, "default")


@pytest.mark.row("KS-KMIP-016")
def test_changing_the_key_server_warns_of_whom_it_concerns(node: Node) -> None:
    assert "every node on this store" in change(node, "connection_timeout_s", 60)
    assert node.ask(ADMINISTRATOR, ChangeSetting("legacy", "modes", True)).caution == ""


def test_a_revocation_list_finds_its_authority_and_goes_with_it(known: Node) -> None:
    data = ROOT.revocation_list([1, 2, 3], number=4)
    told = known.ask(ADMINISTRATOR, InstallRevocationList(data))
    assert (told.name, told.revoked_count) == ("root", 3)
    due = x509.load_der_x509_crl(data).next_update_utc
    assert due is not None
    assert told.list_due_s == int(due.timestamp())
    assert known.ask(ADMINISTRATOR, ListAuthorities()) == (told,)
    known.ask(ADMINISTRATOR, RemoveAuthority("root"))
    known.ask(ADMINISTRATOR, InstallAuthority("root", ROOT.pem))
    (again,) = known.ask(ADMINISTRATOR, ListAuthorities())
    assert again.revoked_count is None


def test_an_older_list_brings_nothing_back(known: Node) -> None:
    older, newer = ROOT.revocation_list([], number=1), ROOT.revocation_list([9], number=2)
    known.ask(ADMINISTRATOR, InstallRevocationList(newer))
    assert known.reason(ADMINISTRATOR, InstallRevocationList(older)) == "invalid.field"
    assert known.ask(ADMINISTRATOR, InstallRevocationList(newer)).revoked_count == 1
    assert known.ask(ADMINISTRATOR, InstallRevocationList(ROOT.revocation_list([], number=3))).revoked_count == 0


def test_lists_of_strangers_are_refused(known: Node) -> None:
    pem = x509.load_der_x509_crl(a_root().revocation_list([1])).public_bytes(Encoding.PEM)
    assert known.reason(ADMINISTRATOR, InstallRevocationList(pem)) == "invalid.field"
