"""When a session rotates: with a secret, a proof, a log-in, a log-out, once a transition, and for nothing else."""

import pytest

from services.executor.sessions.closing import rotates
from services.executor.sessions.decision import Decision
from services.executor.sessions.effects import LiveEffects
from services.executor.sessions.session import new_session
from shared.contracts.sessions import Event, LoggedIn, LoggedOut, StagePassed
from shared.contracts.steps import StepRequested
from tests.unit.executor.test_evidence import evidence
from tests.unit.executor.world import ALICE, SECRET, FakeDirectory, World
from tests.unit.flows.stories import LOGIN


def why(*events: Event, accepted: tuple[str, ...] = ()) -> str | None:
    world = World()
    step: StepRequested = world.browser().compose("answer", "login", {})
    do = LiveEffects(FakeDirectory(), SECRET, step.session, 1, "command", 1)
    return rotates(Decision(new_session(step.session), step, do, 1, events=list(events), accepted=accepted))


def passed(proves: str) -> StagePassed:
    return StagePassed(run="r", binding="b", evidence=evidence(ALICE, proves))


@pytest.mark.parametrize("kind", ["password", "device", "address", "source", "certificate", "creation", "setup_secret"])
def test_a_proof_without_a_secret_rotates(kind: str) -> None:
    assert why(passed(kind)) == "evidence"
    assert why(passed(kind), passed("")) == "evidence"


def test_what_proves_nothing_does_not() -> None:
    assert why() is None
    assert why(passed("")) is None
    assert why(passed("unknown")) is None


def test_one_reason_is_told_and_a_log_in_goes_first() -> None:
    assert why(passed("password"), accepted=("password",)) == "secret"
    assert why(passed("password"), LoggedIn(login=LOGIN), accepted=("password",)) == "login"
    assert why(LoggedOut(login="x"), passed("source")) == "logout"
