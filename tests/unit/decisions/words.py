"""The words of a sentence about a session: what has happened, and what a visitor sends."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.contracts import sessions as s
from shared.contracts.evidence import Evidence
from shared.contracts.people import LoginClaims, UserFacts, Visitor
from shared.contracts.planner import Plan, PlannedStage
from shared.contracts.states import SessionState
from shared.contracts.steps import Shown, StepRequested, View
from tests.unit.executor.world import ALICE, BRAND, flow, stage

SESSION: Final = "03.AAAAAAAAAAAAAAAAAAAAAA"
RUN: Final = "run-1"
FIRST: Final = stage("dummy").model_copy(update={"binding": "b-first"})
NOW_US: Final = 1_700_000_000_000_000
SECOND: Final = 1_000_000


# --- events, as a test writes them ---


def run_started(*stages: PlannedStage, slug: str = "login", run: str = RUN, user: UserFacts | None = None, **changes: Any) -> s.RunStarted:
    """A run of these stages, begun by the API; by `user`, with the login of `LOGIN`, or by nobody."""
    facts, links = flow(slug, designation=changes.pop("designation", "authentication")), changes.pop("links", {})
    plan = Plan(flow=facts, definition="h", brand=changes.pop("brand", BRAND), stages=stages, links=links)
    return s.RunStarted(
        run=run,
        plan=plan,
        visitor=Visitor(user=user, address="192.0.2.1"),
        login=LOGIN.login if user else None,
        api=True,
        asked_us=NOW_US,
        **changes,
    )


def challenged(stage: PlannedStage, run: str = RUN, kind: str = "challenge") -> s.StageChallenged:
    """The visitor was asked by this stage; `kind` "error": it could not do its work."""
    view = View.model_validate({"kind": kind, "flow": flow("login").model_dump(), "title": "", "component": f"ak-stage-{stage.type}"})
    return s.StageChallenged(run=run, binding=stage.binding, view=view)


def passed(
    stage: PlannedStage, proves: str = "", user: UserFacts = ALICE, run: str = RUN, pending_user: UserFacts | None = None, **context: Any
) -> s.StagePassed:
    """A stage was passed; with `proves` it authenticated the user."""
    evidence = Evidence.model_validate(
        {
            "session": SESSION, "run": run, "binding": stage.binding, "version": 1, "subject": user.uid or "anonymous", "method": proves or stage.type,
            "at_us": NOW_US, "proves": proves, "user": user.pk if proves else None, "epoch": user.epoch if proves else 0,
        }
    )  # fmt: skip
    return s.StagePassed(run=run, binding=stage.binding, evidence=evidence, pending_user=pending_user, context=context)


def run_before(stage_: PlannedStage, *proofs: s.StagePassed, **changes: Any) -> tuple[s.Event, ...]:
    """A run that comes to this stage with the answer to the one before, which takes any. `proofs` were passed before that; `more` stages follow."""
    return run_at(FIRST, *proofs, **{**changes, "more": (stage_, *changes.get("more", ()))})


def run_at(stage_: PlannedStage, *proofs: s.StagePassed, **changes: Any) -> tuple[s.Event, ...]:
    """A run whose visitor is asked by this stage; `more` stages follow."""
    behind = tuple(stage(proof.evidence.method).model_copy(update={"binding": proof.binding}) for proof in proofs)
    more = changes.pop("more", ())
    login = (s.LoggedIn(login=LOGIN),) if changes.get("user") else ()
    rotated = (s.SessionRotated(why="evidence"),) if login or any(proof.evidence.proves for proof in proofs) else ()
    return (s.SessionStarted(), *login, run_started(*behind, stage_, *more, **changes), *proofs, challenged(stage_), *rotated)


LOGIN: Final = LoginClaims(
    login="login-0",
    user=7,
    uid=ALICE.uid,
    username="alice",
    methods=("password",),
    at_us=NOW_US - SECOND,
    expires_us=None,
    persistent=False,
    epoch=0,
)
"""Of Alice, from before."""


# --- steps, as a test writes them: each made for the session as it is ---

Step = Callable[[SessionState], StepRequested]


def start(slug: str = "login", **changes: Any) -> Step:
    """The visitor opens a flow."""
    return lambda state: _step(state, "start", slug, **changes)


def answer(slug: str = "login", *, body: Mapping[str, Any] | None = None, **changes: Any) -> Step:
    """The visitor answers what their run of this flow shows; `body` is what they send."""

    def made(state: SessionState) -> StepRequested:
        run = next((run for run in reversed(state.runs) if run.flow == slug), None)
        seen = Shown(run=run.run, transition=run.head, version=run.version) if run else None
        return _step(state, "answer", slug, **{"shown": seen, "sealed": {"epoch": "e", "box": json.dumps(body or {}).encode()}, **changes})

    return made


def cancel(**changes: Any) -> Step:
    """The visitor gives everything up."""
    return lambda state: _step(state, "cancel", "login", **changes)


def _step(state: SessionState, kind: str, slug: str, **changes: Any) -> StepRequested:
    now = changes.pop("at_us", max(state.last_us, NOW_US) + SECOND)
    seen = changes.pop("shown", None)
    return StepRequested.model_validate(
        {
            "command": f"command-{state.version + 1}", "kind": kind, "session": state.session, "made_us": NOW_US, "rotation": state.rotation, "flow": slug,
            "run": f"run-{len(state.began) + 1}", "api": True, "login": state.login and state.login.model_dump(), "received_us": now,
            "shown": seen and seen.model_dump(), "deadline_us": now + 15 * SECOND, "reply_partition": 0, "edge": "edge", "address": "192.0.2.1", **changes,
        }
    )  # fmt: skip


# --- events, as a test expects them ---


@dataclass(frozen=True)
class Expected:
    """An event, or an order, of this name that has these values, and may have others."""

    name: str
    fields: Mapping[str, Any]


def event(name: str, /, **fields: Any) -> Expected:
    """What an expected event has to hold; of values that are models or mappings only what is named."""
    return Expected(name, fields)


order = event
"""The same of an expected order."""
