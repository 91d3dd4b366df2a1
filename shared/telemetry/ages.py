"""Numbers that change by time alone, such as how old something is: told to the metrics every second."""

import asyncio
from collections.abc import Callable
from typing import Final

INTERVAL_S: Final = 1.0


async def watch_ages(report: Callable[[], None], interval_s: float = INTERVAL_S) -> None:
    """Call `report`, which writes metrics, again and again; run it as a task and cancel it."""
    while True:
        report()
        await asyncio.sleep(interval_s)
