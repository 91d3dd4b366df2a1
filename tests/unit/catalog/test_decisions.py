"""What a definition may be, and what goes when one goes; texts as authentik's."""

from itertools import count
from typing import Any
from uuid import UUID

import pytest

from services.catalog.domain.decisions import change, create, delete
from services.catalog.domain.objects import Catalog, Changed, Created, Definition, Deleted, evolve
from services.catalog.domain.problems import Invalid
from shared.contracts.catalog import ObjectKind

NOBODY = "11111111-1111-4111-8111-111111111111"
FLOW = {"name": "f", "slug": "f", "title": "t", "designation": "authentication"}


class Given:
    """A catalog under construction."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self._numbers = count(1)

    def new_pk(self) -> str:
        return str(UUID(int=next(self._numbers)))

    def a(self, kind: ObjectKind, type_name: str = "", **body: Any) -> Definition:
        created = create(self.catalog, kind, type_name, body, self.new_pk)
        self.catalog = evolve(self.catalog, [created])
        return created.definition

    def refused(self, kind: ObjectKind, type_name: str = "", **body: Any) -> dict[str, Any]:
        with pytest.raises(Invalid) as caught:
            create(self.catalog, kind, type_name, body, self.new_pk)
        return caught.value.problems


@pytest.fixture
def given() -> Given:
    return Given()


def test_a_flow_has_two_ids_and_authentiks_defaults(given: Given) -> None:
    flow = given.a("flow", **FLOW)
    assert flow.pk != flow.ptr != ""
    assert (flow["layout"], flow["denied_action"], flow["authentication"], flow["policy_engine_mode"]) == (
        "stacked",
        "message_continue",
        "none",
        "any",
    )


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, {name: ["This field is required."] for name in ("name", "slug", "title", "designation")}),
        (FLOW | {"slug": "a b"}, {"slug": ['Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.']}),
        (FLOW | {"slug": "ä"}, {"slug": ['Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.']}),
        (FLOW | {"slug": "f\n"}, {"slug": ["Flow with this slug already exists."]}),  # blanks around are cut off
        (FLOW | {"slug": "x" * 51}, {"slug": ["Ensure this field has no more than 50 characters."]}),
        (FLOW, {"slug": ["Flow with this slug already exists."]}),
        (FLOW | {"slug": "g", "designation": "x"}, {"designation": ['"x" is not a valid choice.']}),
        (FLOW | {"slug": "g", "title": None}, {"title": ["This field may not be null."]}),
        (FLOW | {"slug": "g", "title": " "}, {"title": ["This field may not be blank."]}),
        (FLOW | {"slug": "g", "title": "a\0b"}, {"title": ["Null characters are not allowed."]}),
        (FLOW | {"slug": "g", "title": ["a"]}, {"title": ["Not a valid string."]}),
        (FLOW | {"slug": "g", "compatibility_mode": "maybe"}, {"compatibility_mode": ["Must be a valid boolean."]}),
        (FLOW | {"slug": "g", "compatibility_mode": "no"}, {"compatibility_mode": ["Must be a valid boolean."]}),
        (
            FLOW | {"slug": "g", "layout": "x", "authentication": "require_redirect"},
            {"layout": ['"x" is not a valid choice.'], "authentication": ['"require_redirect" is not a valid choice.']},
        ),
        (
            {"slug": "f", "name": "n", "designation": "x"},
            {
                "title": ["This field is required."],
                "designation": ['"x" is not a valid choice.'],
                "slug": ["Flow with this slug already exists."],
            },
        ),
    ],
)
def test_a_flow_that_is_not_in_order_is_refused_by_field(given: Given, body: dict[str, Any], problems: dict[str, Any]) -> None:
    given.a("flow", **FLOW)
    assert given.refused("flow", **body) == problems


def test_unknown_fields_are_ignored(given: Given) -> None:
    assert "unknown" not in given.a("flow", unknown=1, pk="x", **FLOW).fields


def test_a_stage_name_is_unique_over_all_types(given: Given) -> None:
    given.a("stage", "dummy", name="s")
    assert given.refused("stage", "dummy", name="s") == {"name": ["stage with this name already exists."]}
    assert given.refused("stage", "deny", name="s") == {"name": ["stage with this name already exists."]}


@pytest.mark.parametrize(
    ("type_name", "body", "problems"),
    [
        ("dummy", {}, {"name": ["This field is required."]}),
        ("identification", {"name": "s", "user_fields": ["x"]}, {"user_fields": {"0": ['"x" is not a valid choice.']}}),
        (
            "identification",
            {"name": "s"},
            {"non_field_errors": ["When no user fields are selected, at least one source must be selected"]},
        ),
        ("password", {"name": "s", "backends": ["x"]}, {"backends": {"0": ['"x" is not a valid choice.']}}),
        ("password", {"name": "s"}, {"backends": ["This field is required."]}),
        (
            "user_login",
            {"name": "s", "session_duration": "tomorrow"},
            {"session_duration": ["tomorrow is not in the correct format of 'hours=3;minutes=1'."]},
        ),
        ("user_login", {"name": "s", "session_duration": " "}, {"session_duration": ["This field may not be blank."]}),
        (
            "password",
            {"name": "s", "backends": [], "configure_flow": NOBODY},
            {"configure_flow": [f'Invalid pk "{NOBODY}" - object does not exist.']},
        ),
        (
            "identification",
            {"name": "s", "user_fields": ["email"], "password_stage": "zz"},
            {"password_stage": ["“zz” is not a valid UUID."]},
        ),
        (
            "authenticator_validate",
            {"name": "s", "configuration_stages": [NOBODY]},
            {"configuration_stages": [f'Invalid pk "{NOBODY}" - object does not exist.']},
        ),
    ],
)
def test_a_stage_is_checked_by_its_types_model(given: Given, type_name: str, body: dict[str, Any], problems: dict[str, Any]) -> None:
    assert given.refused("stage", type_name, **body) == problems


def test_bindings_are_checked_as_recorded(given: Given) -> None:
    flow, stage = given.a("flow", **FLOW), given.a("stage", "dummy", name="s")
    there = {"target": flow.pk, "stage": stage.pk}
    given.a("flow_binding", order=0, **there)
    given.a("flow_binding", order=-1, **there)
    required = ["This field is required."]
    assert given.refused("flow_binding") == {"target": required, "stage": required, "order": required}
    together = {"non_field_errors": ["The fields target, stage, order must make a unique set."]}
    assert given.refused("flow_binding", order=0, **there) == together
    unknown = {"target": [f'Invalid pk "{NOBODY}" - object does not exist.']}
    assert given.refused("flow_binding", order=5, target=NOBODY, stage=stage.pk) == unknown
    by_slug = {"target": ["“f” is not a valid UUID."]}
    assert given.refused("flow_binding", order=5, target="f", stage=stage.pk) == by_slug
    by_ptr = {"target": [f'Invalid pk "{flow.ptr}" - object does not exist.']}
    assert given.refused("flow_binding", order=5, target=flow.ptr, stage=stage.pk) == by_ptr
    too_large = {"order": ["Ensure this value is less than or equal to 2147483647."]}
    assert given.refused("flow_binding", order=2**31, **there) == too_large
    assert given.refused("flow_binding", order=1.5, **there) == {"order": ["A valid integer is required."]}
    assert given.refused("flow_binding", order=True, **there) == {"order": ["A valid integer is required."]}
    never = {"non_field_errors": ["Either evaluation on plan or evaluation on run must be enabled"]}
    assert given.refused("flow_binding", order=8, re_evaluate_policies=False, **there) == never


def test_a_policy_binding_takes_either_id_of_its_target_and_exactly_one_thing(given: Given) -> None:
    flow, policy = given.a("flow", **FLOW), given.a("policy", "dummy", name="p")
    assert given.a("policy_binding", policy=policy.pk, target=flow.ptr, order=0)["target"] == flow.pk
    assert given.a("policy_binding", policy=policy.pk, target=flow.pk, order=1)["target"] == flow.pk
    assert given.refused("policy_binding", target=flow.ptr, order=2) == {
        "non_field_errors": ["One of 'policy', 'group' or 'user' must be set."]
    }
    assert given.refused("policy_binding", target=flow.ptr, order=2, policy=policy.pk, user=1) == {
        "non_field_errors": ["Only one of 'policy', 'group' or 'user' can be set."]
    }
    assert given.refused("policy_binding", target=flow.ptr, order=0, policy=policy.pk) == {
        "non_field_errors": ["The fields policy, target, order must make a unique set."]
    }
    assert given.refused("policy_binding", target=flow.ptr, order=5, policy=policy.pk, timeout=-1) == {
        "timeout": ["Ensure this value is greater than or equal to 0."]
    }


def test_there_is_one_default_brand(given: Given) -> None:
    given.a("brand", domain="a", default=True)
    assert given.refused("brand", domain="b", default=True) == {"default": ["Only a single brand can be set as default."]}


def test_a_change_that_changes_nothing_is_no_event(given: Given) -> None:
    flow = given.a("flow", **FLOW)
    assert change(given.catalog, flow, {"title": "t", "slug": "f"}) is None
    changed = change(given.catalog, flow, {"title": "u"})
    assert changed is not None
    assert (changed.after["title"], changed.after.pk, changed.after.ptr) == ("u", flow.pk, flow.ptr)


def test_what_hangs_on_a_flow_goes_with_it_once_and_references_become_empty(given: Given) -> None:
    flow, policy = given.a("flow", **FLOW), given.a("policy", "dummy", name="p")
    stage = given.a("stage", "password", name="s", backends=[], configure_flow=flow.pk)
    brand = given.a("brand", domain="a", flow_recovery=flow.pk)
    binding = given.a("flow_binding", target=flow.pk, stage=stage.pk, order=0)
    given.a("policy_binding", policy=policy.pk, target=binding.pk, order=0)
    given.a("policy_binding", policy=policy.pk, target=flow.pk, order=0)
    events = delete(given.catalog, flow)
    gone = [event.definition.kind for event in events if isinstance(event, Deleted)]
    assert sorted(gone) == ["flow", "flow_binding", "policy_binding", "policy_binding"]
    assert gone[-1] == "flow"
    assert {event.after.key for event in events if isinstance(event, Changed)} == {stage.key, brand.key}
    after = evolve(given.catalog, events)
    assert after.definitions[stage.key]["configure_flow"] is None
    assert after.definitions[brand.key]["flow_recovery"] is None
    assert not any(isinstance(event, Created) for event in events)


def test_a_deleted_stage_leaves_no_reference(given: Given) -> None:
    setup = given.a("stage", "dummy", name="setup")
    validate = given.a("stage", "authenticator_validate", name="v", not_configured_action="configure", configuration_stages=[setup.pk])
    after = evolve(given.catalog, delete(given.catalog, setup))
    assert after.definitions[validate.key]["configuration_stages"] == []
