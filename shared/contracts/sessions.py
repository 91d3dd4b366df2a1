"""`executor.sessions`: the audited history of sessions. Owned by executor.

One transition is one record and complete in itself: what a step saw, decided and ordered. Its place is in the
envelope: `subject_version` is its version, `parent` the transition that it was decided on (architecture §4.2-4.3).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts.asks import Asked
from shared.contracts.codec import Codec
from shared.contracts.evidence import Evidence
from shared.contracts.model import Contract, Count, Micros, Plain, Query, ShortText, Value
from shared.contracts.orders import Order
from shared.contracts.people import LoginClaims, UserFacts, Visitor
from shared.contracts.planner import Plan, PlannedStage, PlanRefused
from shared.contracts.policy import VerdictReached
from shared.contracts.steps import Page, Problems, Shown, View


class SessionStarted(Value):
    """A browser's session begins."""

    event: Literal["session.started"] = "session.started"


class RunStarted(Value):
    """A flow begins: the plan is pinned here. `visitor` came from where they were when they asked for its first page, at `asked_us`."""

    event: Literal["run.started"] = "run.started"
    run: ShortText
    plan: Plan
    visitor: Visitor
    pending_user: UserFacts | None = None
    context: Plain = {}
    login: ShortText | None = None
    query: Query = ""
    api: bool = False
    asked_us: Micros = 0
    verdicts: tuple[VerdictReached, ...] = ()


class RunRefused(Value):
    """The planner had no plan for this visitor: the run is over as it begins."""

    event: Literal["run.refused"] = "run.refused"
    run: ShortText
    flow: ShortText
    api: bool = False
    refusal: PlanRefused


class RunReplanned(Value):
    """The flow starts over within the same run (`invalid_response_action`), with this context and about this user, or nobody."""

    event: Literal["run.replanned"] = "run.replanned"
    run: ShortText
    plan: Plan
    context: Plain = {}
    pending_user: UserFacts | None = None
    verdicts: tuple[VerdictReached, ...] = ()


class StageSkipped(Value):
    """A guard said no: this stage does not run."""

    event: Literal["stage.skipped"] = "stage.skipped"
    run: ShortText
    binding: ShortText
    verdict: VerdictReached


class StageGuarded(Value):
    """A guard said that this stage has to run for this subject: no restart drops it any more.

    `verdict` is what it said when the stage was reached. One that is asked while planning only has said it then: `planned`
    is the request of that verdict, which came with the run's plan.
    """

    event: Literal["stage.guarded"] = "stage.guarded"
    run: ShortText
    binding: ShortText
    subject: ShortText
    verdict: VerdictReached | None = None
    planned: ShortText = ""


class StageChallenged(Value):
    """The visitor is asked."""

    event: Literal["stage.challenged"] = "stage.challenged"
    run: ShortText
    binding: ShortText
    view: View


class AnswerRefused(Value):
    """The answer was not good enough; `context` is merged into the run's: what was typed may matter
    to a restart that keeps it. `pending_user`: the run is about them from now on, None: about whom it was."""

    event: Literal["answer.refused"] = "answer.refused"
    run: ShortText
    binding: ShortText
    errors: Problems
    context: Plain = {}
    pending_user: UserFacts | None = None


class StagePassed(Value):
    """A stage is done, with evidence; `context` is merged into the run's, `inserted` come next. `pending_user`: the run is about
    them from now on, as they are known now; None: about whom it was."""

    event: Literal["stage.passed"] = "stage.passed"
    run: ShortText
    binding: ShortText
    evidence: Evidence
    context: Plain = {}
    pending_user: UserFacts | None = None
    inserted: tuple[PlannedStage, ...] = ()


class RunDenied(Value):
    """The run ends without success; the visitor sees `view`."""

    event: Literal["run.denied"] = "run.denied"
    run: ShortText
    reason: ShortText
    view: View


class RunFinished(Value):
    """All stages passed or were skipped: the browser goes to `view.to`."""

    event: Literal["run.finished"] = "run.finished"
    run: ShortText
    view: View


class RunCancelled(Value):
    """The visitor gave the run up, or it grew too old."""

    event: Literal["run.cancelled"] = "run.cancelled"
    run: ShortText
    reason: ShortText


class CounterSet(Value):
    """A counter of the session, which outlives its runs, has this value now; 0 clears it."""

    event: Literal["session.counted"] = "session.counted"
    name: ShortText
    value: Count


class SessionRotated(Value):
    """The rotation rises, once a transition: every older cookie of the session is void, and the new one goes to who sent this
    step. `why`: somebody logged in or out, a secret field was accepted, or authenticating evidence was recorded."""

    event: Literal["session.rotated"] = "session.rotated"
    why: Literal["login", "logout", "secret", "evidence"]


class LoggedIn(Value):
    """The browser is somebody now, and the login that it had before ends."""

    event: Literal["session.logged_in"] = "session.logged_in"
    login: LoginClaims
    replaced: ShortText | None = None


class LoggedOut(Value):
    """The browser is nobody any more. `run` is the one that logged out: it goes on as nobody's, without
    its context, and the session ends with it. "" for a login that was begun and refused: no run goes on."""

    event: Literal["session.logged_out"] = "session.logged_out"
    login: ShortText
    run: ShortText = ""


class SessionEnded(Value):
    """The session takes no further step."""

    event: Literal["session.ended"] = "session.ended"
    reason: ShortText


Event = Annotated[
    SessionStarted | RunStarted | RunRefused | RunReplanned | StageSkipped | StageGuarded | StageChallenged | AnswerRefused
    | StagePassed | RunDenied | RunFinished | RunCancelled | CounterSet | SessionRotated | LoggedIn | LoggedOut
    | SessionEnded,
    Field(discriminator="event"),
]  # fmt: skip


class Given(Value):
    """What a step came with, as far as it may be kept: enough to decide it again. Of the visitor's body, `clear` are the
    fields that the stage type declares clear, `secret` names the secret ones that were sent, `accepted` those of them that the
    stage took and passed with, `problems` what was wrong. `mark` is a MAC of the body and of what it was sent to, under a key
    that goes with the epoch key `epoch`, by which the same body is known again for as long as that key is there."""

    flow: ShortText = ""
    run: ShortText = ""
    named: ShortText = ""
    shown: Shown | None = None
    page: Page | None = None
    api: bool = False
    query: Query = ""
    outer_next: Query | None = None
    host: ShortText = ""
    address: ShortText = ""
    user_agent: ShortText = ""
    secure: bool = False
    login: LoginClaims | None = None
    clear: Plain = {}
    secret: tuple[ShortText, ...] = ()
    accepted: tuple[ShortText, ...] = ()
    epoch: ShortText = ""
    mark: ShortText = ""
    problems: Problems = {}


class SessionAdvanced(Contract):
    """One accepted step of a session. `asks` are what it asked, with their results: fed back, the decision comes out the same.
    `orders` are carried out once this transition is accepted, each under (session, version, its place from 1)."""

    wire_type: ClassVar[str] = "executor.session.advanced"
    session: ShortText
    command: ShortText
    kind: ShortText
    at_us: Micros
    given: Given = Given()
    events: tuple[Event, ...]
    asks: tuple[Asked, ...] = ()
    orders: tuple[Order, ...] = ()


CODEC = Codec((SessionAdvanced,))
