"""Who may connect: entries, ticks, and the asker's own way in, which stays open."""

from dataclasses import replace

import pytest

from keystead.core.permission import EVERY_ACCESS, Access, Principal
from keystead.operations.ip_authorization import (
    IP_ENTRIES_COUNT_MAX,
    ChangeIpEntry,
    Connections,
    CreateIpEntry,
    DeleteIpEntry,
    IpEntry,
    ListIpEntries,
    Service,
    SetIpAuthorization,
    ShowIpAuthorization,
    policy_of,
)
from keystead.storage.journal import leaf_of
from tests.operations.test_logins import leaves_in
from tests.support.builders import ADMINISTRATOR, ALICE, Node

LISTED, ALL = Connections.LISTED, Connections.ALL
WEB = Principal("administrator", "olga", access=EVERY_ACCESS, address="192.0.2.7", door="web")
SSH = replace(WEB, door="ssh")


def may_reach(node: Node, service: Service, address: str) -> bool:
    listed = policy_of(node.objects).listed(service)
    return listed is None or listed.holds(address)


@pytest.mark.row("KS-IPA-001")
def test_as_delivered_everybody_may_connect_and_each_service_is_said_apart(node: Node) -> None:
    shown = node.ask(ADMINISTRATOR, ShowIpAuthorization())
    assert (shown.key_server, shown.web, shown.ssh) == (ALL, ALL, ALL)
    shown = node.ask(ADMINISTRATOR, SetIpAuthorization(key_server=LISTED))
    assert (shown.key_server, shown.web, shown.ssh) == (LISTED, ALL, ALL)
    assert "the key server" in shown.caution
    assert not may_reach(node, Service.KEY_SERVER, "192.0.2.7")
    assert may_reach(node, Service.WEB, "192.0.2.7")
    node.ask(ADMINISTRATOR, SetIpAuthorization(key_server=ALL))
    assert may_reach(node, Service.KEY_SERVER, "192.0.2.7")


@pytest.mark.row("KS-IPA-002", "KS-IPA-003")
def test_entries_have_ticks_and_add_up(node: Node) -> None:
    node.ask(ADMINISTRATOR, SetIpAuthorization(LISTED, LISTED, LISTED))
    made = node.ask(ADMINISTRATOR, CreateIpEntry("192.0.2.0/255.255.255.0", key_server=True))
    assert made == IpEntry(1, "192.0.2.0/24", key_server=True, web=False, ssh=False)
    node.ask(ADMINISTRATOR, CreateIpEntry("192.0.2.7", web=True))
    assert [may_reach(node, service, "192.0.2.7") for service in Service] == [True, True, False]
    assert [may_reach(node, service, "192.0.2.8") for service in Service] == [True, False, False]
    changed = node.ask(ADMINISTRATOR, ChangeIpEntry(2, "192.0.2.8 - 192.0.2.9", ssh=True))
    assert changed == IpEntry(2, "192.0.2.8/31", key_server=False, web=True, ssh=True)
    assert [may_reach(node, service, "192.0.2.7") for service in Service] == [True, False, False]
    node.ask(ADMINISTRATOR, DeleteIpEntry(1))
    assert not may_reach(node, Service.KEY_SERVER, "192.0.2.7")
    assert node.ask(ADMINISTRATOR, CreateIpEntry("::1")).number == 3  # no number is given again
    assert [entry.number for entry in node.ask(ADMINISTRATOR, ListIpEntries())] == [2, 3]


@pytest.mark.row("KS-IPA-005")
@pytest.mark.parametrize(("asker", "service"), [(WEB, "web"), (SSH, "ssh")])
def test_nobody_shuts_themselves_out(node: Node, asker: Principal, service: str) -> None:
    own, other = {service: LISTED}, {"key_server": LISTED, "web" if service == "ssh" else "ssh": LISTED}
    assert node.reason(asker, SetIpAuthorization(**own)) == "refused.feature"
    node.ask(asker, SetIpAuthorization(**other))  # another door than their own
    node.ask(asker, CreateIpEntry("192.0.2.0/24", **{service: True}))
    node.ask(asker, SetIpAuthorization(**own))
    for change in (
        ChangeIpEntry(1, web=False, ssh=False),
        ChangeIpEntry(1, addresses="192.0.2.0/30"),
        DeleteIpEntry(1),
    ):
        assert node.reason(asker, change) == "refused.feature"
    with pytest.raises(Exception, match=r"your own address 192\.0\.2\.7 could not reach"):
        node.ask(asker, DeleteIpEntry(1))
    node.ask(asker, CreateIpEntry("::ffff:192.0.2.7", **{service: True}))
    node.ask(asker, DeleteIpEntry(1))  # the other entry keeps them in
    assert may_reach(node, Service(service), "192.0.2.7")


def test_on_the_machine_itself_everything_can_be_put_right(node: Node) -> None:
    local = Principal("local", "root", access=EVERY_ACCESS)
    shown = node.ask(local, SetIpAuthorization(LISTED, LISTED, LISTED))
    assert "the key server or web administration or SSH administration" in shown.caution
    assert node.ask(local, SetIpAuthorization(ALL, ALL, ALL)).caution == ""


def test_it_takes_the_right_for_the_network_and_says_what_is_wrong(node: Node) -> None:
    without = replace(WEB, access=EVERY_ACCESS & ~Access.NETWORK)
    for request in (SetIpAuthorization(web=ALL), CreateIpEntry("::1"), ChangeIpEntry(1), DeleteIpEntry(1)):
        assert node.reason(without, request) == "refused.permission"
        assert node.reason(ALICE, request) == "refused.permission"
        assert node.reason(Principal("stranger", ""), request) == "unauthenticated"
    assert node.reason(ALICE, ListIpEntries()) == "refused.permission"
    assert node.reason(WEB, ChangeIpEntry(9)) == "not_found.item"
    assert node.reason(WEB, DeleteIpEntry(9)) == "not_found.item"
    assert node.reason(WEB, CreateIpEntry("192.0.2.5/24")) == "invalid.field"
    node.ask(WEB, CreateIpEntry("192.0.2.0/24"))
    assert node.reason(WEB, CreateIpEntry("192.0.2.0 - 192.0.2.255")) == "exists"
    node.ask(WEB, ChangeIpEntry(1, "192.0.2.0/24", web=True))  # itself is no other


def test_the_list_has_an_end(node: Node) -> None:
    for number in range(IP_ENTRIES_COUNT_MAX):
        node.ask(WEB, CreateIpEntry(f"2001:db8::{number:x}"))
    assert node.reason(WEB, CreateIpEntry("192.0.2.1")) == "too_large.request"


def test_what_was_changed_is_audited_in_words(node: Node) -> None:
    node.ask(WEB, CreateIpEntry("192.0.2.0/24", web=True, key_server=True))
    node.ask(WEB, SetIpAuthorization(web=LISTED))
    details = [leaf_of(stored).detail for stored in leaves_in(node)][-2:]
    assert details == [
        "IP authorization: entry 1 (192.0.2.0/24 for key_server, web) added",
        "IP authorization: web administration from listed addresses",
    ]
