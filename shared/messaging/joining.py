"""Staying in a group: a membership that ends by itself is joined anew, for its records come again to the next one."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from shared.kernel.errors import Unavailable
from shared.messaging.log import GroupMember, Log, LogClosed, Membership

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
STEADY_S = 60.0
_LOOK_S = 0.1

_log = logging.getLogger(__name__)


class JoiningMember(GroupMember, Protocol):
    """A member that is given its membership, a new one after each failure; nothing of the last one is to be kept."""

    def joined(self, membership: Membership) -> None:
        """Use this from now on; comes before any other call."""
        ...


async def stay_joined(log: Log, group: str, topics: Sequence[str], member: JoiningMember) -> None:
    """Be a member until cancelled, then leave in order.

    After a failure (the member raised, the shares did not match, the log is away) it waits half a second, longer each
    time up to ten, then joins again. Raises only `Refused`, for a topic that is not known, and `LogClosed`.
    """
    pause, loop = FIRST_PAUSE_S, asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            membership = await log.join(group, topics, member)
        except LogClosed:
            raise
        except Unavailable as error:
            _log.warning("group %s cannot be joined yet: %s", group, error)
        else:
            member.joined(membership)
            failure = await _until_failed(membership)
            if isinstance(failure, LogClosed):
                raise failure
            _log.error("group %s is joined again in %.1f s, after %r", group, pause, failure)
        pause = FIRST_PAUSE_S if loop.time() - began > STEADY_S else pause
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


async def _until_failed(membership: Membership) -> BaseException:
    try:
        while membership.failure is None:  # noqa: ASYNC110 - the port has no event for it, and a tenth of a second will do
            await asyncio.sleep(_LOOK_S)
    except asyncio.CancelledError:
        await membership.leave()
        raise
    return membership.failure
