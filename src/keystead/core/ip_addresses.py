"""IP addresses, ranges and subnets as administrators write them, and sets of them that are quick to ask. Pure.

Law: an IPv4 address that is written over IPv6's mapping (::ffff:a.b.c.d) is the IPv4 address that it stands for.

Source: requirements KS-IPA-002, 003; RFC 4291 section 2.5.5.2; RFC 4632.
"""

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network, summarize_address_range
from typing import NamedTuple

from keystead.core.errors import Invalid

ADDRESSES_CHARACTERS_MAX = 100
FORMS = "write one address, a range (192.0.2.10 - 192.0.2.20) or a subnet (192.0.2.0/24, 192.0.2.0/255.255.255.0)"
_MAPPED_FIRST, _MAPPED_LAST = int(IPv6Address("::ffff:0:0")), int(IPv6Address("::ffff:ffff:ffff"))
_BITS = {4: 32, 6: 128}


class Span(NamedTuple):
    """Addresses that follow each other, both ends included, as numbers."""

    version: int
    first: int
    last: int


def span_of(text: str) -> Span:
    """Return the addresses that an entry means.

    Raises:
        Invalid: it is not of one of the forms, or a subnet that does not begin where it says.
    """
    if len(text) > ADDRESSES_CHARACTERS_MAX:
        raise Invalid(FORMS, "invalid.field")
    if "/" in text:
        return _subnet(*text.split("/", 1))
    first, dash, last = (part.strip() for part in text.partition("-"))
    low = _parsed(first)
    high = _parsed(last) if dash else low
    if low.version != high.version or int(high) < int(low):
        raise Invalid("a range goes from a lower to a higher address of one version of IP", "invalid.field")
    return _unmapped(Span(low.version, int(low), int(high)))


def text_of(span: Span) -> str:
    """Return the one form of an entry: an address, a subnet with its prefix, or a range."""
    of = IPv4Address if span.version == 4 else IPv6Address
    if span.first == span.last:
        return str(of(span.first))
    subnets = [str(each) for each in summarize_address_range(of(span.first), of(span.last))]
    return subnets[0] if len(subnets) == 1 else f"{of(span.first)}-{of(span.last)}"


class Addresses:
    """A set of addresses.

    Args:
        spans: In any order; they may overlap.
    """

    def __init__(self, spans: Iterable[Span]) -> None:
        self._firsts: dict[int, list[int]] = {4: [], 6: []}
        self._lasts: dict[int, list[int]] = {4: [], 6: []}
        for version, first, last in sorted(spans):
            lasts = self._lasts[version]
            if lasts and first <= lasts[-1] + 1:
                lasts[-1] = max(last, lasts[-1])
            else:
                self._firsts[version].append(first)
                lasts.append(last)

    def holds(self, address: str) -> bool:
        """Tell whether an address is among them; what is no address is not."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        version, number, _ = _unmapped(Span(parsed.version, int(parsed), int(parsed)))
        place = bisect_right(self._firsts[version], number) - 1
        return place >= 0 and number <= self._lasts[version][place]

    def __bool__(self) -> bool:
        return any(self._firsts.values())


def _parsed(text: str) -> IPv4Address | IPv6Address:
    try:
        parsed = ip_address(text)
    except ValueError:
        raise Invalid(FORMS, "invalid.field") from None
    if isinstance(parsed, IPv6Address) and parsed.scope_id is not None:
        raise Invalid("leave out the scope behind the address: it means something on one machine only", "invalid.field")
    return parsed


def _subnet(address: str, extent: str) -> Span:
    """Read a subnet by its prefix or its mask; a host mask (0.0.0.255) is refused, as 0.0.0.0 would mean everything."""
    begin = _parsed(address.strip())
    extent, bits = extent.strip(), _BITS[begin.version]
    if not extent.isascii() or not extent.isdigit():
        mask = _parsed(extent)
        ones = f"{int(mask):0{bits}b}".rstrip("0")
        if mask.version != begin.version or "0" in ones:
            raise Invalid(
                "a mask is of its subnet's version of IP, ones before noughts: 255.255.255.0", "invalid.field"
            )
        extent = str(len(ones))
    if len(extent) > 3 or int(extent) > bits:
        raise Invalid(f"the prefix of this subnet is 0 to {bits}", "invalid.field")
    subnet = ip_network((begin, int(extent)), strict=False)
    first, last = int(subnet.network_address), int(subnet.broadcast_address)
    if first != int(begin):
        raise Invalid(f"this subnet begins at another address: {subnet}", "invalid.field")
    return _unmapped(Span(begin.version, first, last))


def _unmapped(span: Span) -> Span:
    version, first, last = span
    if version == 6 and first >= _MAPPED_FIRST and last <= _MAPPED_LAST:
        return Span(4, first - _MAPPED_FIRST, last - _MAPPED_FIRST)
    return span
