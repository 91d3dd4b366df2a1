"""An edit puts another flow in the place of the log-in that works: by the planner's rule, for a brand, for none, for one host alone."""

from collections.abc import Callable
from typing import Any

import pytest

from services.catalog.domain.objects import Catalog, Definition
from services.catalog.domain.ways_in import judged, way_in
from tests.unit.catalog.test_ways_in import Site

LATER = "zzz"


def empty(site: Site, slug: str = "aaa", **fields: Any) -> Definition:
    return site.given.a("flow", name="n", slug=slug, title="t", designation="authentication", **fields)


def unnamed(site: Site) -> Site:
    site.given.catalog = site.edit(site.brand, flow_authentication=None)
    return site


def first_of_all(site: Site) -> Catalog:
    empty(site)
    return site.edit(site.given.catalog.definitions["brand", site.brand.pk], flow_authentication=None)


def posted(site: Site) -> Catalog:
    empty(site)
    return site.catalog


def unbranded(site: Site) -> Site:
    """The default brand names its flow, a flow of no stages is before it by slug."""
    empty(site)
    return site


def other_brand(site: Site, flow: str | None) -> Catalog:
    return site.added("brand", domain="other.example", flow_authentication=flow)


def deleted(site: Site, one: Definition) -> Catalog:
    return site.delete(site.catalog.definitions[one.key])


def with_other_brand(site: Site) -> Site:
    site.given.a("brand", domain="other.example", flow_authentication=site.flow.pk)
    return unbranded(site)


def without_brands(site: Site) -> Site:
    site.given.catalog = site.delete(site.brand)
    return site


def with_a_later_one(site: Site) -> Site:
    empty(site, LATER)
    return unnamed(site)


def renamed(site: Site) -> Catalog:
    flow = next(one for one in site.catalog.of("flow") if one.name == LATER)
    return site.edit(flow, slug="aaa")


def redesignated(site: Site) -> Catalog:
    flow = site.given.a("flow", name="n", slug="aaa", title="t", designation="enrollment")
    before, site.given.catalog = site.given.catalog, site.edit(flow, designation="authentication")
    after, site.given.catalog = site.given.catalog, before
    return after


SHUT_OUT: dict[str, tuple[Callable[[Site], Site], Callable[[Site], Catalog], str]] = {
    "a flow of no stages is posted, the brand names none": (unnamed, posted, "Brand b, the default,"),
    "it is posted where there is no brand": (without_brands, posted, "A host without a brand"),
    "a file brings it and empties the brand's field": (lambda site: site, first_of_all, "Brand b, the default,"),
    "the default brand is deleted": (unbranded, lambda site: deleted(site, site.brand), "A host without a brand"),
    "the default brand is the default no more": (unbranded, lambda site: site.edit(site.brand, default=False), "A host without a brand"),
    "the brand's flow is deleted": (unbranded, lambda site: deleted(site, site.flow), "Brand b, the default,"),
    "another brand is made that names none": (unbranded, lambda site: other_brand(site, None), "Brand other.example"),
    "another brand is made of the flow of no stages": (
        unbranded,
        lambda site: other_brand(site, site.catalog.matching("flow", {"slug": "aaa"})[0].pk),
        "Brand other.example",
    ),
    "another brand loses its flow": (
        with_other_brand,
        lambda site: site.edit(site.catalog.matching("brand", {"domain": "other.example"})[0], flow_authentication=None),
        "Brand other.example",
    ),
    "a flow of a later slug is renamed": (with_a_later_one, renamed, "Brand b, the default,"),
    "a flow becomes one for logging in": (unnamed, redesignated, "Brand b, the default,"),
}


@pytest.mark.parametrize(("given", "edit", "whose"), SHUT_OUT.values(), ids=SHUT_OUT)
def test_it_is_refused_with_whose_log_in_it_is_and_why(given: Callable[[Site], Site], edit: Callable[[Site], Catalog], whose: str) -> None:
    site = given(Site())
    before = site.catalog
    after = edit(site)
    refused = judged(before, after).refused
    assert [text for text in refused if text.startswith(f"{whose} has no log-in left that works. Flow aaa ")], refused
    assert not way_in(after)
    assert judged(after, after).refused == ()
    assert judged(after, before).refused == ()


