"""Somebody keeps a half-finished log-in until the flow is deleted, replaced or closed to them, and wants to finish it then."""

import urllib.request
from collections.abc import Iterator

import pytest

from tests.e2e.sluice_process import SluiceUp
from tests.e2e.visitor import AUTHENTICATION, Visitor

pytestmark = pytest.mark.slow
PASSWORD = "akadmin-outlives"
SLUG = "short-lived"


@pytest.fixture(scope="module")
def sluice_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SluiceUp]:
    with SluiceUp(tmp_path_factory.mktemp("outlive") / "data", {"SLUICE_BOOTSTRAP_PASSWORD": PASSWORD}) as process:
        yield process


class Admin:
    def __init__(self, process: SluiceUp) -> None:
        self.process = process
        self.visitor = Visitor(process.base_url)

    def make(self, path: str, **body: object) -> str:
        answer = self.visitor.ask(f"/api/v3/{path}", body, self.process.token)
        assert answer.status == 201, answer
        return str(answer.json()["pk"])

    def first(self, path: str) -> str:
        return str(self.visitor.ask(f"/api/v3/{path}", token=self.process.token).json()["results"][0]["pk"])

    def delete(self, path: str) -> None:
        request = urllib.request.Request(  # noqa: S310 -- base_url is ours
            f"{self.process.base_url}/api/v3/{path}", method="DELETE", headers={"Authorization": f"Bearer {self.process.token}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            assert answer.status == 204

    def flow(self) -> str:
        """The shipped log-in's three first stages, under a slug of its own."""
        flow = self.make("flows/instances/", name=SLUG, slug=SLUG, title=SLUG, designation="authentication")
        for order, kind in enumerate(("identification", "password", "user_login")):
            self.make("flows/bindings/", target=flow, stage=self.first(f"stages/{kind}/"), order=order)
        return flow


@pytest.fixture
def admin(sluice_up: SluiceUp) -> Admin:
    return Admin(sluice_up)


def at_the_password(process: SluiceUp, flow: str = SLUG) -> Visitor:
    visitor = Visitor(process.base_url)
    assert visitor.challenge(flow)["component"] == "ak-stage-identification"
    assert visitor.answer("ak-stage-identification", flow, uid_field="akadmin")["component"] == "ak-stage-password"
    return visitor


def test_a_deleted_flow_logs_in_nobody_any_more(sluice_up: SluiceUp, admin: Admin) -> None:
    admin.flow()
    visitor = at_the_password(sluice_up)
    admin.delete(f"flows/instances/{SLUG}/")
    answer = visitor.patiently(f"/api/v3/flows/executor/{SLUG}/?query=", {"component": "ak-stage-password", "password": PASSWORD})
    assert answer.status in (404, 405)  # no such flow; authentik's code for its POST
    assert visitor.who() is None


def test_nor_does_one_that_was_deleted_and_made_anew(sluice_up: SluiceUp, admin: Admin) -> None:
    admin.flow()
    visitor = at_the_password(sluice_up)
    admin.delete(f"flows/instances/{SLUG}/")
    admin.flow()
    assert visitor.answer("ak-stage-password", SLUG, password=PASSWORD)["component"] == "ak-stage-identification"
    assert visitor.who() is None
    admin.delete(f"flows/instances/{SLUG}/")


@pytest.mark.parametrize("ends", [True, False])
def test_a_deny_stage_holds_at_once_if_the_edit_says_so(sluice_up: SluiceUp, admin: Admin, ends: bool) -> None:
    flow = admin.flow()
    visitor = at_the_password(sluice_up)
    deny = admin.make("stages/deny/", name=f"deny-{ends}")
    admin.make(f"flows/bindings/?end_runs={ends}", target=flow, stage=deny, order=-1)
    component = visitor.answer("ak-stage-password", SLUG, password=PASSWORD)["component"]
    assert (component, visitor.who()) == (("ak-stage-access-denied", None) if ends else ("xak-flow-redirect", "akadmin"))
    admin.delete(f"flows/instances/{SLUG}/")


def test_other_flows_are_not_touched(sluice_up: SluiceUp, admin: Admin) -> None:
    flow = admin.flow()
    visitor = at_the_password(sluice_up, AUTHENTICATION)
    deny = admin.make("stages/deny/", name="deny-other")
    admin.make("flows/bindings/?end_runs=true", target=flow, stage=deny, order=-1)
    assert visitor.answer("ak-stage-password", password=PASSWORD)["component"] == "xak-flow-redirect"
    assert visitor.who() == "akadmin"
