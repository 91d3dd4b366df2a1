"""A step is decided: which run it is for, whether it is new, old or foreign, and what it is handed on to (architecture §3).

Pure but for the effects: state in, decision or reply out. The log's side of it is `step.py`; a repeated one is told in
`repeats.py` before.
"""

from typing import Final

from services.executor.sessions.answered import SAME_REPLY
from services.executor.sessions.closing import shown_or_written
from services.executor.sessions.cursor import Cursor, Reading
from services.executor.sessions.decision import Current, Decided, Decision, Handled, StateBehind, Stopped
from services.executor.sessions.ends import AUTHENTICATION, finish
from services.executor.sessions.lifetime import expired
from services.executor.sessions.session import MAX_TRANSITIONS, run_named, run_of, superseded_us
from shared.contracts import sessions as s
from shared.contracts.asks import GetUser
from shared.contracts.people import Visitor
from shared.contracts.states import RunState, SessionState
from shared.contracts.steps import Page, StepRequested, challenge_digest

RETIRED: Final = "retired"
"""Why a run was cancelled whose definitions the catalog took back."""


def precheck(state: SessionState, step: StepRequested, now_us: int, *, begins: bool, caught_up: bool) -> Handled | None:
    """What can be said without a decision; None if there is something to decide. `StateBehind` unless `caught_up`.

    `begins`: a session that is not known may begin with this step; it is not one that ended long ago.
    """
    newer = step.rotation > state.rotation or (step.shown is not None and step.shown.version > state.version)
    if newer and not caught_up:
        raise StateBehind
    if not state.version and not newer:
        # Nobody has answered anything in it: to begin it takes a young cookie, to look needs none (architecture §3).
        return None if begins or step.kind != "answer" else Stopped("refused", "session_over", session_over=True)
    if not state.version or state.ended or expired(state, now_us):
        return Stopped("refused", "session_over", session_over=True)
    if step.rotation != state.rotation:
        recent = now_us - superseded_us(state, step.rotation) <= SAME_REPLY
        return Stopped("superseded", "rotation", session_over=not recent)
    if state.transitions >= MAX_TRANSITIONS - 2:
        return Stopped("refused", "session_full", session_over=True)
    return None


async def handle(decision: Decision, cursor: Cursor, read: Reading, *, begins: bool = True) -> Handled:
    """Decide a start, an answer or a cancel; `read` reads the visitor's answer, if there is one. `begins`: see `precheck`."""
    step, state = decision.step, decision.state
    match step.kind:
        case "cancel":
            handled = _cancel(decision)
        case "start":
            handled = await _start(decision, cursor)
        case "answer" if step.page:
            handled = await _first_answer(decision, cursor, step.page, read)
        case "answer":
            handled = await _answer(decision, cursor, read)
        case "state":
            run = run_named(state, step)
            return Current(run.run if run else None)
        case other:
            return Stopped("refused", f"no_{other}_here")
    if isinstance(handled, Decided) and not state.version and not begins:
        return Stopped("refused", "session_over", session_over=True)
    return handled


def _cancel(decision: Decision) -> Handled:
    open_runs = [r for r in decision.state.runs if not r.over]
    decision.record(*(s.RunCancelled(run=r.run, reason="cancelled") for r in open_runs))
    return Decided(decision) if open_runs else Current(None)


async def _start(decision: Decision, cursor: Cursor) -> Handled:
    run = _continued(decision, cursor)
    if decision.events:
        return Decided(decision, goes_on=True)
    if run is None:
        return await _begun(decision, cursor)
    if _is_there(decision, run):
        return _finished(decision, run)
    decision.run = run.run
    if run.view is None or run.view.kind == "error":
        # The stage failed before: a reload tries it again.
        await cursor.reach(decision)
        return Decided(decision)
    return Current(run.run)


async def _first_answer(decision: Decision, cursor: Cursor, page: Page, read: Reading) -> Handled:
    """The answer to a page that belonged to no session: its run begins here, if it comes to the challenge that was answered."""
    state, step = decision.state, decision.step
    if page.run in state.began:
        run = run_of(state, page.run)
        if run and not run.over and _is_there(decision, run):
            return _finished(decision, run)
        return Current(run.run) if run and run.view else await _begun(decision, cursor)
    login = step.login.login if step.login else ""
    await _begin(decision, cursor, page, arrives=bool(login) and not page.login)
    run = decision.current
    if page.login in ("", login) and _is_same(run, page):
        await cursor.answer(decision, read)
    return shown_or_written(decision)


