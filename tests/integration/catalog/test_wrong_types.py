"""Fields of definitions with a value of another type: 400 with the field, or taken, and never a defect."""

from typing import Any

import pytest

from shared.flows.registry import registry
from tests.integration.catalog.test_api import ADMIN, FLOW, Api, api  # noqa: F401 - fixtures are found by name
from tests.security.json_values import VALUES
from tests.security.whole import Defects

pytestmark = pytest.mark.slow
STAGES = {kind.path: sorted(kind.config.model_fields) for kind in registry().stages.values()}
PLACES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "flows/instances/": (
        FLOW,
        [*FLOW, "background", "policy_engine_mode", "compatibility_mode", "layout", "denied_action", "authentication"],
    ),
    "flows/bindings/": (
        {"target": "x", "stage": "x", "order": 0},
        ["target", "stage", "order", "evaluate_on_plan", "re_evaluate_policies", "policy_engine_mode", "invalid_response_action"],
    ),
    **{f"stages/{path}": ({"name": "s"}, ["name", *fields]) for path, fields in STAGES.items()},
}


@pytest.mark.parametrize("path", PLACES)
async def test_every_value_of_every_field_is_answered(api: Api, path: str) -> None:  # noqa: F811
    good, fields = PLACES[path]
    with Defects.watched() as defects:
        for field in fields:
            for number, (label, value) in enumerate(VALUES.items()):
                own: dict[str, Any] = {"slug": f"{field.replace('_', '-')}-{number}", "name": f"{field} {number}"}
                body = {**good, **{name: own[name] for name in own if name in good}, field: value}
                async with api.client.post(f"/api/v3/{path}", json=body, headers=ADMIN) as answer:
                    assert answer.status in (201, 400), (field, label, answer.status, await answer.text())
    assert defects.found == []
