"""Sessions end by age without anybody asking: a transition under a derived id, like any other (architecture §3, §4.7)."""

import asyncio

from services.executor.sessions.owner import Owner
from services.executor.sessions.session import expired


async def sweep(owner: Owner, now_us: int) -> None:
    """Queue the end of every session of this owner that is over by age, and the forgetting of those that have ended.

    Behind what the session is doing: orders may wait for PostgreSQL longer than an ended session is held. One at a time:
    after a night without visitors many are due at once, and steps and heartbeats must not wait for them all.
    """
    for session in owner.states.due(now_us):
        owner.submit(session, lambda session=session: _let_go(owner, session, now_us))  # type: ignore[misc]
        await asyncio.sleep(0)


async def _let_go(owner: Owner, session: str, now_us: int) -> None:
    state = owner.states.get(session)
    if state.ended:
        owner.states.let_go(state, now_us)
    elif expired(state, now_us):
        await owner.end(session, "expired")
    else:
        owner.states.look_again(state)
