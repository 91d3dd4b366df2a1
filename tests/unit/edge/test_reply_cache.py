"""The cache of challenges."""

from typing import Any

import pytest

from services.executor.edge.replies import Arrived
from services.executor.edge.reply_cache import ReplyCache
from shared.contracts.definitions import FlowFacts
from shared.contracts.steps import Shown, StepReplied, View
from shared.kernel.clock import FixedClock

FLOW = FlowFacts(pk="f", slug="flow", name="f", title="f", designation="authentication")
S = "00." + "a" * 22


def reply(version: int = 1, run: str = "r", session: str = S, kind: Any = "challenge", size: int = 100, **more: Any) -> Arrived:
    view = View(kind=kind, flow=FLOW, title="f", component="c")
    values = {"outcome": "accepted", "open": True, "rotation": 0, **more}
    return Arrived(
        StepReplied(command="c", edge="e", session=session, run=run, transition=f"t{version}", version=version, view=view, **values), size
    )


def shown(version: int = 1, run: str = "r") -> Shown:
    return Shown(run=run, transition=f"t{version}", version=version)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def views(clock: FixedClock) -> ReplyCache:
    return ReplyCache(clock, entries=3, size=1000)


def test_what_was_shown_is_shown_again(views: ReplyCache) -> None:
    views.note(None, reply(2))
    found = views.find(S, 0, None, shown(2))
    assert found is not None
    assert found.version == 2
    assert views.find(S, 0, None, shown(1)) == found


@pytest.mark.parametrize(
    ("session", "rotation", "login", "seen"),
    [
        (S, 0, None, shown(3)), (S, 0, None, shown(2, "other")), (S, 1, None, shown(2)), (S, 0, "l1", shown(2)),
        ("01." + "a" * 22, 0, None, shown(2)),
    ],
)  # fmt: skip
def test_the_owner_is_asked(views: ReplyCache, session: str, rotation: int, login: str | None, seen: Shown) -> None:
    views.note(None, reply(2))
    assert views.find(session, rotation, login, seen) is None


def test_two_runs_of_a_session_are_two(views: ReplyCache) -> None:
    views.note(None, reply(2, "one"))
    views.note(None, reply(3, "other"))
    assert [found and found.version for found in (views.find(S, 0, None, shown(2, run)) for run in ("one", "other"))] == [2, 3]


def test_what_has_not_begun_is_not_kept(views: ReplyCache) -> None:
    first = reply(1)
    views.note(None, Arrived(first.reply.model_copy(update={"outcome": "offered", "transition": None, "version": 0}), 100))
    assert len(views._cached) == 0


def test_an_older_reply_that_comes_late_changes_nothing(views: ReplyCache) -> None:
    views.note(None, reply(5))
    views.note(None, reply(4))
    found = views.find(S, 0, None, shown(4))
    assert found is not None
    assert found.version == 5


@pytest.mark.parametrize(
    "over",
    [
        reply(3, kind="denied"),
        reply(3, kind="redirect"),
        reply(3, open=False),
        reply(3, session_over=True),
        reply(3, session_over=True, logged_out=True),
    ],
)
def test_what_is_over_is_never_shown_from_here(views: ReplyCache, over: Arrived) -> None:
    views.note(None, reply(2))
    views.note(None, over)
    assert views.find(S, 0, None, shown(2)) is None


def test_a_log_out_leaves_only_what_its_own_run_shows_then(views: ReplyCache) -> None:
    views.note("alice's", reply(2, "other"))
    views.note(None, reply(3, logged_out=True))
    assert views.find(S, 0, "alice's", shown(2, "other")) is None
    assert views.find(S, 0, None, shown(3)) is not None


def test_it_is_bounded_in_count_and_bytes(views: ReplyCache) -> None:
    for n in range(10):
        views.note(None, reply(session=f"{n:02x}." + "a" * 22))
    assert len(views._cached) == 3
    views.note(None, reply(session=S, size=900))
    assert [key for key, _ in views._cached] == ["09." + "a" * 22, S]
    views.note(None, reply(session=S, size=2000))
    assert [key for key, _ in views._cached] == ["09." + "a" * 22], "too large for the whole, it takes nobody's place but its own"
    views.forget("09." + "a" * 22)
    assert (len(views._cached), views._cached.currsize, views._cached.runs) == (0, 0, {})


def test_it_does_not_last(views: ReplyCache, clock: FixedClock) -> None:
    views.note(None, reply(2))
    clock.advance(601)
    assert views.find(S, 0, None, shown(2)) is None
