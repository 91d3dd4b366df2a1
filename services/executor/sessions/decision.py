"""One step being decided: the events so far, the session as they leave it, and what a step may come to."""

from dataclasses import dataclass, field

from services.executor.sessions.effects import NotingEffects
from services.executor.sessions.session import apply, run_of
from services.executor.sessions.starts import Replies
from shared.contracts import sessions as s
from shared.contracts.people import LoginClaims, Visitor
from shared.contracts.states import Answered, RunState, SessionState
from shared.contracts.steps import Outcome, Problems, StepRequested
from shared.flows.fields import Cleaned
from shared.flows.stage import Run
from shared.kernel.ids import derived_id


@dataclass(slots=True)
class Decision:
    """What a step has come to so far. Nothing of it counts before its transition is accepted.

    `mark` tells the visitor's body again (`effects.mark_of`); `accepted` are its secret fields that the stage took and passed with.
    `beginning`: a run is being started, `replies` are what planner and policy say or have said to that; `taken`: an answer was given
    to a stage, and not only its shape was looked at. `restarted`: the flow was planned anew in this step.
    """

    state: SessionState
    step: StepRequested
    do: NotingEffects
    at_us: int
    mark: str = ""
    events: list[s.Event] = field(default_factory=list)
    answer: Cleaned | Problems = field(default_factory=lambda: Cleaned({}, {}))
    accepted: tuple[str, ...] = ()
    run: str | None = None
    restarted: bool = False
    beginning: bool = False
    taken: bool = False
    replies: Replies = field(default_factory=dict)
    questions: int = 0

    def record(self, *events: s.Event) -> None:
        """Note events and see the session as they leave it."""
        for event in events:
            self.events.append(event)
            self.state = apply(self.state, event, self.at_us)

    def question(self, purpose: str) -> str:
        """The id of a question to planner or policy. Those that begin a run derive from it: what they draw by it is the same when
        the start is decided again with its answer."""
        if not self.beginning:
            return self.do.new_id(purpose)
        self.questions += 1
        return derived_id(self.do.secret_key, "start", self.state.session, self.run or "", self.questions, purpose)

    @property
    def current(self) -> RunState:
        """The run that this step is about."""
        found = run_of(self.state, self.run or "")
        if found is None:
            raise LookupError("the step has no run")
        return found

    @property
    def login(self) -> LoginClaims | None:
        """Who the browser is by now: whom it came as, unless a stage of this step has logged in or out."""
        for event in reversed(self.events):
            if isinstance(event, s.LoggedIn):
                return event.login
            if isinstance(event, s.LoggedOut):
                return None
        return self.step.login

    def seen_by_stage(self) -> Run:
        """The run as its current stage may see it."""
        run = self.current
        if run.plan is None:
            raise LookupError("the run is over")
        return Run(
            session=self.state.session, run=run.run, plan=run.plan, stage=run.stages[0], context=run.context, pending_user=run.pending_user,
            visitor=self._visitor(run), login=self.login, query=self.step.query, counters=self.state.counters, at_us=self.at_us,
            ahead=tuple(stage.type for stage in run.stages[1:]),
            version=self.state.version + 1, evidence=run.evidence, began_as=self._began_as(run),
        )  # fmt: skip

    def _began_as(self, run: RunState) -> LoginClaims | None:
        """The login that the run began with, if the browser still has it: a run that logged in began with none of that user's."""
        login, user = self.login, run.visitor.user
        return login if login and user and (login.login, login.user) == (run.login, user.pk) else None

    def _visitor(self, run: RunState) -> Visitor:
        # Who it is was settled when the run began; where the request comes from is this step's.
        here = {"address": self.step.address, "user_agent": self.step.user_agent, "host": self.step.host, "secure": self.step.secure}
        return run.visitor.model_copy(update=here)

    def transition(self) -> s.SessionAdvanced:
        """The transition that this step comes to."""
        return s.SessionAdvanced(
            session=self.state.session, command=self.step.command, kind=self.step.kind, at_us=self.at_us, given=self._given(),
            events=tuple(self.events), asks=tuple(self.do.asks), orders=tuple(self.do.orders),
        )  # fmt: skip

    def _given(self) -> s.Given:
        step, answer = self.step, self.answer
        return s.Given(
            flow=step.flow, run=step.run, named=step.named, shown=step.shown, page=step.page, api=step.api, query=step.query, outer_next=step.outer_next, host=step.host, address=step.address,
            user_agent=step.user_agent, secure=step.secure, login=step.login,
            clear=dict(answer.clear) if isinstance(answer, Cleaned) else {},
            secret=tuple(answer.secret) if isinstance(answer, Cleaned) else (),
            accepted=self.accepted, epoch=step.sealed.epoch if step.sealed and self.mark else "", mark=self.mark,
            problems={} if isinstance(answer, Cleaned) else {name: tuple(found) for name, found in answer.items()},
        )  # fmt: skip


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
    """A transition is to be written; `goes_on`: it says that a run is over, and the step is then handled as if there were none."""

    decision: Decision
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Unwritten:
    """What the step came to is shown, and nothing of it is written: a start that nobody has answered, an answer of the wrong shape."""

    decision: Decision


Handled = Again | Current | Stopped | Decided | Unwritten


class StateBehind(Exception):
    """The step knows a newer session than we do: read again before refusing it (architecture §4.6)."""
