"""What became of tasks that should go on for as long as their service lives."""

import asyncio
from collections.abc import Iterable
from typing import Any


def failure_of(*tasks: asyncio.Task[Any] | None) -> BaseException | None:
    """Why the first of them that failed did so; None while all go on, and for those that were cancelled or not begun."""
    ended = (task.exception() for task in tasks if task is not None and task.done() and not task.cancelled())
    return next((error for error in ended if error is not None), None)


async def all_of(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait for all; the first that fails ends the others, and is raised. One that was cancelled is not missed."""
    left = set(tasks)
    try:
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():
                    task.result()
    finally:
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
