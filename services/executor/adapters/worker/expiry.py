"""Sessions end by age without anybody asking: a transition under a derived id, like any other (architecture §3, §4.7)."""

import asyncio
import logging

from services.executor.application.owner import Owner
from services.executor.application.states import FORGET_AFTER
from services.executor.domain.session import expired
from shared.contracts import sessions as s
from shared.kernel.errors import Unavailable

logger = logging.getLogger(__name__)


async def sweep(owner: Owner, now_us: int) -> None:
    """Queue the end of every session of this owner that is over by age, and the forgetting of those that have ended.

    Behind what the session is doing: orders may wait for PostgreSQL longer than an ended session is held. One at a time:
    after a night without visitors many are due at once, and steps and heartbeats must not wait for them all.
    """
    for session in owner.states.due(now_us):
        owner.submit(session, lambda session=session: _end(owner, session, now_us))  # type: ignore[misc]
        await asyncio.sleep(0)


async def _end(owner: Owner, session: str, now_us: int) -> None:
    state = owner.states.get(session)
    if state.ended and now_us - state.last_us > FORGET_AFTER:
        owner.states.drop(session)
    if state.ended or not expired(state, now_us):
        return
    cancelled = [s.RunCancelled(run=run.run, reason="expired") for run in state.runs if not run.over]
    body = s.SessionAdvanced(
        session=session, command=f"expire.{state.version}", kind="expire", at_us=max(state.last_us, now_us),
        events=(*cancelled, s.SessionEnded(reason="expired")),
    )  # fmt: skip
    try:
        await owner.write(state, body)
    except Unavailable as away:
        logger.warning("the end of a session is put off until the next sweep: %s", away.code)
