"""Addresses as administrators write them, against the plain meaning of each form."""

from ipaddress import ip_address, ip_network

import pytest

from keystead.core.errors import Invalid
from keystead.core.ip_addresses import Addresses, span_of, text_of


@pytest.mark.row("KS-IPA-002")
@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.10 - 192.0.2.20", "192.0.2.10-192.0.2.20"),
        ("192.0.2.10-192.0.2.20", "192.0.2.10-192.0.2.20"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:db8::1 - 2001:db8::ff", "2001:db8::1-2001:db8::ff"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("2001:db8::/ffff:ffff::", "2001:db8::/32"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
    ],
)
def test_each_form_has_one_meaning_and_one_text(written: str, shown: str) -> None:
    assert text_of(span_of(written)) == shown
    assert span_of(shown) == span_of(written)


@pytest.mark.parametrize(
    "written",
    [
        *("", "-", "x", "192.0.2", "192.0.2.256", "01.2.3.4", "192.0.2.1 192.0.2.2", "192.0.2.1-", "example.org"),
        *("192.0.2.9 - 192.0.2.1", "192.0.2.1 - ::1", "192.0.2.5/24", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1"),
        *("192.0.2.0/0.0.0.255", "192.0.2.0/255.0.255.0", "192.0.2.0/ffff::", "192.0.2.0/0.0.0.0", "::/129"),
        *("fe80::1%eth0", "192.0.2.0/\u0663", "192.0.2.0/24/24", "1" * 101, "192.0.2.0/00000000024"),
    ],
)
def test_what_is_of_no_form_is_refused(written: str) -> None:
    with pytest.raises(Invalid):
        span_of(written)


@pytest.mark.row("KS-IPA-003")
def test_entries_add_up_whatever_their_order_and_overlap() -> None:
    spans = [span_of(each) for each in ("10.9.0.0/16", "10.0.0.0 - 10.0.0.9", "10.0.0.5 - 10.0.0.20", "10.0.0.21")]
    for held in (Addresses(spans), Addresses(reversed(spans))):
        assert [held.holds(f"10.0.0.{last}") for last in (0, 9, 20, 21, 22)] == [True, True, True, True, False]
        assert [held.holds(each) for each in ("10.8.255.255", "10.9.0.0", "10.9.255.255", "10.10.0.0")] == [
            *(False, True, True, False),
        ]
    assert not Addresses([])
    assert Addresses(spans)


def test_a_mapped_address_is_the_ipv4_address_and_nothing_else_is() -> None:
    ipv4, ipv6 = Addresses([span_of("192.0.2.0/24")]), Addresses([span_of("::/0")])
    assert ipv4.holds("::ffff:192.0.2.7")
    assert Addresses([span_of("::ffff:192.0.2.0/120")]).holds("192.0.2.7")
    assert not ipv6.holds("192.0.2.7")
    assert not ipv6.holds("::ffff:192.0.2.7")
    assert not ipv4.holds("::192.0.2.7")
    assert ipv6.holds("fe80::1%eth0")
    assert not any(each.holds(word) for each in (ipv4, ipv6) for word in ("-", "", "localhost", "192.0.2.7 "))


@pytest.mark.parametrize("subnet", ["192.0.2.128/25", "192.0.2.64/26", "2001:db8::/64", "10.0.0.0/8"])
def test_a_subnet_holds_what_the_standard_library_says(subnet: str) -> None:
    network, held = ip_network(subnet), Addresses([span_of(subnet)])
    for address in (network[0], network[-1], network[1], network[0] - 1, network[-1] + 1):
        assert held.holds(str(address)) == (ip_address(str(address)) in network)
