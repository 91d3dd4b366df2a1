"""What once was written is read for ever: each golden history folds, is decided again and told as on the day when it was recorded."""

from dataclasses import dataclass
from typing import Any, get_args

import pytest

from services.catalog.application.applying import shipped_files
from services.executor.sessions.replay import decided_again
from services.executor.sessions.session import evolve, new_session
from services.executor.sessions.transition import written
from shared.contracts import sessions as s
from shared.contracts import topics, wire
from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.envelope import Envelope
from shared.contracts.messages import MESSAGES, codec_of
from shared.contracts.states import SessionState
from shared.flows.registry import registry
from tests.contract.histories import golden
from tests.contract.histories.recording import recorded
from tests.contract.histories.scenarios import SCENARIOS
from tests.unit.executor.world import SECRET

NAMES = golden.names()
OF_NO_VISITOR = ("expire", "order_refused")
"""Transitions that are not decided from a step: a session's end by age, and what follows an order that was refused."""
HOW = "write them: python -m tests.contract.histories; or, if what they say is meant to change and no release ever had it, --replace NAME"


@dataclass(frozen=True)
class Kept:
    """A record of a history, read, and its bytes: as they are, or, of an older version, as they would be today."""

    envelope: Envelope
    body: Any
    value: bytes


def kept(name: str, topic: str) -> list[Kept]:
    found = []
    for record in golden.load(name):
        if record.topic == topic and record.value is not None:
            read = codec_of(MESSAGES[topic][0]).decode(record)
            current = read.envelope.version == read.body.wire_version
            found.append(Kept(read.envelope, read.body, record.value if current else wire.pack(read.body.model_dump())))
    return found


def steps_of(name: str) -> list[Kept]:
    return kept(name, topics.SESSIONS)


def states_of(name: str) -> dict[str, Kept]:
    return {state.body.session: state for state in kept(name, topics.STATE)}


def everything() -> list[s.SessionAdvanced]:
    return [step.body for name in NAMES for step in steps_of(name)]


def test_every_scenario_has_its_history_and_no_history_is_nobodys() -> None:
    assert set(SCENARIOS) == set(NAMES), HOW


@pytest.mark.parametrize("name", NAMES)
def test_it_folds_to_the_state_that_was_written(name: str) -> None:
    accepted, held = AcceptedTransitions(), dict[str, SessionState]()
    for step in steps_of(name):
        assert accepted.accepts(step.envelope)
        before = held.get(step.body.session, new_session(step.body.session))
        held[step.body.session] = evolve(before, step.envelope, step.body)
    assert {session: wire.pack(state.model_dump()) for session, state in held.items()} == {
        session: state.value for session, state in states_of(name).items()
    }, HOW


@pytest.mark.parametrize("name", NAMES)
async def test_it_is_decided_again_to_the_same_bytes_and_under_the_same_ids(name: str) -> None:
    held: dict[str, SessionState] = {}
    for step in steps_of(name):
        before = held.get(step.body.session, new_session(step.body.session))
        if step.body.kind not in OF_NO_VISITOR:
            again = await decided_again(before, step.body, registry(), SECRET)
            # The part of a step that says that its run is over goes by a command of its own.
            again = again.model_copy(update={"command": step.body.command})
            assert wire.pack(again.model_dump()) == step.value, HOW
        assert written(SECRET, before, step.body).envelope == step.envelope
        held[step.body.session] = evolve(before, step.envelope, step.body)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_told_in_the_same_words(name: str) -> None:
    assert golden.told(golden.load(name)) == (golden.FOLDER / f"{name}.txt").read_text(), HOW


async def test_nothing_in_a_recording_is_left_to_chance() -> None:
    first, second = await recorded("pages_of_two_tabs"), await recorded("pages_of_two_tabs")
    assert first == second


def test_every_shipped_flow_every_stage_type_and_every_event_is_in_one() -> None:
    found = everything()
    events = [event for body in found for event in body.events]
    plans = [event.plan for event in events if isinstance(event, s.RunStarted)]
    shipped = b"".join(file.raw for file in shipped_files()).decode()
    slugs = {plan.flow.slug for plan in plans}
    assert {
        slug for line in shipped.splitlines() if (slug := line.strip().removeprefix("slug: ")) and line.strip().startswith("slug: ")
    } <= slugs
    assert {stage.type for plan in plans for stage in plan.stages} == set(registry().stages)
    assert {event.event for event in events} == {kind.model_fields["event"].default for kind in get_args(get_args(s.Event)[0])}


def test_every_end_of_a_run_and_of_a_session_is_in_one() -> None:
    ended = {run.over for name in NAMES for state in states_of(name).values() for run in state.body.runs}
    assert ended >= {"", "finished", "denied", "cancelled"}
    reasons = {event.reason for body in everything() for event in body.events if isinstance(event, s.RunCancelled | s.SessionEnded)}
    assert reasons >= {"cancelled", "login_over", "retired", "logged_out", "too_many", "expired", "order_refused"}
    assert {body.kind for body in everything()} >= {"start", "answer", "cancel", *OF_NO_VISITOR}
