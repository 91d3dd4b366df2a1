"""What an edit would make worse: a log-in without a proof, a default brand without a log-in."""

from collections.abc import Callable
from typing import Any

import pytest

from services.catalog.application.judging import Judge
from services.catalog.domain import decisions
from services.catalog.domain.objects import Catalog, Changed, Definition, Deleted, Event, evolve
from services.catalog.domain.ways_in import WayInLost, judged, way_in, weaknesses
from shared.flows.registry import registry
from tests.unit.catalog.test_decisions import Given

INBUILT = "authentik.core.auth.InbuiltBackend"
LDAP = "authentik.sources.ldap.auth.LDAPBackend"


class Site:
    """A flow of identification, password and login, which the default brand uses, and what is done to it."""

    def __init__(self, *, inside: bool = False, default: bool = True) -> None:
        self.given = Given()
        a = self.given.a
        self.flow = a("flow", name="f", slug="login", title="t", designation="authentication")
        self.password = a("stage", "password", name="secret", backends=[INBUILT])
        page = {"password_stage": self.password.pk} if inside else {}
        self.who = a("stage", "identification", name="who", user_fields=["username"], **page)
        self.login = a("stage", "user_login", name="in")
        self.bound = {
            stage.name: a("flow_binding", target=self.flow.pk, stage=stage.pk, order=order)
            for stage, order in ((self.who, 10), (self.password, 20), (self.login, 100))
            if not (inside and stage is self.password)
        }
        self.brand = a("brand", domain="b", default=default, flow_authentication=self.flow.pk)

    @property
    def catalog(self) -> Catalog:
        return self.given.catalog

    def delete(self, one: Definition) -> Catalog:
        return evolve(self.catalog, decisions.delete(self.catalog, one))

    def edit(self, one: Definition, **fields: Any) -> Catalog:
        changed = decisions.change(self.catalog, one, fields)
        assert isinstance(changed, Changed)
        return evolve(self.catalog, [changed])

    def added(self, kind: Any, type_name: str = "", **fields: Any) -> Catalog:
        before = self.given.catalog
        self.given.a(kind, type_name, **fields)
        after, self.given.catalog = self.given.catalog, before
        return after

    def another_flow(self) -> Definition:
        """A second flow, whose name is first in the alphabet, of a name alone."""
        flow = self.given.a("flow", name="a", slug="a-name", title="t", designation="authentication")
        self.given.a("flow_binding", target=flow.pk, stage=self.who.pk, order=0)
        self.given.a("flow_binding", target=flow.pk, stage=self.login.pk, order=10)
        return flow


def renamer(site: Site) -> Catalog:
    other = site.given.a("stage", "identification", name="who else", user_fields=["username"])
    return site.added("flow_binding", target=site.flow.pk, stage=other.pk, order=50)


UNPROVED: dict[str, tuple[bool, Callable[[Site], Catalog]]] = {
    "the password stage is deleted": (False, lambda site: site.delete(site.password)),
    "its binding is removed": (False, lambda site: site.delete(site.bound["secret"])),
    "it is bound after the login": (False, lambda site: site.edit(site.bound["secret"], order=200)),
    "the login is bound before it": (False, lambda site: site.edit(site.bound["in"], order=15)),
    "the one on the identification page is deleted": (True, lambda site: site.delete(site.password)),
    "the page asks for it no more": (True, lambda site: site.edit(site.who, password_stage=None)),
    "it has only a backend that knows nobody": (False, lambda site: site.edit(site.password, backends=[LDAP])),
    "the one on the page has no backend": (True, lambda site: site.edit(site.password, backends=[])),
    "the identification page goes, and with it the password": (True, lambda site: site.delete(site.who)),
    "somebody else is named after it": (False, renamer),
}


@pytest.mark.parametrize("default", [True, False], ids=["default brand", "another brand"])
@pytest.mark.parametrize(("inside", "edit"), UNPROVED.values(), ids=UNPROVED)
def test_a_brands_log_in_without_a_proof_is_refused_and_its_places_are_named(
    inside: bool, edit: Callable[[Site], Catalog], default: bool
) -> None:
    site = Site(inside=inside, default=default)
    after = edit(site)
    refused = judged(site.catalog, after).refused
    assert [text for text in refused if "Flow login" in text and "in (order" in text and "flow_authentication of brand b" in text]
    assert judged(after, after) == judged(Catalog(), Catalog())


LOCKED_OUT: dict[str, Callable[[Site], Catalog]] = {
    "the login stage is deleted": lambda site: site.delete(site.login),
    "its binding is removed": lambda site: site.delete(site.bound["in"]),
    "the flow is deleted": lambda site: site.delete(site.flow),
    "nobody is asked who they are": lambda site: site.delete(site.who),
    "the flow is for those who are logged in": lambda site: site.edit(site.flow, authentication="require_authenticated"),
}


