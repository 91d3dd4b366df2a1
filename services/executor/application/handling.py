"""What a step comes to: which run it is for, whether it is new, old, foreign or doubled (architecture §3).

Pure but for the effects: state in, decision or reply out. The log's side of it is `owner.py`.
"""

from dataclasses import dataclass
from typing import Final

from services.executor.application.advance import Cursor, Reading, UnknownFlow
from services.executor.application.decision import Decision
from services.executor.application.rotation import rotates
from services.executor.domain.session import MAX_TRANSITIONS, SAME_REPLY, expired, open_run, run_of
from shared.contracts import sessions as s
from shared.contracts.people import Visitor
from shared.contracts.states import Answered, RunState, SessionState
from shared.contracts.steps import Outcome, StepRequested
from shared.flows.asks import GetUser

RETIRED: Final = "retired"
"""Why a run was cancelled whose definitions the catalog took back."""


@dataclass(frozen=True, slots=True)
class Again:
    """What was sent was answered before: the same reply, from what that transition left."""

    before: Answered


@dataclass(frozen=True, slots=True)
class Current:
    """Nothing is to be done: show the run as it is (None: there is nothing to show)."""

    run: str | None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The step is not taken. `superseded`: its cookie's rotation is over; `session_over`: a fresh session is needed."""

    outcome: Outcome
    reason: str
    session_over: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """A transition is to be written."""

    decision: Decision


Handled = Again | Current | Stopped | Decided


class StateBehind(Exception):
    """The step knows a newer session than we do: read again before refusing it (architecture §4.6)."""


def precheck(state: SessionState, step: StepRequested, now_us: int, *, caught_up: bool) -> Handled | None:
    """What can be said without a decision; None if there is something to decide. `StateBehind` unless `caught_up`."""
    if step.fresh:
        return Stopped("refused", "session_taken", session_over=True) if state.version else None
    newer = not state.version or step.rotation > state.rotation or (step.shown is not None and step.shown.version > state.version)
    if newer and not caught_up:
        raise StateBehind
    if not state.version or state.ended or expired(state, now_us):
        return Stopped("refused", "session_over", session_over=True)
    if step.rotation != state.rotation:
        recent = now_us - state.rotated_us <= SAME_REPLY
        return Stopped("superseded", "rotation", session_over=not recent)
    if state.transitions >= MAX_TRANSITIONS - 2:
        return Stopped("refused", "session_full", session_over=True)
    return None


async def handle(decision: Decision, cursor: Cursor, read: Reading) -> Handled:
    """Decide a start, an answer or a cancel; `read` reads the visitor's answer, if there is one."""
    match decision.step.kind:
        case "cancel":
            return _cancel(decision)
        case "start":
            return await _start(decision, cursor)
        case "answer":
            return await _answer(decision, cursor, read)
        case "state":
            run = _addressed(decision.state, decision.step) or open_run(decision.state, decision.step.flow)
            return Current(run.run if run else None)
        case other:
            return Stopped("refused", f"no_{other}_here")


def _cancel(decision: Decision) -> Handled:
    open_runs = [r for r in decision.state.runs if not r.over]
    decision.record(*(s.RunCancelled(run=r.run, reason="cancelled") for r in open_runs))
    return Decided(decision) if open_runs else Current(None)


async def _start(decision: Decision, cursor: Cursor) -> Handled:
    run = _continued(decision, cursor)
    if run is None:
        await _begin(decision, cursor)
        return Decided(decision)
    decision.run = run.run
    if run.view is None or run.view.kind == "error":
        # The stage failed before: a reload tries it again (flow-engine 4.9).
        await cursor.reach(decision)
        return Decided(decision)
    return Decided(decision) if decision.events else Current(run.run)


async def _answer(decision: Decision, cursor: Cursor, read: Reading) -> Handled:
    step, shown = decision.step, decision.step.shown
    addressed = _addressed(decision.state, step)
    older = addressed is not None and shown is not None and shown.transition != addressed.head and shown.version < addressed.version
    if addressed and older and addressed.view:
        # Shows what there is now, counts nothing. A cancelled run has none: its flow begins anew.
        return Current(addressed.run)
    deliver = shown is None or (addressed is not None and shown.transition == addressed.head)
    run = _continued(decision, cursor)
    if run is None:
        # An answer to a run whose login is over was never meant for the one that takes its place.
        deliver = deliver and not decision.events
        await _begin(decision, cursor)
        if decision.flow_gone:
            return Decided(decision)
        run = decision.current
    elif run.run != decision.run:
        decision.run = run.run
    if deliver and not run.over and run.view and run.view.kind == "challenge":
        await cursor.answer(decision, read)
    elif deliver and not run.over and run.view and run.view.kind == "error":
        await cursor.reach(decision)
    return Decided(decision) if decision.events else Current(run.run)


def _addressed(state: SessionState, step: StepRequested) -> RunState | None:
    """The run of this session and flow that the visitor's page named."""
    run = run_of(state, step.shown.run) if step.shown else None
    return run if run and run.flow == step.flow else None


def _continued(decision: Decision, cursor: Cursor) -> RunState | None:
    """The open run that the step goes on with. One planned for a login goes on only with that login (rule 13), and none
    from definitions that were taken back (§4.11)."""
    step = decision.step
    addressed = _addressed(decision.state, step)
    run = addressed if addressed and not addressed.over else open_run(decision.state, step.flow)
    if run is None:
        return None
    if cursor.is_retired(run):
        decision.record(s.RunCancelled(run=run.run, reason=RETIRED))
        return None
    if run.login is None or (step.login and step.login.login == run.login):
        return run
    decision.record(s.RunCancelled(run=run.run, reason="login_over"))
    return None


async def _begin(decision: Decision, cursor: Cursor) -> None:
    step = decision.step
    if not decision.state.version and not decision.events:
        decision.record(s.SessionStarted())
    user = None
    if step.login:
        found = (await decision.do.ask(GetUser(user=step.login.user))).user
        user = found if found and found.is_active and found.epoch == step.login.epoch else None
    visitor = Visitor(user=user, address=step.address, user_agent=step.user_agent, host=step.host, secure=step.secure)
    try:
        await cursor.start(decision, visitor)
    except UnknownFlow:
        if not any(isinstance(event, s.RunCancelled) for event in decision.events):
            raise
        decision.flow_gone = True  # that its run ended is written all the same


def close(decision: Decision) -> None:
    """What follows from a step at its end: privilege that changed rotates the session; a log-out by somebody ends all other
    runs at once, and the session once the run that logged out is over (architecture §3)."""
    why = rotates(decision)
    if why:
        decision.record(s.SessionRotated(why=why))
    leaving = run_of(decision.state, decision.state.logged_out)
    over = leaving is not None and bool(leaving.over)
    if over or any(isinstance(e, s.LoggedOut) for e in decision.events):
        others = [r for r in decision.state.runs if not r.over and r.run != decision.run]
        decision.record(*(s.RunCancelled(run=r.run, reason="logged_out") for r in others))
    if over:
        decision.record(s.SessionEnded(reason="logged_out"))
