"""What `sluice up` says once visitors can come: where to log in, as whom, and how to stop."""

from ipaddress import ip_address
from pathlib import Path
from typing import Final

from shared.kernel.settings import Address

ADMINISTRATOR: Final = "akadmin"
LOGIN: Final = "/if/flow/default-authentication-flow/"


def welcome(address: Address, data: Path, made_up: str | None) -> str:
    """The text. `made_up` is the password of the administrator, if this start has just made one up."""
    if made_up is not None:
        whom = f"{ADMINISTRATOR} with password {made_up}  (made up just now, shown only this once)"
    else:
        whom = f"{ADMINISTRATOR}, or whom you made  (`sluice users set-password {ADMINISTRATOR}` if the password is lost)"
    return (
        f"Sluice is ready.\n"
        f"  log in at  {base_url(address)}{LOGIN}\n"
        f"  as         {whom}\n"
        f"  data in    {data}\n"
        f"  stop with  Ctrl-C; the next `make up` goes on where this one stopped\n"
    )


def base_url(address: Address) -> str:
    """A URL that a browser on this machine can open."""
    return f"http://{Address('127.0.0.1', address.port) if _is_any(address.host) else address}"


def _is_any(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
