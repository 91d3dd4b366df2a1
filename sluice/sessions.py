"""`sluice sessions`: what to do about partitions of sessions whose log lost records."""

import asyncio
from collections.abc import Sequence
from typing import Final

import typer

from services.executor.repair_requests import TOPICS, Damage, mending
from services.executor.settings import Settings
from shared.kernel.clock import SystemClock
from sluice.configuration import read
from sluice.console import say
from sluice.database import database
from sluice.tail import sources

PATIENCE_S: Final = 60.0
"""For a worker to see the wish (every 5 s), to read the partition and to end what differs in it."""


def repair(partitions: Sequence[int], *, show: bool) -> None:
    """Say what differs and, unless it is only to be shown, have it repaired; exit code 1 if some partition is not, yet."""
    left = asyncio.run(_repair(partitions, show=show))
    if left:
        named = ", ".join(map(str, left))
        say(
            f"not repaired yet: {named}. The worker that holds a partition repairs it; where none runs, the next that starts does", err=True
        )
        raise typer.Exit(1)


async def _repair(partitions: Sequence[int], *, show: bool) -> Sequence[int]:
    settings = read(Settings)
    async with (
        database(settings, "executor") as dsn,
        sources.opened(settings, *TOPICS) as log,
        mending(dsn, log, settings.secrets) as mend,
    ):
        damages = await mend.damages(partitions)
        for damage in damages:
            _say(damage)
        if not damages:
            say("no partition of executor.sessions is set aside" + (" of those" if partitions else ""))
        if show or not damages:
            return ()
        numbers = [damage.aside.partition for damage in damages]
        left = await mend.repair(numbers, PATIENCE_S)
        for number in sorted(set(numbers) - set(left)):
            say(f"partition {number} is repaired")
        return left


def _say(damage: Damage) -> None:
    aside = damage.aside
    ago_s = max(0, SystemClock().now_us() - aside.since_us) // 1_000_000
    say(
        f"partition {aside.partition} of executor.sessions is set aside since {ago_s} s: "
        f"offset {aside.offset} was known, the log has {aside.bound} ({aside.reason})"
    )
    for one in damage.differing:
        there = f"its history ends at version {one.head.version}" if one.head.id not in one.lost else "nothing of its history is there"
        who = damage.logged_in.get(one.session)
        stays = f"; {who} stays logged in" if who else ""
        say(f"  session {one.session} is remembered at version {one.version}, {there}; lost: {', '.join(one.lost)}{stays}")
    say(f"  {len(damage.differing)} sessions differ and end with a repair; all others go on")
