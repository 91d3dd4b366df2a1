"""A request sent again is answered again only to who can send the same body; anything else under an old cookie gets nothing,
and a command that is awaited takes no other body."""

import asyncio

import pytest

from shared.contracts import topics
from shared.contracts.sessions import CODEC, SessionAdvanced
from shared.messaging.log import Message, TopicPartition
from tests.fixtures_patience import PATIENT_S
from tests.integration.edge.conftest import Answer, Browser, onward
from tests.security.attacked import API, PAGE, SESSION, Whole, at_password, followed, send
from tests.unit.executor.world import LOGIN_STAGES, stage

REMEMBERING = (*LOGIN_STAGES[:2], stage("user_login", {"remember_me_offset": "days=30"}))


async def at_password_by_json(browser: Browser) -> None:
    await browser.get(API)
    assert (await browser.post(API, {"uid_field": "alice"})).status == 302


async def test_the_same_form_again_gets_the_same_reply_and_its_cookie() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        page = await at_password(browser)
        stutter = whole.browser(browser.jar)
        first, second = await asyncio.gather(send(browser, page, password="secret"), send(stutter, page, password="secret"))
        assert onward(first) == onward(second) == "/"
        assert browser.cookie(SESSION) == stutter.cookie(SESSION)
        assert whole.verified == 1 and len(whole.world.directory.performed) == 1
        assert await whole.is_somebody(stutter)


async def test_the_same_json_again_gets_the_same_reply_and_its_cookie() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        await at_password_by_json(browser)
        lost = whole.browser(browser.jar)
        first = await browser.post(API, {"password": "secret"})
        second = await lost.post(API, {"password": "secret"})
        assert first.json == second.json == {"component": "xak-flow-redirect", "to": "/"}
        assert browser.cookie(SESSION) == lost.cookie(SESSION)
        assert whole.verified == 1


async def test_it_does_too_without_the_step_cookie() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        await at_password_by_json(browser)
        browser.jar = {key: value for key, value in browser.jar.items() if key[0] != "sluice_step"}
        lost = whole.browser(browser.jar)
        await browser.post(API, {"password": "secret"})
        assert (await lost.post(API, {"password": "secret"})).json == {"component": "xak-flow-redirect", "to": "/"}
        assert whole.verified == 1


async def test_the_same_password_again_gets_the_next_page_where_the_login_asks() -> None:
    async with Whole({"login": REMEMBERING}) as whole:
        browser = whole.browser()
        page = await at_password(browser)
        stutter = whole.browser(browser.jar)
        await send(browser, page, password="secret")
        asks = await followed(stutter, await send(stutter, page, password="secret"))
        assert browser.cookie(SESSION) == stutter.cookie(SESSION)
        assert 'name="remember_me"' in asks.text
        assert whole.verified == 1


@pytest.mark.parametrize(
    "other", [{"password": "wrong"}, {"password": "secret", "more": "1"}, {}, {"password": "secret "}, {"Password": "secret"}]
)
async def test_another_body_under_the_old_cookie_gets_nothing(other: dict[str, str]) -> None:
    async with Whole() as whole:
        browser = whole.browser()
        page = await at_password(browser)
        thief = whole.browser(browser.jar)
        await send(browser, page, password="secret")
        refused = await send(thief, page, **other)
        assert "One moment" in refused.text and refused.cookies() == {}
        assert (await thief.post(API, other)).json["error"] == "superseded"
        assert not await whole.is_somebody(thief)
        assert whole.verified == 1


async def test_a_body_without_a_secret_is_no_key_to_what_came_after_it() -> None:
    """The name that somebody typed is known to many: sent again after the log-in, it opens nothing."""
    async with Whole() as whole:
        browser = whole.browser()
        first = await browser.get(PAGE)
        thief = whole.browser(browser.jar)
        page = await browser.get((await send(browser, first, uid_field="alice")).headers["Location"])
        await send(browser, page, password="secret")
        assert "One moment" in (await send(thief, first, uid_field="alice")).text
        assert not await whole.is_somebody(thief)


async def test_a_wrong_password_again_is_one_wrong_password() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        page = await at_password(browser)
        answers = [await send(browser, page, password="mistyped") for _ in range(3)]
        assert all("Invalid password" in answer.text for answer in answers)
        assert whole.verified == 1


@pytest.mark.parametrize("why", ["later than 30 s", "after the epoch's key was destroyed"])
async def test_the_same_body_too_late_gets_nothing(why: str) -> None:
    async with Whole() as whole:
        browser = whole.browser()
        page = await at_password(browser)
        late = whole.browser(browser.jar)
        await send(browser, page, password="secret")
        whole.opener.gone = why.startswith("after")
        whole.clock.advance(0 if whole.opener.gone else 31)
        await send(late, page, password="secret")
        assert not await whole.is_somebody(late)
        assert whole.verified == 1


