"""The four services as the command line sees them: their settings and their `build`, imported when asked for.

Settings and bootstraps are all that `sluice` may know of a service; importing all bootstraps takes most of a second, which
`sluice version` need not wait for.
"""

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, Final, cast

from shared.kernel.clock import Clock
from shared.kernel.service import Service
from shared.messaging.log import Log
from shared.runtime.settings import CommonSettings

NAMES: Final = ("catalog", "policy", "planner", "executor")
"""In the order in which they are started: who is asked comes before who asks."""

Build = Callable[[Any, Log, Clock], Awaitable[Service]]


def settings_model(name: str) -> type[CommonSettings]:
    """What the service may be told."""
    return cast("type[CommonSettings]", import_module(f"services.{name}.settings").Settings)


def build(name: str) -> Build:
    """How the service is put together."""
    return cast("Build", import_module(f"services.{name}.bootstrap").build)