@pytest.mark.parametrize("edit", LOCKED_OUT.values(), ids=LOCKED_OUT)
def test_the_default_brands_only_working_log_in_is_not_taken_away(edit: Callable[[Site], Catalog]) -> None:
    site = Site()
    after = edit(site)
    assert way_in(site.catalog)
    assert not way_in(after)
    assert any("Brand b, the default, has no log-in left that works." in text for text in judged(site.catalog, after).refused)
    assert judged(after, after).refused == ()


def test_a_brand_without_a_flow_of_its_own_uses_the_first() -> None:
    site = Site()
    second = site.another_flow()
    before = site.edit(site.brand, flow_authentication=None)
    assert not way_in(before)
    assert "Flow a-name" in judged(site.catalog, before).refused[0]
    after = evolve(before, decisions.delete(before, second))
    assert judged(before, after).refused == ()
    assert way_in(after)


def test_a_brand_that_is_given_a_flow_without_a_proof_is_refused_in_any_of_its_fields() -> None:
    site = Site()
    other = site.another_flow()
    for field in ("flow_authentication", "flow_recovery", "flow_unenrollment", "flow_user_settings"):
        verdict = judged(site.catalog, site.edit(site.brand, **{field: other.pk}))
        assert f"It is the {field} of brand b." in verdict.refused[0]
    new = site.added("brand", domain="c", flow_authentication=site.flow.pk, flow_recovery=other.pk)
    assert "It is the flow_recovery of brand c." in judged(site.catalog, new).refused[0]


def test_a_flow_that_no_brand_uses_is_only_warned_of_and_once() -> None:
    site = Site()
    before = site.catalog
    site.another_flow()
    verdict = judged(before, site.catalog)
    assert verdict.refused == ()
    [warning] = verdict.warned
    assert "Flow a-name: nothing before in (order 10)" in warning
    assert judged(site.catalog, site.edit(site.flow, title="other")).warned == ()
    assert weaknesses(site.catalog) == (warning,)


def test_what_waives_the_proof_is_warned_of_and_does_not_make_up_for_one() -> None:
    site = Site()
    waived = site.edit(site.login, allow_unauthenticated=True)
    assert judged(site.catalog, waived).warned == ("Stage in has allow_unauthenticated: it needs no proof, a name is enough.",)
    after = evolve(waived, decisions.delete(waived, site.password))
    assert judged(waived, after).refused


HARMLESS: dict[str, Callable[[Site], Catalog]] = {
    "a title": lambda site: site.edit(site.flow, title="other"),
    "a stage more": lambda site: site.added("stage", "deny", name="d"),
    "the password stage is called otherwise": lambda site: site.edit(site.password, name="other"),
    "the password is asked for on both pages": lambda site: site.edit(site.who, password_stage=site.password.pk),
    "a brand more": lambda site: site.added("brand", domain="c"),
}


@pytest.mark.parametrize("edit", HARMLESS.values(), ids=HARMLESS)
def test_what_changes_nothing_about_it_is_neither_refused_nor_warned_of(edit: Callable[[Site], Catalog]) -> None:
    site = Site()
    verdict = judged(site.catalog, edit(site))
    assert (verdict.refused, verdict.warned) == ((), ())


def test_a_catalog_of_any_size_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Any] = []

    def can_prove(_: Any, config: Any, __: Any) -> bool:
        looked.append(config)
        return True

    monkeypatch.setattr(type(registry().stages["password"]), "can_prove", can_prove)
    site = Site()
    for n in range(20):
        flow = site.given.a("flow", name="f", slug=f"f{n}", title="t", designation="authentication")
        for order, stage in enumerate((site.who, site.password, site.login)):
            site.given.a("flow_binding", target=flow.pk, stage=stage.pk, order=order)
    assert weaknesses(site.catalog) == ()
    assert len(looked) == 1


def test_one_proof_left_is_enough() -> None:
    site = Site(inside=True)
    second = site.given.a("stage", "password", name="second", backends=[INBUILT])
    site.given.a("flow_binding", target=site.flow.pk, stage=second.pk, order=20)
    assert judged(site.catalog, site.delete(site.password)).refused == ()


def test_a_judge_refuses_or_when_forced_only_warns() -> None:
    site = Site()

    def decide(catalog: Catalog) -> tuple[Event, ...]:
        return decisions.delete(catalog, site.password)

    with pytest.raises(WayInLost, match=r"forced \(\?force=true, --force\)") as lost:
        Judge().over(decide)(site.catalog)
    assert lost.value.places == judged(site.catalog, site.delete(site.password)).refused
    judge = Judge(force=True)
    assert judge.over(decide)(site.catalog)[-1] == Deleted(site.password)
    assert judge.warnings == lost.value.places
