"""The whole of it against a running Sluice: an administrator, or who has their token, takes the proof out of a log-in; then a name is typed."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.e2e.cluster.seeing import eventually
from tests.e2e.sluice_process import SluiceUp
from tests.e2e.visitor import AUTHENTICATION, Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PASSWORD = "akadmin-of-the-tests"
NAME_ALONE = "name-alone"
NO_PASSWORD = """
version: 1
entries:
  - {model: authentik_stages_password.passwordstage, state: absent, identifiers: {name: default-authentication-password}}
"""
BY_POLICY = """
version: 1
entries:
  - {model: authentik_flows.flow, id: flow, identifiers: {slug: by-policy}, attrs: {name: n, title: t, designation: authentication}}
  - model: authentik_stages_identification.identificationstage
    id: who
    identifiers: {name: by-policy-who}
    attrs: {user_fields: [username]}
  - {model: authentik_stages_user_login.userloginstage, id: in, identifiers: {name: by-policy-in}}
  - {model: authentik_flows.flowstagebinding, identifiers: {target: !KeyOf flow, stage: !KeyOf who, order: 0}}
  - {model: authentik_flows.flowstagebinding, id: step, identifiers: {target: !KeyOf flow, stage: !KeyOf in, order: 10}}
  - model: authentik_policies_expression.expressionpolicy
    id: says
    identifiers: {name: by-policy-says}
    attrs:
      expression: |
        context = request.context["flow_plan"].context
        context["auth_method"] = "password"
        context["evidence"] = [{"proves": "password", "user": 1}]
        context["pending_user"] = request.user
        return True
  - {model: authentik_policies.policybinding, identifiers: {target: !KeyOf step, policy: !KeyOf says, order: 0}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SluiceUp]:
    with SluiceUp(tmp_path_factory.mktemp("proofs") / "data", {"SLUICE_BOOTSTRAP_PASSWORD": PASSWORD}) as up:
        yield up


