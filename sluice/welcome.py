"""What `sluice up` says once visitors can come: where to log in, as whom, and how to stop."""

from ipaddress import ip_address
from pathlib import Path
from typing import Final

from shared.kernel.settings import Address

ADMINISTRATOR: Final = "akadmin"
LOGIN: Final = "/if/flow/default-authentication-flow/"


def welcome(address: Address, data: Path, password: str | None, made_up: bool) -> str:
    """The text. `password` is told only if it was `made_up`, in the start that created the administrator."""
    if made_up and password is not None:
        whom = f"{ADMINISTRATOR} with password {password}  (made up just now, shown only this once)"
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
