"""What `sluice up` says once visitors can come: where to log in, as whom, and how to stop."""

import os
import shutil
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from shared.runtime.setting_types import Address

ADMINISTRATOR: Final = "akadmin"
LOGIN: Final = "/if/flow/default-authentication-flow/"


def welcome(address: Address, data: Path, made_up: str | None, path: str = "") -> str:
    """The text. `made_up` is the password of the administrator, if this start has just made one up; `path` is what all of it is under."""
    if made_up is not None:
        whom = f"{ADMINISTRATOR} with password {made_up}  (made up just now, shown only this once)"
    else:
        whom = f"{ADMINISTRATOR}, or whom you made  (`{program()} users set-password {ADMINISTRATOR}` if the password is lost)"
    return (
        f"Sluice is ready.\n"
        f"  log in at  {base_url(address)}{path}{LOGIN}\n"
        f"  as         {whom}\n"
        f"  data in    {data}\n"
        f"  look at    {program()} tail executor.sessions --follow\n"
        f"  stop with  Ctrl-C; the next `make up` goes on where this one stopped\n"
    )


def program() -> str:
    """How `sluice` is called from here: by its name, or by its path in a virtual environment that is not active."""
    beside = Path(sys.executable).with_name("sluice")
    return os.path.relpath(beside) if shutil.which("sluice") is None and beside.exists() else "sluice"


def base_url(address: Address) -> str:
    """A URL that a browser on this machine can open."""
    return f"http://{Address('127.0.0.1', address.port) if _is_any(address.host) else address}"


def _is_any(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
