"""Trying again, in one way: until it works, or until nobody wants it any more."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.kernel.errors import Unavailable

T = TypeVar("T")
Failures = type[Exception] | tuple[type[Exception], ...]


async def insist(
    attempt: Callable[[], Awaitable[T]],
    pause_s: float,
    longest_s: float = 0.0,
    *,
    on: Failures = Unavailable,
    told: Callable[[Exception], None] = lambda _: None,
    gives_up: Callable[[float], bool] = lambda _: False,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """What `attempt` comes to, which is made again after a pause while it raises one of `on`; anything else it raises is raised.

    The pause doubles up to `longest_s`, where that is more. `told` hears of each failure. `gives_up`, asked with the pause that
    would follow, lets the failure through.
    """
    while True:
        try:
            return await attempt()
        except on as failure:
            told(failure)
            if gives_up(pause_s):
                raise
        await sleep(pause_s)
        pause_s = max(pause_s, min(2 * pause_s, longest_s))


async def again_and_again(
    once: Callable[[], Awaitable[object]], every_s: float, told: Callable[[Unavailable], None], *, first: bool = True
) -> None:
    """Do something every so often, for ever; what it needs being away only delays it, and `told` hears of it.

    `first`: at once, and then every so often.
    """
    if not first:
        await asyncio.sleep(every_s)
    while True:
        try:
            await once()
        except Unavailable as away:
            told(away)
        await asyncio.sleep(every_s)
