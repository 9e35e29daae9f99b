"""The part of a network address that stands for one client."""

import ipaddress


def is_address(text: str) -> bool:
    """Return True if ``text`` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def client_network(text: str) -> str:
    """Return an IPv4 address, or the /64 network of an IPv6 address, which one client owns.

    Returns the first 40 characters of a ``text`` that isn't an address.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text[:40]
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address.packed[:8] + bytes(8), 64)))
