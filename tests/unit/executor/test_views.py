"""What a visitor reads: titles with their placeholders, the texts of denials."""

import pytest

from services.executor.sessions.views import NO_REASON, denied_view, title_of
from tests.unit.executor.world import flow


@pytest.mark.parametrize(
    ("title", "person", "shown"),
    [
        ("Hi %(user)s", "alice", "Hi alice"),
        ("Hi %(user)s", "", "Hi AnonymousUser"),
        ("Hi %(user)s of %(app)s", "alice", "Hi alice of"),
        ("100 %", "alice", "100 %"),
        ("%(nobody)s", "alice", "%(nobody)s"),
        ("%d", "alice", "%d"),
    ],
)
def test_a_title_names_whom_it_is_for_and_a_broken_one_is_shown_as_it_is(title: str, person: str, shown: str) -> None:
    assert title_of(flow("f", title=title), person) == shown


@pytest.mark.parametrize(("message", "shown"), [("", "Unknown error"), (" \n", "Unknown error"), (" No.\nNever. ", "No.\nNever.")])
def test_a_denial_says_why_or_that_nobody_knows(message: str, shown: str) -> None:
    assert denied_view(flow("f"), "alice", message).message == shown


@pytest.mark.parametrize(
    ("message", "told", "on_the_page"), [("", "", NO_REASON), (" \n", "", NO_REASON), ("No.", "", ""), ("", "Too many.", "Too many.")]
)
def test_a_denial_without_a_reason_is_a_sentence_on_the_page(message: str, told: str, on_the_page: str) -> None:
    assert denied_view(flow("f"), "alice", message, told).told == on_the_page
