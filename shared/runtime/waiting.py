"""Waiting for what a process stands on: whoever starts a system starts all of it at once, and its parts come as they come."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from shared.kernel.retrying import insist

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0

_log = logging.getLogger(__name__)

Attempt = Callable[[], Awaitable[None]]


class Waiting:
    """What has to be there before the services are started, by name; each attempt is one try to reach it."""

    def __init__(self, needs: Mapping[str, Attempt]) -> None:
        self._missing = dict(needs)

    def readiness(self) -> Mapping[str, bool]:
        """What is still missing; nothing once all of it was reached, from then on the services speak for themselves."""
        return dict.fromkeys(self._missing, False)

    async def until_there(self) -> None:
        """Try for as long as it takes, everything at once.

        Raises:
            SluiceError: the first that is no `Unavailable`: what refuses us is not waited for.
        """
        tasks = [asyncio.create_task(self._reach(name, attempt), name=f"waiting for {name}") for name, attempt in self._missing.items()]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _reach(self, name: str, attempt: Attempt) -> None:
        reasons: list[str] = []

        def tell(away: Exception) -> None:
            if (reason := _reason(away)) not in reasons[-1:]:
                _log.warning("waiting for %s: %s", name, reason)
                reasons.append(reason)

        # A cluster's processes lost it at the same moment and should not all come back at the same one.
        await insist(
            attempt, FIRST_PAUSE_S, LONGEST_PAUSE_S, told=tell,
            sleep=lambda pause_s: asyncio.sleep(pause_s * (1 + secrets.randbelow(1000) / 1000) / 2),
        )  # fmt: skip
        if reasons:
            _log.warning("%s is there", name)
        del self._missing[name]


def _reason(away: Exception) -> str:
    # What PostgreSQL's driver says is left out where it could quote a visitor; here there are none yet.
    return f"{away}: {away.__cause__}" if away.__cause__ is not None and str(away.__cause__) not in str(away) else str(away)
