"""What a session remembers of its answered steps, so that one that is sent again gets the same reply (architecture §3)."""

from typing import Final

from services.executor.sessions.lifetime import SECOND
from services.executor.sessions.run import RunEvent
from shared.contracts import sessions as s
from shared.contracts.envelope import Envelope
from shared.contracts.states import Answered, SessionState
from shared.contracts.steps import REPLY_KEPT_S, Shown, StepRequested

SAME_REPLY: Final = 30 * SECOND
"""How long the same body is a repeat, and an older cookie may be that of somebody whose new one is under way."""
AWAITED: Final = REPLY_KEPT_S * SECOND
REMEMBERED_COMMANDS: Final = 64


def answered(state: SessionState, command: str, now_us: int) -> Answered | None:
    """How this very command was answered, as long as somebody may await its reply, and no later one has taken its place."""
    found = next((a for a in reversed(state.answered) if a.command == command), None)
    return found if found and now_us - found.at_us <= AWAITED else None


def remembered(before: tuple[Answered, ...], new: Answered) -> tuple[Answered, ...]:
    """With one answer more: those that may be asked for again."""
    recent = (one for one in before if new.at_us - one.at_us <= SAME_REPLY)
    return (*recent, new)[-REMEMBERED_COMMANDS:]


def answer_of(envelope: Envelope, body: s.SessionAdvanced, rotation: int) -> Answered:
    """What an accepted transition answered, as it is remembered."""
    changed = next((e for e in reversed(body.events) if isinstance(e, s.LoggedIn | s.LoggedOut)), None)
    # Runs that were given up on the side are not what the command was about.
    runs = sorted((e for e in body.events if isinstance(e, RunEvent)), key=lambda e: not isinstance(e, s.RunCancelled))
    went_on = s.StagePassed | s.StageSkipped | s.RunReplanned
    return Answered(
        command=body.command,
        transition=envelope.id,
        run=runs[-1].run if runs else None,
        at_us=body.at_us,
        advanced=any(isinstance(e, went_on) for e in body.events),
        login=changed.login if isinstance(changed, s.LoggedIn) else None,
        logged_out=isinstance(changed, s.LoggedOut),
        rotation=rotation,
        rotated=any(isinstance(e, s.SessionRotated) for e in body.events),
        flow=body.given.flow,
        shown=answers(body.given),
        epoch=body.given.epoch,
        mark=body.given.mark,
        secret=bool(body.given.accepted),
    )


def answers(step: StepRequested | s.Given) -> Shown | None:
    """The place that an answer is for: a transition that was shown, or the page of a run that it begins."""
    return Shown(run=step.page.run, transition="", version=0) if step.page else step.shown
