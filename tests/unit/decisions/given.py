"""What a session decides, as a sentence: `given(events).when(step).then(events)`, over the fold and the decision alone.

There is no worker, no log and no loop here: what a decision asks of the world is answered from memory, and one that waited for
anything would fail. Each transition that comes of it is decided once more from its own record, which has to give the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.executor.sessions.closing import close
from services.executor.sessions.cursor import Cursor
from services.executor.sessions.deciding import handle, precheck
from services.executor.sessions.decision import Again, Current, Decided, Decision, Handled, Stopped, Unwritten
from services.executor.sessions.effects import LiveEffects, Opened, opened
from services.executor.sessions.repeats import Repeats, repeated
from services.executor.sessions.replay import decided_again
from services.executor.sessions.session import evolve, new_session, run_of
from services.executor.sessions.settling import denial, over
from shared.contracts import sessions as s
from shared.contracts import wire
from shared.contracts.asks import Ask
from shared.contracts.envelope import Envelope
from shared.contracts.orders import OrderResult
from shared.contracts.states import Answered, RunState, SessionState
from shared.contracts.steps import Problems, StepRequested, View
from shared.flows.fields import Cleaned, Field, clean
from shared.kernel.ids import derived_id
from tests.unit.decisions.around import OPENER, Around, at_once
from tests.unit.decisions.words import NOW_US, SECOND, SESSION, Expected, Step
from tests.unit.executor.world import SECRET


@dataclass(frozen=True)
class Session:
    """A session, folded from the events that it was given."""

    state: SessionState
    around: Around
    last: s.SessionAdvanced | None = None

    @property
    def run(self) -> RunState:
        """Its last run."""
        return self.state.runs[-1]

    def when(self, step: Step) -> "Came":
        """What the step comes to."""
        asked = step(self.state)
        now_us = max(self.state.last_us, asked.received_us)
        before = len(self.around.directory.asked)
        handled = at_once(self._handled(asked, now_us))
        return Came(self, asked, handled, [ask for _, ask in self.around.directory.asked[before:]])

    def when_an_order_is_refused(self, reason: str) -> "Followed":
        """What follows if what the last transition ordered is not done."""
        assert self.last
        refused = [OrderResult(n=1, done=False, reason=reason)]
        return Followed(self, denial(self.state, self.last, refused, self.state.last_us))

    def when_it_is_ended(self, reason: str) -> "Followed":
        """What ends a session that nobody ends."""
        return Followed(self, over(self.state, reason, self.state.last_us + SECOND))

    async def _handled(self, step: StepRequested, now_us: int) -> Handled:
        given, opener = await opened(OPENER, step), self.around.opener

        async def body() -> Opened:
            return given

        again = await repeated(self.state, step, now_us, opener, body, Repeats())
        handled = Again(again) if again else precheck(self.state, step, now_us, begins=True, caught_up=True)
        return handled or await self._decided(step, now_us, given)

    async def _decided(self, step: StepRequested, now_us: int, sent: Opened) -> Handled:
        around = self.around
        do = LiveEffects(around.directory, SECRET, step.session, self.state.version + 1, step.command, now_us, step.devices)

        def read(fields: Mapping[str, Field]) -> Cleaned | Problems:
            cleaned = clean(fields, sent.body)
            if isinstance(cleaned, Cleaned):
                do.secrets = cleaned.secret
            return cleaned

        cursor = Cursor(around.types, around.planner, around.policy, around.retirements)
        handled = await handle(Decision(self.state, step, do, now_us, sent.mark), cursor, read)
        if isinstance(handled, Decided):
            close(handled.decision)
        return handled


@dataclass(frozen=True)
class Followed:
    """A transition that comes upon a session."""

    before: Session
    body: s.SessionAdvanced

    def then(self, *expected: str | Expected, orders: Sequence[str | Expected] = ()) -> Session:
        """These are its events and orders; the session after it, to which whoever reads the record comes as its owner does."""
        _compare([(one.event, one.model_dump()) for one in self.body.events], expected)
        _compare([(one.kind, one.model_dump()) for one in self.body.orders], orders)
        state, envelope = self.before.state, _envelope(self.before.state, self.body)
        own = evolve(state, envelope, self.body)
        read = s.SessionAdvanced.model_validate(wire.unpack(wire.pack(self.body.model_dump()), 2**20))
        assert wire.pack(evolve(state, envelope, read).model_dump()) == wire.pack(own.model_dump())
        return Session(own, self.before.around, self.body)


@dataclass(frozen=True)
class Came:
    """What a step came to, to be told by `then` and its like."""

    before: Session
    step: StepRequested
    handled: Handled
    asked: list[Ask[Any]]

    def then(self, *expected: str | Expected, orders: Sequence[str | Expected] = ()) -> Session:
        """These events were decided, no others, and these orders; the session after them."""
        assert isinstance(self.handled, Decided), self.handled
        body = self.handled.decision.transition()
        again = at_once(decided_again(self.before.state, body, self.before.around.types, SECRET))
        assert wire.pack(again.model_dump()) == wire.pack(body.model_dump())
        return Followed(self.before, body).then(*expected, orders=orders)

    def offers(self, *expected: str | Expected) -> View:
        """These events would come, and nothing of them is written; what is shown."""
        assert isinstance(self.handled, Unwritten), self.handled
        _compare([(one.event, one.model_dump()) for one in self.handled.decision.events], expected)
        view = self.handled.decision.current.view
        assert view
        return view

    def shows_again(self) -> View | None:
        """Nothing comes of it: what the run shows is shown again."""
        assert isinstance(self.handled, Current), self.handled
        run = run_of(self.before.state, self.handled.run or "")
        return run.view if run else None

    def repeats(self) -> Answered:
        """It was sent before, and gets the reply to that."""
        assert isinstance(self.handled, Again), self.handled
        return self.handled.before

    def stops(self, outcome: str, reason: str, *, session_over: bool) -> None:
        """The step is not taken."""
        assert self.handled == Stopped(outcome, reason, session_over)  # type: ignore[arg-type]


def given(*events: s.Event, around: Around | None = None) -> Session:
    """A session to which this has happened."""
    state = new_session(SESSION)
    if events:
        body = s.SessionAdvanced(session=SESSION, command="command-0", kind="answer", at_us=NOW_US, events=events)
        state = evolve(state, _envelope(state, body), body)
    return Session(state, around or Around())


def _envelope(state: SessionState, body: s.SessionAdvanced) -> Envelope:
    ident = derived_id(SECRET, body.session, state.version + 1, body.command)
    return Envelope(ident, body.wire_type, body.wire_version, "test", body.session, body.at_us, state.version + 1, state.head or None)


def _compare(came: Sequence[tuple[str, Mapping[str, Any]]], expected: Sequence[str | Expected]) -> None:
    assert [name for name, _ in came] == [one if isinstance(one, str) else one.name for one in expected]
    for (name, fields), wanted in zip(came, expected, strict=True):
        if isinstance(wanted, Expected):
            assert _like(fields, wanted.fields) == dict(wanted.fields), name


def _like(value: Any, wanted: Any) -> Any:
    """As much of a value as is wanted, so that a comparison shows what differs."""
    if isinstance(value, Mapping) and isinstance(wanted, Mapping):
        return {name: _like(value.get(name), inner) for name, inner in wanted.items()}
    return value
