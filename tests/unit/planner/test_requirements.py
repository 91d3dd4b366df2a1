"""Who may start a flow at all."""

from typing import Any, get_args

import pytest

from services.planner.domain.requirements import is_met
from shared.contracts.definitions import Requirement
from shared.contracts.people import Visitor
from tests.unit.planner.support import user, visitor

NOBODY = visitor()
ALICE = visitor(user())
ADMIN = visitor(user("akadmin", superuser=True))

CASES: list[tuple[Requirement, Visitor, dict[str, Any], bool]] = [
    ("none", NOBODY, {}, True),
    ("none", ALICE, {}, True),
    ("require_authenticated", NOBODY, {}, False),
    ("require_authenticated", ALICE, {}, True),
    ("require_unauthenticated", NOBODY, {}, True),
    ("require_unauthenticated", ALICE, {}, False),
    ("require_superuser", NOBODY, {}, False),
    ("require_superuser", ALICE, {}, False),
    ("require_superuser", ADMIN, {}, True),
    ("require_redirect", NOBODY, {}, False),
    ("require_redirect", NOBODY, {"is_redirected": None}, False),
    ("require_redirect", NOBODY, {"is_redirected": "flow"}, True),
    ("require_token", NOBODY, {}, False),
    ("require_token", NOBODY, {"is_restored": None}, False),
    ("require_token", NOBODY, {"is_restored": "token"}, True),
    ("require_outpost", NOBODY, {}, False),
    ("require_outpost", ADMIN, {"is_redirected": "flow", "is_restored": "token"}, False),
]


@pytest.mark.parametrize(("requirement", "who", "context", "met"), CASES)
def test_a_requirement_is_met_or_not(requirement: Requirement, who: Visitor, context: dict[str, Any], met: bool) -> None:
    assert is_met(requirement, who, context) is met


def test_every_requirement_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(get_args(Requirement))
