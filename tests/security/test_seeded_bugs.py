"""The list of seeded bugs is whole: each can still be sown, names tests that are there, and a few are sown here; `make seeded` sows all."""

import ast
from pathlib import Path

import pytest

from tests.security.seeded import ROOT, Seeded, seeded_bugs, survivors

BUGS = seeded_bugs()
EVERY = max(1, len(BUGS) // 3)


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_ids_are_not_doubled_and_there_are_a_hundred() -> None:
    assert len({bug.id for bug in BUGS}) == len(BUGS) >= 100


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.id)
def test_it_can_be_sown_and_its_tests_are_there(bug: Seeded) -> None:
    assert bug.spoilt((ROOT / bug.file).read_text()) != (ROOT / bug.file).read_text()
    assert bug.tests
    for test in bug.tests:
        file, _, name = test.partition("::")
        assert not name or name.partition("[")[0] in functions(ROOT / file), test


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_some_of_them_are_noticed() -> None:
    assert survivors(BUGS[::EVERY]) == []
