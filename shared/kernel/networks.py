"""What an address is counted as, wherever attempts are counted by where they come from."""

from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

UNREADABLE: Final = "unknown"
"""The one network of all that is no address: nobody dodges a limit by being unreadable, and nothing is known by it."""


def network_of(address: str) -> str:
    """An IPv4 address itself, also one in IPv6 clothes; for IPv6 its /64.

    It is what one subscriber is given. Anything wider would be shared with neighbours, who could then use up its slots.
    """
    try:
        parsed = ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return UNREADABLE
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(IPv6Network((parsed, 64), strict=False))
    return str(parsed)
