"""The visitor's answer, opened for one step: parsed, and marked."""

import json
from dataclasses import dataclass, field
from typing import Any

from services.executor.ports import SealOpener
from services.executor.sessions.session import answers
from shared.contracts.errors import BadSeal
from shared.contracts.steps import Shown, StepRequested


@dataclass(frozen=True, slots=True)
class Opened:
    """The parsed body. `raw` are the bytes that the edge sealed, `mark` their MAC (`mark_of`)."""

    body: Any = field(repr=False)
    raw: bytes = field(default=b"", repr=False)
    mark: str = ""


async def opened(opener: SealOpener, step: StepRequested) -> Opened:
    """Open a step's sealed body; `BadSeal` if it cannot be opened, or is not the JSON that the edge sealed."""
    if step.sealed is None:
        return Opened({})
    raw = await opener.open(step.sealed, step.session, step.command)
    try:
        body = json.loads(raw)
    except ValueError:
        raise BadSeal("not what the edge seals") from None
    return Opened(body, raw, await mark_of(opener, step.sealed.epoch, step.session, step.flow, answers(step), raw))


async def mark_of(opener: SealOpener, epoch: str, session: str, flow: str, shown: Shown | None, raw: bytes) -> str:
    """By what this body, sent to this transition of a run, or to the page that began it, is known again; `BadSeal` once the epoch's key is gone.

    Whoever reads the history learns nothing from it, not even that somebody used one password twice: the key is destroyed,
    and what the body was sent to counts.
    """
    place = (shown.run, shown.transition) if shown else ("", "")
    return await opener.mark(epoch, *(text.encode() for text in (session, flow, *place)), raw)
