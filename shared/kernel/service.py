"""What a service looks like from outside: the four bootstraps build one each, `sluice` runs any number in a process."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from shared.kernel.errors import SluiceError


class StartOver(SluiceError):
    """Of a need: with these settings the service would harm others that run. The process builds it anew, with those of the error."""

    code = "E_START_OVER"

    def __init__(self, settings: Any) -> None:
        super().__init__("to be built with other settings")
        self.settings = settings


class Service(Protocol):
    """A built service. `start` returns once it works as far as what it depends on lets it; `stop` lets go of everything."""

    @property
    def name(self) -> str:
        """`catalog`, `planner`, `policy` or `executor`."""
        ...

    def needs(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What has to be there beside the log before `start`, by name (`postgres`); each call is one try to reach it.

        A call raises `Unavailable` while it is away, `StartOver` if other settings are wanted, another `SluiceError` where waiting would
        not help. A process that
        knows that all is there need not ask. Readiness asks again and again, so a try's answer holds for a second.
        """
        ...

    async def start(self) -> None:
        """Begin to work."""
        ...

    async def stop(self) -> None:
        """Stop taking work, finish what is held or leave it to others, close connections."""
        ...

    def routes(self) -> Iterable[Any]:
        """Its HTTP routes (`aiohttp.web.RouteDef`); one listener may serve those of several services."""
        ...

    def readiness(self) -> Mapping[str, bool]:
        """What has to be true before traffic should come, by name (`caught_up`, `postgres`, `log`)."""
        ...

    def notes(self) -> Mapping[str, object]:
        """What readiness tells beside its parts, by name: something is wrong that turning traffic away would not mend. Empty if all is well."""
        ...

    @property
    def failure(self) -> BaseException | None:
        """Why it stopped by itself; the process ends with it. None while all is well."""
        ...
