"""Which network addresses a source may reach. Connecting is in `connections.py`.

Only globally routed unicast addresses are reached, in whatever form they are written: an address that carries another one within it
(IPv4-mapped, NAT64, 6to4, Teredo, ISATAP) is judged by both.
"""

import ipaddress
from collections.abc import Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# The standard library of Python 3.11 takes some of these for global.
_NEVER_V4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "100.64.0.0/10",  # carrier-grade NAT (RFC 6598); one cloud keeps its metadata there
            "168.63.129.16/32",  # metadata and control of a cloud, though the address is public
            "192.0.0.0/24",  # protocol assignments (RFC 6890); one cloud keeps its metadata there
            "192.88.99.0/24",  # relays of 6to4 (RFC 7526)
        ),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")  # all that is assigned for global unicast (RFC 4291, section 2.4)
_NEVER_V6 = (ipaddress.IPv6Network("3fff::/20"),)  # documentation (RFC 9637)
_ISATAP = (0x00005EFE, 0x02005EFE)  # RFC 5214, section 6.1


def parse_address(text: str) -> Address | None:
    """The address that a text is in the usual form, brackets and zone allowed; None for a name."""
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether an address, and each one it carries, belongs to the public Internet."""
    own = _is_public_v4(address) if isinstance(address, ipaddress.IPv4Address) else _is_public_v6(address)
    return own and all(map(_is_public_v4, embedded_addresses(address)))


def embedded_addresses(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses that traffic to an IPv6 address may end at."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    low = int(address) & 0xFFFFFFFF
    if address in _NAT64 or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        yield ipaddress.IPv4Address(low)


def _is_public_v4(address: ipaddress.IPv4Address) -> bool:
    is_refused = address.is_multicast or address.is_reserved or any(address in network for network in _NEVER_V4)
    return address.is_global and not is_refused


def _is_public_v6(address: ipaddress.IPv6Address) -> bool:
    if address.ipv4_mapped or address in _NAT64:
        return True  # what they carry decides
    is_refused = any(address in network for network in _NEVER_V6)
    return address in _GLOBAL_V6 and (address.is_global or address.teredo is not None) and not is_refused
