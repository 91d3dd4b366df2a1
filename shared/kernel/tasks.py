"""What became of tasks that should go on for as long as their service lives."""

import asyncio
from typing import Any


def failure_of(*tasks: asyncio.Task[Any] | None) -> BaseException | None:
    """Why the first of them that failed did so; None while all go on, and for those that were cancelled or not begun."""
    ended = (task.exception() for task in tasks if task is not None and task.done() and not task.cancelled())
    return next((error for error in ended if error is not None), None)
