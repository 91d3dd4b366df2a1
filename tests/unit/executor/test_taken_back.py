"""Runs of definitions that were taken back end at their next step, and what was typed for them goes nowhere."""

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from shared.kernel.errors import Unavailable
from shared.telemetry.metrics import use
from shared.telemetry.names import FLOW, OPEN_RUNS
from tests.unit.executor.test_steps import events
from tests.unit.executor.world import LOGIN_STAGES, Browser, World, stage


async def at_the_password(world: World) -> Browser:
    browser = world.browser()
    await browser.get()
    reply = await browser.post({"uid_field": "alice"})
    assert reply.view and reply.view.component == "ak-stage-password"
    return browser


async def test_a_run_whose_flow_is_gone_ends_and_there_is_nothing_to_begin() -> None:
    flows = {"login": LOGIN_STAGES}
    async with World(flows) as world:
        browser = await at_the_password(world)
        world.retirements.flows.add("login")
        del flows["login"]
        reply = await browser.post({"password": "secret"})
        assert (reply.outcome, reply.login, reply.view) == ("unknown_flow", None, None)
        assert events(await world.history(browser.session))[-1] == "run.cancelled"
        assert (await browser.post({"password": "secret"})).outcome == "unknown_flow"
        assert (await browser.get()).outcome == "unknown_flow"


async def test_while_it_is_not_known_nothing_is_decided() -> None:
    async with World() as world:
        browser = await at_the_password(world)
        world.retirements.fail = Unavailable("unread")
        reply = await browser.post({"password": "secret"})
        assert (reply.outcome, reply.login) == ("unavailable", None)
        world.retirements.fail = None
        assert (await browser.post({"password": "secret"})).login


async def test_how_many_runs_of_a_flow_are_open_is_a_metric_of_the_worker_that_has_them() -> None:
    reader = InMemoryMetricReader()
    use(MeterProvider([reader]).get_meter("test"))
    try:
        async with World({"login": LOGIN_STAGES, "other": (stage("dummy"), stage("dummy"))}) as world:
            one, other = await at_the_password(world), await at_the_password(world)
            await other.post({}, "other")
            assert counted(reader) == {"login": 2, "other": 1}
            assert (await one.post({"password": "secret"})).login
            assert counted(reader) == {"login": 1, "other": 1}
            world.retirements.flows.add("login")
            await other.step("cancel", "login", None)
            assert counted(reader) == {"login": 0, "other": 0}
            await at_the_password(world)
            assert counted(reader)["login"] == 1
        assert counted(reader) == {"login": 0, "other": 0}, "they are another worker's now"
    finally:
        use(None)


def counted(reader: InMemoryMetricReader) -> dict[str, int]:
    """Open runs by flow."""
    data = reader.get_metrics_data()
    assert data is not None
    metrics = [metric for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics]
    points = [point for metric in metrics if metric.name == OPEN_RUNS[0] for point in metric.data.data_points]
    return {str((point.attributes or {})[FLOW]): int(getattr(point, "value", 0)) for point in points}
