"""What a visitor came for is not forgotten on any way through a flow."""

import pytest

from shared.contracts.planner import PlanRefused
from tests.unit.executor.test_steps import log_in
from tests.unit.executor.world import BRAND, LOGIN_STAGES, World, flow, stage

APP = "next=/app/%3Fa%3D1"


@pytest.mark.parametrize("query", [APP, "next=%2Fapp%2F%3Fa%3D1", "x=y&next=/elsewhere/&" + APP])
async def test_a_log_out_goes_on_to_it(query: str) -> None:
    async with World({"login": LOGIN_STAGES, "out": (stage("user_logout"),)}) as world:
        browser = world.browser()
        await log_in(browser)
        reply = await browser.get("out", query=query)
        assert reply.view and reply.view.to == "/app/?a=1"


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example/", "/%2f%2fevil.example", "/\\evil.example"])
async def test_a_log_out_does_not_lead_elsewhere(target: str) -> None:
    async with World({"login": LOGIN_STAGES, "out": (stage("user_logout"),)}) as world:
        browser = world.browser()
        await log_in(browser)
        reply = await browser.get("out", query=f"next={target}")
        assert reply.logged_out
        assert reply.view and reply.view.to in ("", "/")


@pytest.mark.parametrize(
    ("action", "query", "outer", "to"),
    [
        ("continue", APP, None, "/app/?a=1"),
        ("continue", APP, "/outer/", "/outer/"),
        ("continue", "next=//evil.example", None, "/"),
        ("continue", "", None, "/"),
        ("message_continue", APP, "/outer/", "/outer/"),
        ("message_continue", APP, None, ""),
        ("message", APP, "/outer/", ""),
    ],
)
async def test_a_denial_that_continues_goes_on_to_it(action: str, query: str, outer: str | None, to: str) -> None:
    async with World() as world:
        facts = flow("closed", denied_action=action)
        world.planner.refusals["closed"] = PlanRefused.model_validate(
            {
                "request": "",
                "session": "",
                "run": "",
                "digest": "",
                "reason": "not_applicable",
                "flow": facts.model_dump(),
                "brand": BRAND.model_dump(),
            }
        )
        reply = await world.browser().get("closed", query=query, outer_next=outer)
        assert reply.view and (reply.view.kind, reply.view.to) == (("redirect", to) if to else ("denied", ""))


async def test_a_restarted_flow_goes_on_to_it() -> None:
    stages = (
        stage("identification", {"user_fields": ("username",)}),
        stage("password", {"backends": ()}, action="restart"),
        stage("dummy"),
    )
    async with World({"again": stages, "login": LOGIN_STAGES}) as world:
        browser = world.browser()
        await browser.get("login", query=APP)
        await browser.post({"uid_field": "alice"}, query=APP)
        await browser.step("cancel", "login", None)
        await browser.get("login", query=APP)
        await browser.post({"uid_field": "alice"}, query=APP)
        reply = await browser.post({"password": "secret"}, query=APP)
        assert reply.view and reply.view.to == "/app/?a=1"


@pytest.mark.parametrize("refused", ["/a\\b", "/%2f%2fevil.example", "/a/../b", "/" + "a" * 4096])
async def test_what_is_refused_is_said(refused: str) -> None:
    async with World({"one": (stage("dummy"),)}) as world:
        browser = world.browser()
        await browser.get("one")
        reply = await browser.post({}, "one", query=f"next={refused}")
        assert reply.view and reply.view.to == "/"
        assert "left out" in reply.view.message


async def test_four_kibibytes_of_target_are_kept() -> None:
    async with World({"one": (stage("dummy"),)}) as world:
        browser = world.browser()
        target = "/" + "%C3%A4" * 682 + "abc"
        assert len(target) == 4096
        query = "next=" + target.replace("%", "%25").replace("/", "%2F")
        await browser.get("one", query=query)
        reply = await browser.post({}, "one", query=query)
        assert reply.view and (reply.view.to, reply.view.message) == (target, "")
