"""A session, folded from its transitions: a pure function of what was accepted (architecture §3, §4.2).

The version-and-parent rule that decides what is accepted is `shared.contracts.acceptance.follows`.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Final, TypeVar, assert_never

from services.executor.sessions.answered import answer_of, remembered
from services.executor.sessions.lifetime import ends_us, held_until_us, is_unproven
from services.executor.sessions.run import RunEvent, begin, evolve_run, left
from shared.contracts import sessions as s
from shared.contracts import wire
from shared.contracts.envelope import Envelope
from shared.contracts.states import SESSION_BYTES, RunState, SessionState
from shared.contracts.steps import StepRequested

MAX_TRANSITIONS: Final = 200
MAX_BYTES: Final = SESSION_BYTES
REMEMBERED_ENDS: Final = 4
REMEMBERED_RUNS: Final = 200
REMEMBERED_ROTATIONS: Final = 8
OPEN_RUNS: Final = 8
"""Of one session: a browser's tabs. One more, and the one that was left alone longest is given up."""
S = TypeVar("S", SessionState, RunState)


def new_session(session: str) -> SessionState:
    """A session before its first transition."""
    return SessionState(session=session)


def evolve(state: SessionState, envelope: Envelope, body: s.SessionAdvanced) -> SessionState:
    """The session after an accepted transition."""
    for event in body.events:
        state = apply(state, event, body.at_us)
    return concluded(state, envelope, body)


def concluded(applied: SessionState, envelope: Envelope, body: s.SessionAdvanced) -> SessionState:
    """The session after a transition whose events were applied to it already: its owner did so while it decided them."""
    version, logins = applied.version + 1, _logins(body)
    at = {event.run: {"head": envelope.id, "version": version} for event in body.events if isinstance(event, RunEvent)}
    runs = tuple(_with(r, **at.get(r.run, {}), **logins.get(r.run, {})) if r.run in at else r for r in applied.runs)
    after = _with(
        applied, version=version, head=envelope.id, transitions=applied.transitions + 1, last_us=max(applied.last_us, body.at_us),
        answered=remembered(applied.answered, answer_of(envelope, body, applied.rotation)),
        runs=_forget_old_ends(runs),
    )  # fmt: skip
    return _with(after, **_marks(after))


def _logins(body: s.SessionAdvanced) -> dict[str, dict[str, str]]:
    """The login that a run goes on with, having logged in itself (architecture §4.13), unless it has logged out after that."""
    run, found = "", dict[str, dict[str, str]]()
    for event in body.events:
        match event:
            case s.LoggedIn():
                found[run] = {"login": event.login.login}
            case s.LoggedOut():
                found.pop(event.run, None)
            case s.SessionStarted() | s.CounterSet() | s.SessionRotated() | s.SessionEnded():
                pass
            case _:
                run = event.run
    return found


def _marks(state: SessionState) -> dict[str, Any]:
    """What its owner has to know of it without opening it."""
    if state.ended:
        return {"due_us": held_until_us(state), "unproven": False, "open": ()}
    opened = tuple(sorted(run.flow for run in state.runs if not run.over))
    return {"due_us": ends_us(state), "unproven": is_unproven(state), "open": opened}


def packed(state: SessionState) -> bytes:
    """The bytes of a session: for its size, to hold and to write."""
    return wire.pack(state.model_dump())


def apply(state: SessionState, event: s.Event, at_us: int) -> SessionState:
    """The session after one event of a transition; version and head stay as they are."""
    match event:
        case s.SessionStarted():
            return _with(state, started_us=at_us)
        case s.RunRefused() if run_of(state, event.run):
            return state  # it was to start over
        case s.RunStarted() | s.RunRefused():
            return _with(state, runs=(*state.runs, begin(event, at_us)), began=(*state.began, event.run)[-REMEMBERED_RUNS:])
        case s.StageGuarded():
            return _with(state, obligations=_added(state.obligations, obligation(event.binding, event.subject)))
        case s.CounterSet():
            others = {name: value for name, value in state.counters.items() if name != event.name}
            return _with(state, counters={**others, event.name: event.value} if event.value else others)
        case s.LoggedIn() | s.LoggedOut() | s.SessionRotated() | s.SessionEnded():
            return _apply_privilege(state, event, at_us)
        case (
            s.RunReplanned() | s.StageSkipped() | s.StageChallenged() | s.AnswerRefused() | s.StagePassed() | s.RunDenied()
            | s.RunFinished() | s.RunCancelled()
        ):  # fmt: skip
            return _with(state, runs=tuple(evolve_run(r, event) if r.run == event.run else r for r in state.runs))
        case _:
            assert_never(event)


