"""Is this step an earlier one sent again? Then it gets that one's reply, and nothing runs twice (architecture §3).

A double click, a stutter of the network and a client that tries again all send the same *body* to the same transition of a
run. Nothing that stood in a page or a cookie before the first was sent tells a repeat: only who knows the body can send it.
"""

import hmac
from collections.abc import Awaitable, Callable
from typing import Final

from cachetools import LRUCache

from services.executor.common.ports import SealOpener
from services.executor.sessions.answered import SAME_REPLY, answered, answers
from services.executor.sessions.effects import Opened, mark_of
from services.executor.sessions.session import run_of
from shared.contracts.errors import BadSeal
from shared.contracts.states import Answered, SessionState
from shared.contracts.steps import StepRequested

_REMEMBERED: Final = 1024
Body = Callable[[], Awaitable[Opened]]


class Repeats:
    """Commands that were repeats themselves, and of which: no transition names them, and a browser may await the reply to any of them.

    Of a partition the newest; the next owner does not know of them, and is sent those again that had no reply.
    """

    def __init__(self) -> None:
        self._first: LRUCache[str, str] = LRUCache(_REMEMBERED)

    def note(self, command: str, before: Answered) -> None:
        """This command has got the reply to that one."""
        if command != before.command:
            self._first[command] = before.command

    def first(self, command: str) -> str:
        """The command whose reply this one's is."""
        return self._first.get(command, command)


async def repeated(
    state: SessionState, step: StepRequested, now_us: int, opener: SealOpener, body: Body, repeats: Repeats
) -> Answered | None:
    """What this step repeats, as far as its sender may be told of it; `body` opens what they sent, if that is needed."""
    before = answered(state, repeats.first(step.command), now_us)  # the very step, delivered again
    if before is None and step.awaited is not None:
        before = answered(state, repeats.first(step.awaited), now_us)
        before = before if before and _shows(state, before) else None  # its run may have been given up since
    if before is not None:
        # Else somebody has logged in or out since, and what they see is not for who sent this.
        return before if state.rotation in (before.rotation, step.rotation) else None
    for one in _alike(state, step, now_us):
        if await _same(one, state.session, opener, (await body()).raw):
            return one
    return None


def _alike(state: SessionState, step: StepRequested, now_us: int) -> list[Answered]:
    """Answers to what this one answers, whose reply its sender may have: that of the newest rotation belongs to who holds the
    newest cookie, or knows the secret that was accepted. Without the name of a transition or a page only the latter is certain."""
    if step.kind != "answer":
        return []
    place = answers(step)
    newest = step.rotation == state.rotation and place is not None
    return [
        one
        for one in state.answered
        if one.mark and now_us - one.at_us <= SAME_REPLY and (one.flow, one.shown) == (step.flow, place)
        and one.rotation == state.rotation and _shows(state, one) and (newest or (one.secret and step.rotation != state.rotation))
    ]  # fmt: skip


def _shows(state: SessionState, one: Answered) -> bool:
    run = run_of(state, one.run or "")
    return run is not None and run.view is not None


async def _same(one: Answered, session: str, opener: SealOpener, raw: bytes) -> bool:
    try:
        return hmac.compare_digest(one.mark, await mark_of(opener, one.epoch, session, one.flow, one.shown, raw))
    except BadSeal:
        return False
