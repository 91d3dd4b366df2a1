"""authentik's own blueprints: those that the stage types here make possible still apply and log in, now that a log-in needs a proof."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.catalog.application.applying import shipped_files
from services.catalog.application.ids import new_pk
from services.catalog.domain.blueprints.document import parse
from services.catalog.domain.blueprints.errors import BlueprintRefused
from services.catalog.domain.blueprints.importer import events_of
from services.catalog.domain.objects import Catalog, evolve
from services.catalog.domain.ways_in import judged
from tests.conftest import RECORDINGS
from tests.e2e.sluice_process import SluiceUp
from tests.e2e.visitor import AUTHENTICATION, INVALIDATION, Visitor

pytestmark = pytest.mark.shared
BLUEPRINTS = RECORDINGS / "blueprints"
FILES = sorted(BLUEPRINTS.glob("*/*.yaml")) + sorted((RECORDINGS / "exports").glob("*.yaml"))
PASSWORD = "akadmin-of-the-stock-flows"
# Begun by a source, which says who it is; there are none here, so its login stage has no proof before it.
BY_A_SOURCE = "Flow default-source-authentication: nothing before default-source-authentication-login (order 0)"


def after(catalog: Catalog, raw: bytes, name: str) -> Catalog:
    return evolve(catalog, events_of(catalog, parse(raw, name), new_pk)[0])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_stock_file_is_refused_for_what_is_not_here_and_never_for_its_proofs(path: Path) -> None:
    before = Catalog()
    for one in shipped_files():
        before = after(before, one.raw, one.name)
    try:
        applied = after(before, path.read_bytes(), path.name)
    except BlueprintRefused as refused:
        why = refused.reason
    else:
        verdict, why = judged(before, applied), ""
        assert verdict.refused == ()
        assert [text for text in verdict.warned if not text.startswith(BY_A_SOURCE)] == []
    assert why in ("", "E_BP_MODEL", "E_BP_TAG", "E_BP_ENTRY")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SluiceUp]:
    with SluiceUp(tmp_path_factory.mktemp("stock") / "data", {"SLUICE_BOOTSTRAP_PASSWORD": PASSWORD}) as up:
        yield up


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["default/flow-default-authentication-flow.yaml", "example/flows-login-2fa.yaml"])
def test_a_stock_log_in_applies_and_logs_in(site: SluiceUp, name: str) -> None:
    applied = site.command("flows", "apply", str(BLUEPRINTS / name)).stdout
    assert "warning:" not in applied
    site.command("flows", "apply", str(BLUEPRINTS / "default/flow-default-invalidation-flow.yaml"))
    deadline = time.monotonic() + 60
    while (who := _logged_in(site)) is None and time.monotonic() < deadline:
        time.sleep(0.2)  # an edit reaches planners within a second or two
    assert who is not None
    assert who.who() == "akadmin"
    assert who.challenge(INVALIDATION)["component"] == "xak-flow-redirect"
    assert who.who() is None


def _logged_in(site: SluiceUp) -> Visitor | None:
    visitor = Visitor(site.base_url)
    if visitor.challenge(AUTHENTICATION)["component"] != "ak-stage-identification":
        return None
    assert visitor.log_in("akadmin", PASSWORD)["component"] == "xak-flow-redirect"
    return visitor
