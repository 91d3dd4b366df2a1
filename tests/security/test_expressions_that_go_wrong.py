"""Hundreds of expressions that an administrator might paste, or be talked into, in real workers: each ends as its row says.

The rows are in `expressions_that_go_wrong.yaml`; what is made of a thousand equal parts is here.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import yaml

from services.policy.adapters.sandbox.workers import Limits, Workers
from shared.flows.expression import BadExpression, check
from shared.flows.policy import Decision, PolicyError
from tests.integration.policy.test_sandbox import MOMENT, facts

ENDED_S = 60.0  # far above any limit: only a worker that hangs takes that long
LIMIT_S = 0.1  # for what must meet a limit; the others get all the time that a busy machine may need
KINDS: dict[str, dict[str, list[str]]] = yaml.safe_load(Path(__file__).with_name("expressions_that_go_wrong.yaml").read_text())
REASONS = {"limit": {"timeout", "memory", "output"}, "error": {"exception"}, "refused": {"syntax"}}
REASONS["ends"] = REASONS["limit"] | REASONS["error"] | REASONS["refused"] | {"passes", "fails"}
DEEP = {
    "refused": [
        f"return {'(' * 1000}1{')' * 1000}",
        f"return {'not ' * 1000}1",
        f"return {'+'.join(['1'] * 1000)}",
        f"return x{'.a' * 1000}",
        f"return f{'()' * 600}",
        f"return {'[' * 300}{']' * 300}",
        f"return {'lambda: ' * 300}1",
        f"return {'1 if 1 else ' * 300}1",
        f"return {'{1: ' * 300}1{'}' * 300}",
        "if 1:\n" + "".join(f"{' ' * depth}if 1:\n" for depth in range(1, 110)) + " " * 110 + "pass",
        f"return {'9' * 4400}",
        f"return '{'a' * 4200}'",
    ],
    "ends": [
        f"return {'(' * 190}1{')' * 190}",
        f"return {'not ' * 400}1",
        f"return {'-' * 400}1",
        f"return {'[' * 150}{']' * 150}",
        f"return {'lambda: ' * 150}1",
        f"return {'1 if 1 else ' * 100}1",
        f"return x{'.a' * 400}",
        f"return {'a' * 3000}()",
        f"return f'{'{1}' * 200}'",
        f"return 0x{'f' * 3900} > 1",
        f"return {'9' * 4000} > 1",
        "if 1:\n" + "".join(f"{' ' * depth}if 1:\n" for depth in range(1, 85)) + " " * 85 + "pass",
    ],
}
EVERYTHING = {**KINDS, "deep": DEEP}


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    pool = Workers(1, Limits(seconds=ENDED_S))
    await pool.start()
    yield pool
    await pool.stop()


async def came_of(workers: Workers, expression: str, limit_s: float = ENDED_S) -> str:
    """`passes`, `fails`, or the reason of the error."""
    try:
        async with asyncio.timeout(2 * ENDED_S):
            decision = await workers.evaluate(expression, facts(), MOMENT, limit_s)
    except PolicyError as error:
        return error.reason
    return "passes" if decision.passing else "fails"


@pytest.mark.parametrize("kind", EVERYTHING)
async def test_each_ends_as_it_must_and_the_next_one_is_answered(workers: Workers, kind: str) -> None:
    wrong = {}
    for expected, snippets in EVERYTHING[kind].items():
        for snippet in snippets:
            came = await came_of(workers, snippet, LIMIT_S if expected in ("limit", "ends") else ENDED_S)
            if came not in REASONS.get(expected, {expected}):
                wrong[snippet] = f"{came} instead of {expected}"
            if await workers.evaluate("return True", facts(), MOMENT, ENDED_S) != Decision(True):
                wrong[snippet] = "the next one was not answered"
    assert wrong == {}


@pytest.mark.parametrize("kind", EVERYTHING)
def test_what_is_refused_is_refused_before_it_is_saved(kind: str) -> None:
    for expected, snippets in EVERYTHING[kind].items():
        for snippet in snippets:
            if expected == "refused":
                with pytest.raises(BadExpression):
                    check(snippet)
            elif expected != "ends":
                check(snippet)


async def test_all_of_it_costs_no_worker_but_those_whose_memory_ran_out(workers: Workers) -> None:
    """Errors and refusals leave the process as it was; only what it could not stop from inside ends it."""
    before = _workers()
    for kind in KINDS.values():
        for snippet in [*kind.get("error", ()), *kind.get("passes", ()), *kind.get("fails", ())]:
            await came_of(workers, snippet)
    assert _workers() == before


def test_there_are_more_than_three_hundred_of_them() -> None:
    assert sum(len(snippets) for kind in KINDS.values() for snippets in kind.values()) > 500


def _workers() -> list[int]:
    return [child.pid for child in psutil.Process().children() if child.cmdline()[:1] == ["monty"]]