def _apply_privilege(state: SessionState, event: s.LoggedIn | s.LoggedOut | s.SessionRotated | s.SessionEnded, at_us: int) -> SessionState:
    match event:
        case s.LoggedIn():
            return _with(state, login=event.login, logged_out="")
        case s.SessionRotated():
            return _with(state, rotation=state.rotation + 1, rotated_us=(*state.rotated_us, at_us)[-REMEMBERED_ROTATIONS:])
        case s.LoggedOut():
            runs = tuple(left(r) if r.run == event.run else r for r in state.runs)
            return _with(state, login=None, logged_out=event.run, runs=runs)
        case s.SessionEnded():
            return _with(state, ended=event.reason)
        case _:
            assert_never(event)


def obligation(binding: str, subject: str) -> str:
    """What a guard's "yes" leaves behind: this binding has to run for this subject (architecture §4.9).

    A subject may be what somebody typed: it stands here as its hash, so that it fits in whatever its length.
    """
    return f"{binding}:{_mark(subject)}"


def obliged(obligations: Iterable[str], subject: str) -> tuple[str, ...]:
    """The bindings that have to run for this subject."""
    suffix = f":{_mark(subject)}"
    return tuple(known.removesuffix(suffix) for known in obligations if known.endswith(suffix))


def run_named(state: SessionState, step: StepRequested) -> RunState | None:
    """The run of this session and flow that a step is about, open or recently over (architecture §3): whose transition it
    shows, which it names, or, through the API without a name, the last that the API began."""
    name = step.shown.run if step.shown else step.named
    if name or step.page or not step.api:
        return next((r for r in state.runs if (r.run, r.flow) == (name, step.flow)), None)
    return next((r for r in reversed(state.runs) if r.api and r.flow == step.flow), None)


def stage_met(state: SessionState, step: StepRequested) -> str:
    """The type of the stage that a step meets; "" if no run is open."""
    run = run_named(state, step)
    return run.stages[0].type if run and run.stages else ""


def surplus_runs(state: SessionState) -> list[RunState]:
    """The open runs above eight, those that were left alone longest."""
    open_ = sorted((r for r in state.runs if not r.over), key=lambda run: run.version or state.version + 1)
    return open_[: max(0, len(open_) - OPEN_RUNS)]


def run_of(state: SessionState, run: str) -> RunState | None:
    """The run with this id, open or recently over."""
    return next((r for r in state.runs if r.run == run), None)


def too_large(state: SessionState, size: int) -> bool:
    """Whether a session of so many bytes has outgrown what is held and written of one: 64 KiB beside what its runs know of their pending users.

    That is bounded by the directory (8 KiB of attributes). If it counted, the number of pages that a session takes would tell an account with
    many attributes from a name that nobody has.
    """
    if size <= MAX_BYTES:
        return False
    return size - sum(len(wire.pack(run.pending_user.model_dump())) for run in state.runs if run.pending_user) > MAX_BYTES


def superseded_us(state: SessionState, rotation: int) -> int:
    """When the cookie of this rotation was superseded, by the next one; 0 if that is longer ago than is remembered.

    Later rotations give it no new time, or whoever rotates every 25 s would keep the holder of an old cookie out for ever.
    """
    behind = max(1, state.rotation - rotation)
    return state.rotated_us[-behind] if behind <= len(state.rotated_us) else 0


def _forget_old_ends(runs: tuple[RunState, ...]) -> tuple[RunState, ...]:
    """Without the ends that are oldest. One of this very transition is shown yet, unless its run was given up on the side."""
    over = sorted((r for r in runs if r.over), key=lambda run: (run.version, run.over != "cancelled"))
    forgotten = {r.run for r in over[:-REMEMBERED_ENDS]}
    return tuple(r for r in runs if r.run not in forgotten)


def _mark(subject: str) -> str:
    return hashlib.sha256(subject.encode()).hexdigest()[:32]


def _added(known: tuple[str, ...], new: str) -> tuple[str, ...]:
    return known if new in known else (*known, new)


def _with(state: S, **changes: Any) -> S:
    return state.model_copy(update=changes)
