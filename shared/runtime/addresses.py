"""Addresses to listen on: a taken one is told by its setting, before anything is started that would have to be stopped again."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from shared.kernel.errors import SluiceError
from shared.kernel.variables import variable
from shared.runtime.setting_types import Address
from shared.runtime.settings import CommonSettings


class AddressTaken(SluiceError):
    """Somebody else listens there, or we may not."""

    code = "E_ADDRESS_TAKEN"


def refuse_taken(settings: CommonSettings) -> None:
    """`AddressTaken` if somebody listens where visitors or metrics are to come."""
    for setting in ("listen", "metrics_listen"):
        address: Address | None = getattr(settings, setting)
        if address is not None:
            with listening_on(address, setting):
                _try(address)


def _try(address: Address) -> None:
    family, kind, protocol, _, place = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(place)
        probe.listen(1)


@contextmanager
def listening_on(address: Address, setting: str) -> Iterator[None]:
    """Turn the system's refusal to listen there into an `AddressTaken` that names the setting."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise AddressTaken(f"cannot listen on {address}: {reason}; {variable(setting)} sets another address") from error
