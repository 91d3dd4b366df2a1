"""A flow that nobody can answer because its plan alone fills a session is warned of; the estimate is what a run comes to hold."""

import pytest

from services.catalog.application.records import Occasion, definition_records
from services.catalog.domain.publication import Held, news, publication
from services.catalog.domain.sizes import ELSE, too_large
from services.catalog.domain.ways_in import judged, weaknesses
from services.planner.domain.composition import Composer
from shared.contracts import wire
from shared.contracts.definitions import BrandBody
from shared.contracts.states import SESSION_BYTES
from shared.flows.registry import registry
from shared.messaging.definitions_projection import Definitions
from shared.messaging.log import Record
from tests.unit.catalog.test_decisions import Given


def flow_of(stages: int, policies: int, *, long: str = "", inside: bool = False) -> Given:
    """A flow of so many stages with so many policies each."""
    given = Given()
    flow = given.a("flow", name="f", slug="wide", title="t", designation="authentication")
    page = given.a("stage", "dummy", name="page")
    secret = given.a("stage", "password", name="secret", backends=["authentik.core.auth.InbuiltBackend"])
    who = given.a("stage", "identification", name="who", user_fields=["username"], password_stage=secret.pk)
    no = given.a("stage", "deny", name="no", deny_message=long)
    policy = given.a("policy", "dummy", name="a policy with a name of some length")
    for order in range(stages):
        stage = no if long else who if inside else page
        bound = given.a("flow_binding", target=flow.pk, stage=stage.pk, order=order)
        for number in range(policies):
            given.a("policy_binding", target=bound.pk, policy=policy.pk, order=number)
    return given


WIDE = {
    "29 stages with 14 policies each": flow_of(29, 14),
    "one stage with 400 policies": flow_of(1, 400),
    "64 stages that say much": flow_of(64, 0, long="x" * 900),
    "64 pages with name and password, and a few policies": flow_of(64, 4, inside=True),
}
NARROW = {"the usual": flow_of(4, 2), "many stages": flow_of(40, 0), "many policies": flow_of(5, 20), "nothing": flow_of(0, 0)}


@pytest.mark.parametrize("given", WIDE.values(), ids=WIDE)
def test_it_is_warned_of_when_it_becomes_so_and_not_again(given: Given) -> None:
    before = flow_of(0, 0).catalog
    [text] = [text for text in judged(before, given.catalog).warned if "too large" in text]
    assert text.startswith("Flow wide is too large")
    assert [text for text in judged(given.catalog, given.catalog).warned if "too large" in text] == []
    assert text in weaknesses(given.catalog)


@pytest.mark.parametrize("given", NARROW.values(), ids=NARROW)
def test_others_are_not(given: Given) -> None:
    assert too_large(given.catalog) == {}


@pytest.mark.parametrize("given", [*WIDE.values(), *NARROW.values()], ids=[*WIDE, *NARROW])
def test_the_estimate_is_what_a_run_holds(given: Given) -> None:
    known, published = Definitions(), publication(given.catalog)
    for message in definition_records(news(Held(), published), Occasion(0, lambda: "id")):
        known.apply(Record(message.topic, 0, 0, 0, message.key, message.value, message.headers))
    flow = known.flow_by_slug("wide")
    assert flow
    plan = Composer(known, registry().stages).plan(flow, "h", BrandBody(pk="b", domain="d"), flow.bindings, {})
    held = len(wire.pack({"stages": tuple(stage.model_dump() for stage in plan.stages)}))
    assert (held > SESSION_BYTES - ELSE // 2) <= bool(too_large(given.catalog)) <= (held > SESSION_BYTES - 2 * ELSE)
