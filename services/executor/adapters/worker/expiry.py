"""Sessions end by age without anybody asking: a transition under a derived id, like any other (architecture §3, §4.7)."""

import logging
from typing import Final

from services.executor.application.owner import Owner
from services.executor.domain.session import HOUR, expired
from shared.contracts import sessions as s
from shared.kernel.errors import Unavailable

logger = logging.getLogger(__name__)

FORGET_AFTER_US: Final = 600 * 1_000_000
"""An ended session is held so long, far beyond a step's deadline: no late step of it can start it anew."""


def expire_idle(owner: Owner, now_us: int) -> None:
    """Queue the end of every session of this owner that is over by age; forget those that have ended."""
    for session in owner.states.idle_since(now_us - FORGET_AFTER_US):
        state = owner.states.get(session)
        if state.ended:
            owner.states.drop(session)
        elif now_us - state.last_us > HOUR and expired(state, now_us):
            owner.submit(session, lambda session=session: _expire(owner, session, now_us))  # type: ignore[misc]


async def _expire(owner: Owner, session: str, now_us: int) -> None:
    state = owner.states.get(session)
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