def asked(site: SluiceUp, method: str, path: str, body: Any = None) -> tuple[int, Any, list[str]]:
    """Status, body and warnings of a request of the administrator's."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {site.token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{site.base_url}/api/v3/{path}", data, headers, method=method)  # noqa: S310 -- base_url is ours
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            text, status, given = answer.read(), answer.status, answer.headers
    except urllib.error.HTTPError as refused:
        with refused:
            text, status, given = refused.read(), refused.code, refused.headers
    return status, json.loads(text) if text else None, [unquote(one) for one in given.get_all("Sluice-Warning", [])]


def made(site: SluiceUp, path: str, **body: Any) -> str:
    status, answer, _ = asked(site, "POST", path, body)
    assert status == 201, answer
    return str(answer["pk"])


def a_flow(site: SluiceUp, slug: str, *, inside: str | None = None, **login: Any) -> None:
    """A flow that asks for a name, with a password on the same page if there is a stage for it, and logs in."""
    flow = made(site, "flows/instances/", name=slug, slug=slug, title=slug, designation="authentication")
    who = made(site, "stages/identification/", name=f"{slug}-who", user_fields=["username"], password_stage=inside)
    last = made(site, "stages/user_login/", name=f"{slug}-in", **login)
    for order, stage in enumerate((who, last)):
        made(site, "flows/bindings/", target=flow, stage=stage, order=order)


def by_name_alone(site: SluiceUp, slug: str, name: str) -> tuple[Any, str | None]:
    """The page that a typed name leads to, and who the browser is then."""
    visitor = Visitor(site.base_url)
    # A flow just made travels to the planner through its topic: flow, stages and bindings one after the other.
    eventually(lambda: visitor.challenge(slug), lambda shown: shown.get("component") == "ak-stage-identification")
    return visitor.answer("ak-stage-identification", slug, uid_field=name), visitor.who()


@pytest.mark.parametrize("name", ["akadmin", "AKADMIN", "nobody-has-this-name"])
def test_a_new_flow_of_a_name_and_a_login_lets_in_nobody(site: SluiceUp, name: str) -> None:
    if asked(site, "GET", f"flows/instances/{NAME_ALONE}/")[0] == 404:
        a_flow(site, NAME_ALONE)
    page, who = by_name_alone(site, NAME_ALONE, name)
    assert (page["component"], who) == ("ak-stage-access-denied", None)
    assert page["error_message"] == "Nothing here has shown that you are who you say you are."


def test_deleting_the_password_of_the_identification_page_lets_in_nobody(site: SluiceUp) -> None:
    inside = made(site, "stages/password/", name="inside", backends=["authentik.core.auth.InbuiltBackend"])
    a_flow(site, "on-one-page", inside=inside)
    visitor = Visitor(site.base_url)
    visitor.challenge("on-one-page")
    assert (
        visitor.answer("ak-stage-identification", "on-one-page", uid_field="akadmin", password=PASSWORD)["component"] == "xak-flow-redirect"
    )
    assert visitor.who() == "akadmin"
    status, _, told = asked(site, "DELETE", f"stages/password/{inside}/")
    assert (status, len(told)) == (204, 1)
    assert "Flow on-one-page: nothing before on-one-page-in" in told[0]
    page, who = by_name_alone(site, "on-one-page", "akadmin")
    assert (page["component"], who) == ("ak-stage-access-denied", None)


def test_an_administrator_who_waives_the_proof_is_told_so(site: SluiceUp) -> None:
    a_flow(site, "waived", allow_unauthenticated=True)
    page, who = by_name_alone(site, "waived", "akadmin")
    assert (page["component"], who) == ("xak-flow-redirect", "akadmin")
    status, _, told = asked(site, "POST", "stages/user_login/", {"name": "waived-2", "allow_unauthenticated": True})
    assert (status, told) == (201, ["Stage waived-2 has allow_unauthenticated: it needs no proof, a name is enough."])


def test_a_policy_that_writes_a_proof_into_its_context_writes_it_nowhere(site: SluiceUp, tmp_path: Path) -> None:
    file = tmp_path / "by-policy.yaml"
    file.write_text(BY_POLICY)
    told = site.command("flows", "apply", str(file)).stdout
    assert "warning: Flow by-policy: nothing before by-policy-in (order 10) proves who the visitor is" in told
    deadline = time.monotonic() + 60
    while Visitor(site.base_url).ask("/api/v3/flows/executor/by-policy/?query=").status == 404 and time.monotonic() < deadline:
        time.sleep(0.2)  # an edit reaches planners within a second or two
    page, who = by_name_alone(site, "by-policy", "akadmin")
    assert (page["component"], who) == ("ak-stage-access-denied", None)
    assert page["error_message"] == "Nothing here has shown that you are who you say you are."


def test_a_file_that_takes_the_proof_is_refused_on_the_command_line(site: SluiceUp, tmp_path: Path) -> None:
    file = tmp_path / "absent.yaml"
    file.write_text(NO_PASSWORD)
    refused = site.command("flows", "apply", str(file), check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "Flow default-authentication-flow: nothing before default-authentication-login" in refused.stderr
    assert refused.stderr.rstrip().endswith("[E_WAY_IN]")
    assert Visitor(site.base_url).identify("akadmin")["component"] == "ak-stage-password"


def test_the_default_log_in_loses_its_password_only_by_force_and_then_lets_in_nobody(site: SluiceUp) -> None:
    [password] = asked(site, "GET", "stages/all/?name=default-authentication-password")[1]["results"]
    path = f"stages/all/{password['pk']}/"
    status, refused, _ = asked(site, "DELETE", path)
    assert (status, refused["code"]) == (409, "E_WAY_IN")
    assert Visitor(site.base_url).log_in("akadmin", PASSWORD)["component"] == "xak-flow-redirect"
    status, _, told = asked(site, "DELETE", f"{path}?force=true")
    assert (status, told) == (204, refused["places"])
    page, who = by_name_alone(site, AUTHENTICATION, "akadmin")
    assert (page["component"], who) == ("ak-stage-access-denied", None)


def test_the_last_administrator_is_disabled_on_the_command_line_only_by_force(site: SluiceUp) -> None:
    refused = site.command("users", "disable", "akadmin", check=False)
    assert refused.returncode == 1
    assert refused.stderr.rstrip().endswith("[E_LAST_ADMINISTRATOR]")
    assert asked(site, "GET", "core/users/")[0] == 200
    site.command("users", "disable", "akadmin", "--force")
    site.command("users", "enable", "akadmin")