FINE: dict[str, tuple[Callable[[Site], Site], Callable[[Site], Catalog]]] = {
    "it is posted, and the brand names another": (lambda site: site, posted),
    "its slug is behind": (unnamed, lambda site: site.added("flow", name="n", slug=LATER, title="t", designation="authentication")),
    "it is of another designation": (unnamed, lambda site: site.added("flow", name="n", slug="aaa", title="t", designation="recovery")),
    "another brand is made with a flow that works": (unbranded, lambda site: other_brand(site, site.flow.pk)),
}


@pytest.mark.parametrize(("given", "edit"), FINE.values(), ids=FINE)
def test_what_no_visitor_gets_is_not_refused(given: Callable[[Site], Site], edit: Callable[[Site], Catalog]) -> None:
    site = given(Site())
    before = site.catalog
    assert judged(before, edit(site)).refused == ()


def test_a_first_flow_with_policies_is_judged_with_those_that_come_when_they_fail() -> None:
    site = unnamed(Site())
    policy = site.given.a("policy", "expression", name="p", expression="return False")
    flow = site.catalog.matching("flow", {"slug": "login"})[0]
    site.given.a("policy_binding", target=flow.pk, policy=policy.pk, order=0)
    before = site.catalog
    assert way_in(before)
    empty(site, LATER)
    assert "Flow zzz has no stages" in judged(before, site.catalog).refused[0]


SPOILT: dict[str, tuple[str, dict[str, Any], str]] = {
    "deny": ("deny", {}, "denies whoever comes there"),
    "a second factor that nobody can have": ("authenticator_validate", {"not_configured_action": "deny"}, "denies whoever has no device"),
    "a stage that fails": ("dummy", {"throw_error": True}, "fails for whoever comes there"),
}


@pytest.mark.parametrize("order", [0, 50])
@pytest.mark.parametrize(("kind", "fields", "why"), SPOILT.values(), ids=SPOILT)
def test_a_stage_that_nobody_gets_past_is_refused_unless_a_policy_may_skip_it(
    kind: str, fields: dict[str, Any], why: str, order: int
) -> None:
    site = Site()
    stage = site.given.a("stage", kind, name="wall", **fields)
    before = site.catalog
    [text] = judged(before, site.added("flow_binding", target=site.flow.pk, stage=stage.pk, order=order)).refused
    assert text.startswith(f"Brand b, the default, has no log-in left that works. Flow login: wall (order {order}) {why}")
    assert judged(before, site.added("flow_binding", target=site.flow.pk, stage=stage.pk, order=200)).refused == ()
    policy = site.given.a("policy", "expression", name="p", expression="return False")
    bound = site.given.a("flow_binding", target=site.flow.pk, stage=stage.pk, order=order)
    guard = site.given.a("policy_binding", target=bound.pk, policy=policy.pk, order=0)
    assert judged(before, site.catalog).refused == ()
    for edit in (deleted(site, guard), deleted(site, policy), site.edit(guard, enabled=False)):
        assert why in judged(site.catalog, edit).refused[0]


def test_an_edit_of_the_stage_itself_is_refused_too() -> None:
    site = Site()
    second = site.given.a("stage", "authenticator_validate", name="second")
    site.given.a("flow_binding", target=site.flow.pk, stage=second.pk, order=50)
    assert "second (order 50) denies" in judged(site.catalog, site.edit(second, not_configured_action="deny")).refused[0]


@pytest.mark.parametrize("lasts", ["seconds=1", "microseconds=1", "seconds=59", "minutes=0;seconds=5"])
def test_a_login_that_is_over_at_once_is_none(lasts: str) -> None:
    site = Site()
    [text] = judged(site.catalog, site.edit(site.login, session_duration=lasts)).refused
    assert f"in (order 100) logs in for less than a minute ({lasts})" in text
    for longer in ("minutes=1", "hours=8"):
        assert judged(site.catalog, site.edit(site.login, session_duration=longer)).refused == ()


def test_a_log_in_is_built_stage_by_stage_without_force() -> None:
    done = Catalog()
    for one in Site().catalog.definitions.values():
        after = Catalog({**done.definitions, one.key: one})
        assert judged(done, after).refused == ()
        done = after
    assert way_in(done)
