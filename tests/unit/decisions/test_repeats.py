"""The same body again: who may have the reply to the first, and who may not."""

from typing import Any

import pytest

from services.executor.sessions.answered import AWAITED, SAME_REPLY
from shared.contracts.errors import BadSeal
from shared.contracts.steps import StepRequested
from tests.unit.decisions.around import Around
from tests.unit.decisions.given import Session, given
from tests.unit.decisions.words import NOW_US, SECOND, Step, answer, cancel, run_at, start
from tests.unit.executor.world import ALICE, LOGIN_STAGES, PlainOpener, stage

NAME, PASSWORD, _ = LOGIN_STAGES
DUMMY = stage("dummy")
RIGHT = {"password": "secret"}


def once(session: Session, **sent: Any) -> tuple[Session, StepRequested]:
    """The session after a body that was taken, and the step that brought it."""
    came = session.when(answer(**sent))
    events = [event.event for event in came.handled.decision.events]  # type: ignore[union-attr]
    return came.then(*events), came.step


def again(first: StepRequested, **changes: Any) -> Step:
    """What was sent before, by another request, 1 s later."""
    late = {"command": "again", "received_us": first.received_us + SECOND, **changes}
    return lambda _: first.model_copy(update=late)


@pytest.fixture
def with_secret() -> tuple[Session, StepRequested]:
    """A password was accepted, so the session has rotated."""
    return once(given(*run_at(PASSWORD, pending_user=ALICE, more=(DUMMY,))), body=RIGHT)


@pytest.fixture
def without_secret() -> tuple[Session, StepRequested]:
    """A name was taken."""
    return once(given(*run_at(NAME, more=(DUMMY,))), body={"uid_field": "alice"})


def test_the_same_body_from_the_same_page_runs_once(without_secret: tuple[Session, StepRequested]) -> None:
    after, first = without_secret
    assert after.when(again(first)).repeats().command == first.command
    assert after.when(again(first, received_us=after.state.last_us + SAME_REPLY)).repeats().command == first.command


def test_after_30_s_it_is_an_answer_to_an_old_page(without_secret: tuple[Session, StepRequested]) -> None:
    after, first = without_secret
    after.when(again(first, received_us=after.state.last_us + SAME_REPLY + 1)).shows_again()


def test_another_body_is_none(without_secret: tuple[Session, StepRequested]) -> None:
    after, first = without_secret
    assert first.sealed
    after.when(again(first, sealed=first.sealed.model_copy(update={"box": b'{"uid_field": "bob"}'}))).shows_again()


def test_the_same_to_what_is_shown_now_is_none() -> None:
    after, first = once(given(*run_at(DUMMY, more=(DUMMY,))), body={})
    run = after.run
    shown = first.shown and first.shown.model_copy(update={"transition": run.head, "version": run.version})
    after.when(again(first, shown=shown)).then("stage.passed", "run.finished")


def test_a_start_is_none(without_secret: tuple[Session, StepRequested]) -> None:
    after, first = without_secret
    after.when(again(first, kind="start")).shows_again()


def test_whose_reply_was_lost_after_a_secret_gets_it_with_the_cookie_from_before(with_secret: tuple[Session, StepRequested]) -> None:
    after, first = with_secret
    assert (first.rotation, after.state.rotation) == (0, 1)
    assert after.when(again(first)).repeats().rotated


def test_without_a_secret_an_older_cookie_gets_nothing() -> None:
    session = given(*run_at(NAME, more=(DUMMY, DUMMY)))
    after, first = once(session, body={"uid_field": "alice"})
    rotated = Session(after.state.model_copy(update={"rotation": 1, "rotated_us": (NOW_US,)}), after.around)
    rotated = Session(
        rotated.state.model_copy(update={"answered": tuple(one.model_copy(update={"rotation": 1}) for one in rotated.state.answered)}),
        after.around,
    )
    rotated.when(again(first)).stops("superseded", "rotation", session_over=False)


def test_after_a_later_rotation_not_even_who_knows_the_secret(with_secret: tuple[Session, StepRequested]) -> None:
    after, first = with_secret
    later = Session(after.state.model_copy(update={"rotation": 2, "rotated_us": (NOW_US, NOW_US)}), after.around)
    later.when(again(first)).stops("superseded", "rotation", session_over=False)
    later.when(again(first, rotation=1)).stops("superseded", "rotation", session_over=False)


def test_without_a_place_only_who_knows_the_secret_and_has_not_got_the_reply() -> None:
    """Through the API nothing says what an answer is for: with the newest cookie it is for what comes next."""
    after, first = once(given(*run_at(DUMMY, more=(DUMMY,))), body={}, shown=None)
    after.when(again(first)).then("stage.passed", "run.finished")
    after, first = once(given(*run_at(PASSWORD, pending_user=ALICE, more=(PASSWORD,))), body=RIGHT, shown=None)
    assert after.when(again(first)).repeats().command == first.command
    after.when(again(first, rotation=after.state.rotation)).then("stage.passed", "run.finished", "session.rotated")


def test_of_a_run_that_shows_nothing_any_more_there_is_no_reply(without_secret: tuple[Session, StepRequested]) -> None:
    after, first = without_secret
    given_up = after.when(cancel()).then("run.cancelled")
    around = Around({"login": LOGIN_STAGES})
    Session(given_up.state, around).when(again(first)).offers("run.started", "stage.challenged")
    Session(given_up.state, around).when(again(first, awaited=first.command, kind="start")).offers("run.started", "stage.challenged")


def test_who_awaits_a_reply_asks_for_it_by_its_command(with_secret: tuple[Session, StepRequested]) -> None:
    after, first = with_secret
    assert after.when(start(awaited=first.command, rotation=0)).repeats().command == first.command
    assert after.when(start(awaited=first.command)).repeats().command == first.command
    later = Session(after.state.model_copy(update={"rotation": 2, "rotated_us": (NOW_US, NOW_US)}), after.around)
    later.when(start(awaited=first.command, rotation=1)).stops("superseded", "rotation", session_over=False)
    assert later.when(start(awaited=first.command, rotation=2)).repeats().rotated, "who has the newest cookie has sent what came since"


def test_who_awaits_a_reply_may_be_kept_waiting_for_longer_than_a_repeat_counts(with_secret: tuple[Session, StepRequested]) -> None:
    """A broker or PostgreSQL that is away for 30 s is nobody's reason to log in again: the command proves who sent the body."""
    after, first = with_secret
    for late in (SAME_REPLY + 1, AWAITED):
        at_us = after.state.last_us + late
        assert after.when(start(awaited=first.command, rotation=0, at_us=at_us)).repeats().rotated
        assert after.when(again(first, command=first.command, received_us=at_us)).repeats().rotated
        after.when(again(first, received_us=at_us)).stops("superseded", "rotation", session_over=True)
    too_late = after.state.last_us + AWAITED + 1
    after.when(start(awaited=first.command, rotation=0, at_us=too_late)).stops("superseded", "rotation", session_over=True)


def test_once_the_epochs_key_is_gone_nothing_is_known_again(without_secret: tuple[Session, StepRequested]) -> None:
    class Gone(PlainOpener):
        async def mark(self, epoch: str, *parts: bytes) -> str:
            raise BadSeal("gone")

    after, first = without_secret
    Session(after.state, Around(opener=Gone())).when(again(first)).shows_again()


def test_the_very_step_delivered_again_has_its_transition(without_secret: tuple[Session, StepRequested]) -> None:
    after, first = without_secret
    assert after.when(lambda _: first).repeats().command == first.command