def _is_same(run: RunState, page: Page) -> bool:
    """Whether a start, decided again, has come to the challenge that the page shows."""
    if run.over or run.view is None or run.view.kind != "challenge":
        return False
    return (run.stages[0].binding, challenge_digest(run.view)) == (page.binding, page.challenge)


async def _answer(decision: Decision, cursor: Cursor, read: Reading) -> Handled:
    step, shown = decision.step, decision.step.shown
    addressed = run_named(decision.state, step) if shown else None
    older = addressed is not None and shown is not None and shown.transition != addressed.head and shown.version < addressed.version
    if addressed and older and addressed.view:
        # Shows what there is now, counts nothing. A cancelled run has none: its flow begins anew.
        return Current(addressed.run)
    run = _continued(decision, cursor)
    if decision.events:
        return Decided(decision, goes_on=True)
    deliver = shown is None or (addressed is not None and shown.transition == addressed.head)
    if run is None and not deliver:
        return await _begun(decision, cursor)
    if run is None:
        await _begin(decision, cursor)
    else:
        if _is_there(decision, run):
            return _finished(decision, run)
        decision.run = run.run
    run = decision.current
    if deliver and not run.over and run.view and run.view.kind == "challenge":
        await cursor.answer(decision, read)
    elif deliver and not run.over and run.view and run.view.kind == "error":
        await cursor.reach(decision)
        return Decided(decision)
    return shown_or_written(decision) if decision.events else Current(run.run)


def _continued(decision: Decision, cursor: Cursor) -> RunState | None:
    """The open run that the step goes on with. One planned for a login goes on only with that login (rule 13), and none
    from definitions that were taken back (architecture §4.11)."""
    step = decision.step
    run = run_named(decision.state, step)
    if run is None or run.over:
        return None
    if cursor.is_retired(run):
        decision.record(s.RunCancelled(run=run.run, reason=RETIRED))
        return None
    if run.login is None or (step.login and step.login.login == run.login):
        return run
    decision.record(s.RunCancelled(run=run.run, reason="login_over"))
    return None


def _is_there(decision: Decision, run: RunState) -> bool:
    """Whether a run that is to log nobody in particular in has a visitor who has logged in in another tab meanwhile. One that is
    about somebody else goes on: two people at two tabs are not each other."""
    login, mine = decision.state.login, decision.step.login
    logs_in = run.plan is not None and run.plan.flow.designation == AUTHENTICATION
    if not logs_in or run.login is not None or login is None or mine is None or login.login != mine.login:
        return False
    return run.pending_user is None or run.pending_user.uid == mine.uid


def _finished(decision: Decision, run: RunState) -> Handled:
    decision.run = run.run
    finish(decision)
    return Decided(decision)


async def _begun(decision: Decision, cursor: Cursor) -> Handled:
    """Show the first challenge of a run that nobody has answered yet."""
    await _begin(decision, cursor, arrives=_is_left_behind(decision))
    return shown_or_written(decision)


def _is_left_behind(decision: Decision) -> bool:
    """Whether the page is of a run of this session that was given up, came to its end, or is not held any more, and its visitor
    has logged in there meanwhile: what would log them in is at its end."""
    state, step = decision.state, decision.step
    if step.api or not (state.login and step.login and state.login.login == step.login.login):
        return False
    name = step.page.run if step.page else step.shown.run if step.shown else step.named
    run = run_of(state, name)
    return name in state.began and (run is None or (run.flow == step.flow and run.over in ("cancelled", "finished")))


async def _begin(decision: Decision, cursor: Cursor, page: Page | None = None, *, arrives: bool = False) -> None:
    step = decision.step
    if not decision.state.version:
        decision.record(s.SessionStarted())
    user = None
    if step.login:
        found = (await decision.do.ask(GetUser(user=step.login.user))).user
        user = found if found and found.is_active and found.epoch == step.login.epoch else None
    at = page or Page(
        run=step.run, login="", binding="", challenge="", at_us=decision.at_us, address=step.address, user_agent=step.user_agent
    )  # where and when the page was asked for that is answered here; else that is now
    visitor = Visitor(user=user, address=at.address, user_agent=at.user_agent, host=step.host, secure=step.secure)
    await cursor.start(decision, visitor, at.run, min(at.at_us, decision.at_us), arrives=arrives and user is not None)
