"""The catalog's definitions, followed on their topic: the planner's port `Catalog`."""

import asyncio

from shared.messaging.definitions_projection import Definitions
from shared.messaging.log import Record


class FollowedCatalog:
    """Definitions that wake whoever waits for more of them. `apply` is a projection's."""

    def __init__(self) -> None:
        self._definitions = Definitions()
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def definitions(self) -> Definitions:
        """See `Catalog.definitions`."""
        return self._definitions

    def apply(self, record: Record) -> None:
        """Take in one record of `catalog.definitions`; `BadRecord` if it is none."""
        self._definitions.apply(record)
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def changed(self, timeout_s: float) -> bool:
        """See `Catalog.changed`."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            async with asyncio.timeout(timeout_s):
                await waiting
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(waiting)
        return True
