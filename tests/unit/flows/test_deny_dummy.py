"""Deny and dummy, and what the fields of an answer take."""

from typing import Any

import pytest

from shared.flows.fields import NON_FIELD, Cleaned, TextField, clean, problem
from shared.flows.stage import Challenge, Denied, Passed, StageFailed
from tests.unit.flows.stories import FakeEffects, a_run, answered, shown


@pytest.mark.parametrize(
    ("config", "context", "message"),
    [
        ({}, {}, ""),
        ({"deny_message": "Go away"}, {}, "Go away"),
        ({"deny_message": "Go away"}, {"deny_message": "Not you"}, "Not you"),
        ({"deny_message": "Go away"}, {"deny_message": 5}, "Go away"),
    ],
)
async def test_deny_says_what_the_context_says_else_what_the_stage_says(config: Any, context: Any, message: str) -> None:
    assert await shown(a_run("deny", config, context=context), FakeEffects()) == Denied(message)


async def test_dummy_shows_its_name_and_passes_with_anything() -> None:
    assert await shown(a_run("dummy"), FakeEffects()) == Challenge("ak-stage-dummy", {"name": "the stage"})
    assert await answered(a_run("dummy"), {"x": 1}, FakeEffects()) == Passed("anonymous", "dummy")


async def test_dummy_can_fail() -> None:
    with pytest.raises(StageFailed):
        await shown(a_run("dummy", {"throw_error": True}), FakeEffects())


def test_a_secret_that_is_null_is_no_secret() -> None:
    cleaned = clean({"password": TextField(allow_null=True, secret=True)}, {"password": None})
    assert cleaned == Cleaned({}, {})


def test_no_body_is_told_as_recorded() -> None:
    assert clean({}, None) == {NON_FIELD: (problem("No data provided", "null"),)}