async def test_the_history_does_not_tell_that_two_people_use_one_password() -> None:
    async with Whole() as whole:
        for _ in range(2):
            browser = whole.browser()
            await send(browser, await at_password(browser), password="secret")
        marks = [body.given.mark for body in await transitions(whole) if body.given.mark]
        assert len(set(marks)) == len(marks) == 4


async def test_the_history_does_not_tell_that_one_password_was_typed_twice() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        page = await send(browser, await at_password(browser), password="mistyped")
        await send(browser, page, password="mistyped")
        marks = [body.given.mark for body in await transitions(whole) if body.given.mark]
        assert whole.verified == 2
        assert len(set(marks)) == len(marks) == 3


# --- the one command that a client can name ---


class Slow:
    """Replies do not come in time while this is entered; the steps are taken all the same."""

    def __init__(self, whole: Whole) -> None:
        self._whole = whole

    def __enter__(self) -> None:
        self._append = self._whole.world.log.append
        object.__setattr__(self._whole.settings, "reply_wait_s", 0.3)

        async def append(message: Message) -> int:
            return 0 if message.topic == topics.REPLIES else await self._append(message)

        self._whole.world.log.append = append  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        self._whole.world.log.append = self._append  # type: ignore[method-assign]
        object.__setattr__(self._whole.settings, "reply_wait_s", PATIENT_S)


async def waiting(whole: Whole) -> tuple[Browser, Answer]:
    """A browser that was told "still working" when it sent the right password, and the page that it sent it from."""
    browser = whole.browser()
    page = await at_password(browser)
    with Slow(whole):
        answer = await send(browser, page, password="secret")
    assert "Still working" in answer.text and browser.cookie("sluice_command", PAGE)
    return browser, page


async def test_who_awaits_a_command_gets_its_reply() -> None:
    async with Whole() as whole:
        browser, _ = await waiting(whole)
        assert onward(await browser.get(PAGE)) == "/"
        assert await whole.is_somebody(browser)
        assert browser.cookie("sluice_command", PAGE) is None


async def test_the_same_body_under_an_awaited_command_gets_its_reply() -> None:
    async with Whole() as whole:
        browser, page = await waiting(whole)
        assert onward(await send(browser, page, password="secret")) == "/"
        assert await whole.is_somebody(browser)
        assert whole.verified == 1


@pytest.mark.parametrize("password", ["wrong", "", "secret ", "x" * 500])
async def test_another_body_under_an_awaited_command_is_a_conflict_and_gets_nothing(password: str) -> None:
    async with Whole() as whole:
        browser, page = await waiting(whole)
        refused = await send(browser, page, password=password)
        assert (refused.status, SESSION in refused.cookies()) == (409, False)
        assert not await whole.is_somebody(browser)
        assert whole.verified == 1
        assert whole.records.kinds[-1] == "another_body"
        # Nothing is lost for who sent the first: their page looks by itself.
        assert onward(await browser.get(PAGE)) == "/"


async def test_json_alike() -> None:
    async with Whole() as whole:
        browser = whole.browser()
        await at_password_by_json(browser)
        with Slow(whole):
            assert (await browser.post(API, {"password": "secret"})).json["error"] == "still_working"
        refused = await browser.post(API, {"password": "wrong"})
        assert (refused.status, refused.json["error"]) == (409, "another_body")
        assert (await browser.post(API, {"password": "secret"})).json == {"component": "xak-flow-redirect", "to": "/"}
        assert await whole.is_somebody(browser)
        assert whole.verified == 1


@pytest.mark.parametrize("forged", ["the bare id", "another session's", "", "a flipped bit", "cut", "with more"])
async def test_no_made_up_command_is_awaited(forged: str) -> None:
    async with Whole() as whole:
        browser, _ = await waiting(whole)
        command = await command_of(whole)
        value = browser.cookie("sluice_command", PAGE) or ""
        other, _ = await waiting(whole)
        thief = whole.browser(browser.jar)
        thief.jar["sluice_command", PAGE] = {
            "the bare id": command, "another session's": other.cookie("sluice_command", PAGE) or "", "": "",
            "a flipped bit": value[:-1] + ("A" if value[-1] != "A" else "B"), "cut": value[:40], "with more": value + "AAAA",
        }[forged]  # fmt: skip
        await thief.get(PAGE)
        assert not await whole.is_somebody(thief)


async def command_of(whole: Whole) -> str:
    """The newest command that stands in the history, as whoever reads the topic sees it; there is one session."""
    return max([(body.at_us, body.command) for body in await transitions(whole)])[1]


async def transitions(whole: Whole) -> list[SessionAdvanced]:
    found = []
    for partition in range(topics.SESSION_PARTITIONS):
        place = TopicPartition(topics.SESSIONS, partition)
        async for batch in whole.world.log.read(place, *await whole.world.log.bounds(place)):
            found += [body for record in batch if isinstance(body := CODEC.decode(record).body, SessionAdvanced)]
    return found
