"""What a stage comes to, held to what its type may prove, order and log in (architecture §4.8): a careless type lets in nobody."""

from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

from services.executor.sessions.decision import Decision
from shared.contracts import sessions as s
from shared.contracts.evidence import Evidence
from shared.contracts.orders import LogIn
from shared.flows.evidence import Unfounded
from shared.flows.stage import Challenge, Denied, Passed, Refused, Run, Stage, StageFailed, denied_for

Came = TypeVar("Came", Challenge | Passed | Denied, Passed | Refused | Denied)


async def came_of(decision: Decision, type_: Stage[Any], doing: Awaitable[Came]) -> Came | Denied:
    """What a stage comes to. One that orders without the grounds for it is denied; one that fails orders nothing (architecture §4.8)."""
    before = len(decision.do.orders)
    try:
        came = await doing
    except Unfounded as unfounded:
        del decision.do.orders[before:]
        return denied_for(unfounded.lack)
    except StageFailed:
        del decision.do.orders[before:]
        raise
    if isinstance(came, Passed) and came.proof and came.proof.kind not in type_.proves:
        raise TypeError(f"{type_.name} does not say that it proves {came.proof.kind}")
    ordered = [order.login for order in decision.do.orders[before:] if isinstance(order, LogIn)]
    if isinstance(came, Passed) and came.login and came.login not in ordered:
        raise TypeError(f"{type_.name} logs in and orders no such login")
    return came


def _evidence(decision: Decision, binding: str, passed: Passed) -> Evidence:
    """The evidence of a stage that passed: what it says, bound to where and when it was shown."""
    proof, state = passed.proof, decision.state
    return Evidence(
        session=state.session, run=decision.current.run, binding=binding, version=state.version + 1,
        subject=proof.user.uid if proof else passed.subject, method=passed.method, at_us=decision.at_us,
        proves=proof.kind if proof else "", user=proof.user.pk if proof else None, epoch=proof.user.epoch if proof else 0,
    )  # fmt: skip


def passed(decision: Decision, came: Passed) -> None:
    """The current stage has passed: what it proved and learned, and whom it logged in or out."""
    run = decision.current
    binding = run.stages[0].binding
    evidence = _evidence(decision, binding, came)
    count(decision, came.counters)
    decision.record(
        s.StagePassed(
            run=run.run, binding=binding, evidence=evidence, context=dict(came.context), pending_user=came.pending_user,
            inserted=came.inserted,
        )
    )  # fmt: skip
    had = decision.login.login if decision.login else None
    if came.login:
        decision.record(s.LoggedIn(login=came.login, replaced=had))
    if came.logged_out and had:
        decision.record(s.LoggedOut(login=had, run=run.run))


def came_to_more(came: Refused | Denied, run: Run) -> bool:
    """Whether an answer whose fields were not in order came to more than being asked again."""
    return (
        isinstance(came, Denied) or bool(came.counters or came.context or came.pending_user) or run.stage.invalid_response_action != "retry"
    )


def count(decision: Decision, counters: Mapping[str, int]) -> None:
    """What a stage counts, it counts for the session."""
    decision.record(*(s.CounterSet(name=name, value=value) for name, value in counters.items()))
