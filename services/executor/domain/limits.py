"""How often a password may be guessed: per account, and per address. The counting itself is PostgreSQL's, atomically."""

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

MINUTE_US: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class GuessLimits:
    """Settings of the two limits.

    `account`: so many consecutive failures (NIST SP 800-63B-4 §3.2.2: at most 100); from then on one attempt per
    `pause_us` is looked at, all others get the answer, and cost the work, of a wrong password. `address`: so many
    failures in a window of an hour that begins with its first.
    """

    account: int = 100
    address: int = 1000
    pause_us: int = 15 * MINUTE_US
    window_us: int = 60 * MINUTE_US


def bucket(address: str) -> str:
    """What an address is counted as: itself, for IPv6 its /64, for an IPv4 address in IPv6 clothes that one.

    What is no address shares one bucket, so that nobody dodges the limit by being unreadable.
    """
    try:
        parsed = ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(IPv6Network((parsed, 64), strict=False))
    return str(parsed)
