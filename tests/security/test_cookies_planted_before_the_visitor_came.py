"""A session's cookie is put into the victim's browser before they come. Whatever the victim proves there, the planter, who
holds the same cookie, is not in that session any more: the last question of a flow is answered by who proved, or by nobody.
"""

from typing import ClassVar

import pytest

from shared.contracts.definitions import StageBody
from shared.contracts.planner import PlannedStage
from shared.flows.effects import Answer, Effects
from shared.flows.fields import Field, TextField
from shared.flows.stage import Challenge, Denied, Outcome, Passed, Run, Stage, StageConfig
from tests.integration.edge.conftest import Answer as Page
from tests.integration.edge.conftest import Browser, onward
from tests.security.attacked import API, PAGE, SESSION, Whole, followed, send
from tests.unit.executor.world import LOGIN_STAGES, PASSWORD, stage


class NewAccountConfig(StageConfig):
    """Nothing to set."""


class NewAccount(Stage[NewAccountConfig]):
    """The first page of an enrolment, as a prompt stage would ask it: a name, and a password that nobody has to verify."""

    name = "new_account"
    app = "tests"
    model = "newaccountstage"
    path = "new_account/"
    form = "ak-stage-new-account-form"
    verbose_name = "New Account Stage"
    config = NewAccountConfig
    fields: ClassVar[dict[str, Field]] = {"name": TextField(), "password": TextField(trim=False, secret=True)}

    async def challenge(self, run: Run, config: NewAccountConfig, do: Effects) -> Challenge | Passed | Denied:
        return Challenge("ak-stage-new-account")

    async def answer(self, run: Run, config: NewAccountConfig, answer: Answer, do: Effects) -> Outcome:
        assert answer.sealed("password")
        return Passed("anonymous", "new_account", {"new_account": str(answer["name"])})


IDENTIFICATION, VERIFICATION, _ = LOGIN_STAGES
BOTH = stage("identification", {"user_fields": ("username",), "password_stage": "pw"}).model_copy(
    update={"references": {"pw": StageBody(pk="pw", name="pw", type="password", config=PASSWORD)}}
)
REMEMBER = stage("user_login", {"remember_me_offset": "days=30"})
FLOWS: dict[str, tuple[tuple[PlannedStage, ...], list[dict[str, str]], dict[str, str]]] = {
    "a log-in that asks to be remembered": ((IDENTIFICATION, VERIFICATION, REMEMBER), [{"uid_field": "alice"}, {"password": "secret"}], {"remember_me": "true"}),
    "name and password on one page, then the question": ((BOTH, REMEMBER), [{"uid_field": "alice", "password": "secret"}], {"remember_me": "true"}),
    "something to read after the password": ((IDENTIFICATION, VERIFICATION, stage("dummy"), stage("user_login")), [{"uid_field": "alice"}, {"password": "secret"}], {}),
    "an enrolment of two pages": ((stage("new_account"), stage("dummy")), [{"name": "Ann", "password": "anns new one"}], {}),
}  # fmt: skip


async def planted(whole: Whole) -> tuple[Browser, Browser]:
    """The planter's browser, and the victim's with the planter's cookies in it."""
    planter = whole.browser()
    await planter.get(PAGE)
    return planter, whole.browser(planter.jar)


@pytest.mark.parametrize("by", ["page", "json"])
@pytest.mark.parametrize("kind", FLOWS)
async def test_the_planter_does_not_answer_the_question_after_the_proof(kind: str, by: str) -> None:
    stages, answers, last = FLOWS[kind]
    async with Whole({"login": stages}, extra=[NewAccount()]) as whole:
        planter, victim = await planted(whole)
        page = await victim.get(PAGE)
        for answer in answers:
            planter.jar |= {key: value for key, value in victim.jar.items() if key[0] == "sluice_step"}
            page = await followed(victim, await send(victim, page, **answer))
        assert victim.cookie(SESSION) != planter.cookie(SESSION)

        before = len(whole.world.directory.performed)
        if by == "page":
            refused = await send(planter, page, **last)
            assert "One moment" in refused.text
        else:
            planter.jar["sluice_step", API.partition("?")[0]] = planter.cookie("sluice_step", PAGE) or ""
            assert (await planter.get(API)).json["error"] == (await planter.post(API, last)).json["error"] == "superseded"
        assert len(whole.world.directory.performed) == before
        assert not await whole.is_somebody(planter)

        done = await send(victim, page, **last)
        assert is_the_end(done)
        assert await whole.is_somebody(victim) == any(one.type == "user_login" for one in stages)


def is_the_end(answer: Page) -> bool:
    """The page at a flow's end: it goes on, or says that nobody was logged in."""
    return "Nobody was logged in" in answer.text or onward(answer) == "/"


@pytest.mark.parametrize("kind", FLOWS)
async def test_after_30_s_the_planter_begins_in_a_session_of_their_own(kind: str) -> None:
    stages, answers, last = FLOWS[kind]
    async with Whole({"login": stages}, extra=[NewAccount()]) as whole:
        planter, victim = await planted(whole)
        page = await victim.get(PAGE)
        for answer in answers:
            page = await followed(victim, await send(victim, page, **answer))
        whole.clock.advance(31)
        planter.jar.pop(("sluice_step", PAGE), None)
        await planter.get(PAGE)
        await planter.post(API, last)
        assert not await whole.is_somebody(planter)
        assert is_the_end(await send(victim, page, **last))


async def test_to_say_who_one_is_changes_no_cookie() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        first = await browser.get(PAGE)
        value = browser.cookie(SESSION)
        page = await followed(browser, await send(browser, first, uid_field="alice"))
        assert browser.cookie(SESSION) == value
        await send(browser, page, password="wrong")
        assert browser.cookie(SESSION) == value


async def test_a_password_that_no_stage_asked_for_changes_none_either() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        first = await browser.get(PAGE)
        value = browser.cookie(SESSION)
        await send(browser, first, uid_field="alice", password="secret")
        assert browser.cookie(SESSION) == value


async def test_it_changes_once_where_a_transition_proves_and_logs_in() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        page = await followed(browser, await send(browser, await browser.get(PAGE), uid_field="alice"))
        await send(browser, page, password="secret")
        [state] = [owner.states.get(one) for owner in whole.world.workers[0].partitions.owners.values() for one in owner.states._packed]
        assert (state.rotation, state.login is not None) == (1, True)


async def test_other_tabs_go_on_after_it() -> None:
    flows = {"login": LOGIN_STAGES, "other": (stage("dummy"), stage("password", PASSWORD))}
    async with Whole(flows) as whole:
        whole.world.planner.designations["other"] = "stage_configuration"
        browser = whole.browser()
        other = await browser.get("/if/flow/other/")
        page = await followed(browser, await send(browser, await browser.get(PAGE), uid_field="alice"))
        await send(browser, page, password="secret")
        assert await whole.is_somebody(browser)
        went_on = await send(browser, other)
        assert went_on.status == 303
