"""Which addresses are outside: everybody's internet, and neither this machine nor any network around it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

# IPv4 addresses inside IPv6 ones: translation (RFC 6052), 6to4 (RFC 3056).
_TRANSLATED = IPv6Network("64:ff9b::/96")
_LOCALLY_TRANSLATED = IPv6Network("64:ff9b:1::/48")


def is_public(text: str) -> bool:
    """Whether an IP address belongs to the internet at large, by the registries of IANA; an IPv4 address that
    is inside of an IPv6 address counts as itself. False for what is no address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        inside = _inside(address)
        if inside is not None:
            return _is_global(inside)
        if address in _LOCALLY_TRANSLATED or address.teredo is not None:
            return False
    return _is_global(address)


def is_address(text: str) -> bool:
    """Whether a host is an IP address rather than a name."""
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _inside(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _TRANSLATED else None


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    special = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local
    return address.is_global and not (address.is_private or address.is_loopback or special)
