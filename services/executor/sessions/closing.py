"""How a step ends: whether it has to stand in the log, and what follows from it (architecture §3).

The value of a session's cookie changes when privilege does, and never else: a cookie that somebody planted or copied must be
worth nothing once its visitor has proved anything; and it must not change without need, or a second tab would be sent away.
"""

from typing import Literal

from services.executor.sessions.decision import Decided, Decision, Handled, Unwritten
from services.executor.sessions.session import run_of, surplus_runs
from shared.contracts import sessions as s
from shared.flows.evidence import KINDS

Why = Literal["login", "logout", "secret", "evidence"]


def shown_or_written(decision: Decision) -> Handled:
    """What was decided, to be written only if it has to stand in the log (architecture §3)."""
    return Decided(decision) if _has_effect(decision) else Unwritten(decision)


def _has_effect(decision: Decision) -> bool:
    """Whether an answer was taken, or what a start came to orders, asks with effect, proves something or is somebody's end."""
    if decision.taken or decision.do.orders or any(asked.ask.effect for asked in decision.do.asks):
        return True
    if decision.step.login and decision.current.over:
        return True
    return any(_is_effect(event) for event in decision.events)


def _is_effect(event: s.Event) -> bool:
    match event:
        case s.StagePassed():
            return event.evidence.proves in KINDS
        case s.CounterSet() | s.LoggedIn() | s.LoggedOut() | s.RunCancelled() | s.SessionEnded():
            return True
        case _:
            return False


def close(decision: Decision) -> None:
    """What follows from a step at its end: privilege that changed rotates the session; of more than eight open runs the one that was
    left alone longest is given up; a log-out by somebody ends all other runs at once, and the session once the run that
    logged out is over (architecture §3)."""
    why = rotates(decision)
    if why:
        decision.record(s.SessionRotated(why=why))
    leaving = run_of(decision.state, decision.state.logged_out)
    over = leaving is not None and bool(leaving.over)
    if over or any(isinstance(e, s.LoggedOut) for e in decision.events):
        others = [r for r in decision.state.runs if not r.over and r.run != decision.run]
        decision.record(*(s.RunCancelled(run=r.run, reason="logged_out") for r in others))
    decision.record(*(s.RunCancelled(run=r.run, reason="too_many") for r in surplus_runs(decision.state)))
    if over:
        decision.record(s.SessionEnded(reason="logged_out"))


def rotates(decision: Decision) -> Why | None:
    """Why the session rotates with this step, None if it does not. To say who one is proves nothing and rotates nothing."""
    for event in reversed(decision.events):
        if isinstance(event, s.LoggedIn):
            return "login"
        if isinstance(event, s.LoggedOut):
            return "logout"
    if decision.accepted:
        return "secret"
    proved = any(isinstance(event, s.StagePassed) and event.evidence.proves in KINDS for event in decision.events)
    return "evidence" if proved else None
