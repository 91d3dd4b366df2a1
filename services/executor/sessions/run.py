"""One run, folded: which stage is current, what the visitor sees, how it ended.

```
          run.started ──▶ open ── stage.passed / stage.skipped ──▶ open (next stage)
                           │ ▲        run.replanned
                           │ └── stage.challenged, answer.refused
                           ├── run.finished ──▶ finished
                           ├── run.denied ────▶ denied
                           └── run.cancelled ─▶ cancelled
run.refused ──▶ open without a plan, then run.denied or run.finished in the same transition
```
"""

from typing import Any, assert_never

from shared.contracts import sessions as s
from shared.contracts.evidence import Evidence
from shared.contracts.people import UserFacts, Visitor
from shared.contracts.planner import Plan
from shared.contracts.states import RunState
from shared.contracts.steps import View
from shared.flows.evidence import KINDS

RunEvent = (
    s.RunStarted | s.RunRefused | s.RunReplanned | s.StageSkipped | s.StageGuarded | s.StageChallenged
    | s.AnswerRefused | s.StagePassed | s.RunDenied | s.RunFinished | s.RunCancelled
)  # fmt: skip


def begin(event: s.RunStarted | s.RunRefused, at_us: int) -> RunState:
    """A run as its first event makes it."""
    match event:
        case s.RunStarted():
            return RunState(
                run=event.run, flow=event.plan.flow.slug, plan=_without_stages(event.plan), visitor=event.visitor, context=event.context, pending_user=event.pending_user,
                login=event.login, stages=event.plan.stages, api=event.api, started_us=at_us,
            )  # fmt: skip
        case s.RunRefused():
            return RunState(run=event.run, flow=event.flow, plan=None, visitor=Visitor(), api=event.api, started_us=at_us)
        case _:
            assert_never(event)


def evolve_run(run: RunState, event: RunEvent) -> RunState:
    """The run after one more event."""
    match event:
        case s.RunStarted() | s.RunRefused() | s.StageGuarded():
            return run
        case s.RunReplanned():
            again = _with(run, plan=_without_stages(event.plan), stages=event.plan.stages, view=None, context=event.context)
            return _about(again, event.pending_user)
        case s.StageSkipped():
            return _with(run, stages=run.stages[1:])
        case s.StagePassed():
            context = {**run.context, **event.context}
            passed = _with(run, stages=event.inserted + run.stages[1:], view=None, context=context)
            passed = _about(passed, event.pending_user or run.pending_user)
            return _with(passed, evidence=_added(passed.evidence, event.evidence))
        case s.StageChallenged():
            return _with(run, view=event.view)
        case s.AnswerRefused():
            return _about(_with(run, context={**run.context, **event.context}), event.pending_user or run.pending_user)
        case s.RunDenied():
            return _over(run, "denied", event.view)
        case s.RunFinished():
            return _over(run, "finished", event.view)
        case s.RunCancelled():
            return _over(run, "cancelled", None)
        case _:
            assert_never(event)


def left(run: RunState) -> RunState:
    """The run that logged out, after that: nobody's. What it had learned of whom stays behind, so that no later stage
    can make anything of it (architecture §3)."""
    return _with(run, login=None, visitor=run.visitor.model_copy(update={"user": None}), context={}, pending_user=None, evidence=())


def _about(run: RunState, pending: UserFacts | None) -> RunState:
    """The run about this user. Evidence is for the pending user: it falls when that is somebody else, or is known anew
    (a new password in between), by whatever means (architecture §4.8)."""
    same = _account(pending) == _account(run.pending_user) is not None
    return _with(run, pending_user=pending, evidence=run.evidence if same else ())


def _account(user: UserFacts | None) -> tuple[Any, ...] | None:
    return (user.pk, user.uid, user.epoch) if user else None


def _added(known: tuple[Evidence, ...], new: Evidence) -> tuple[Evidence, ...]:
    """What authenticates, with one piece more if it does; of one binding the newest, so that no restart makes it longer."""
    return (*(one for one in known if one.binding != new.binding), new) if new.proves in KINDS else known


def _over(run: RunState, how: str, view: View | None) -> RunState:
    # What an ended run still needs is what it shows; plan and context would only fill the session's 64 KiB.
    return _with(run, over=how, view=view, plan=None, stages=(), context={}, pending_user=None, visitor=Visitor(), evidence=())


def _without_stages(plan: Plan) -> Plan:
    # The run's own stages are what is left of them; the whole plan stands in the transition that it was made in.
    return plan.model_copy(update={"stages": ()})


def _with(run: RunState, **changes: Any) -> RunState:
    return run.model_copy(update=changes)
