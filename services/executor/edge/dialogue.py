"""One path for pages and JSON alike: ask what is to be shown, and say which cookies go with it (architecture §3)."""

from dataclasses import dataclass, replace
from typing import Final

from services.executor.edge.cookies import Awaited, Cookies
from services.executor.edge.csrf import Csrf
from services.executor.edge.replies import Arrived
from services.executor.edge.reply_cache import ReplyCache
from services.executor.edge.steps import Asked, Steps, StillWorking, Told
from services.executor.edge.unknown_flows import UnknownFlows
from services.executor.edge.visits import Visit
from shared.contracts.people import LoginClaims
from shared.contracts.steps import Page, Problem, Shown, StepReplied, View, challenge_digest
from shared.kernel.clock import Clock
from shared.web.errors import Refusal, later

_SET_BACK: Final = Problem(
    string="What you had begun here is over: it took too long, or was lost on our side. Please begin again.", code="session_over"
)


class UnknownFlow(Exception):
    """No flow has this slug."""


class Superseded(Exception):
    """The browser has a newer cookie by now than the one it sent: let it ask again, and set none."""


class AnotherBody(Exception):
    """The browser awaits the reply to an answer, and sends another answer in its place: 409."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What to show, and the `Set-Cookie` lines that go with it.

    `session` is the session that its forms belong to ("" for a page that nobody has answered), `csrf` the token that the browser
    has then, `step` what its forms have to name, `run` what the page's URL has to name. `ended`: a start came to its end and is
    written nowhere. `nobody`: whoever is at the browser is not logged in after it.
    """

    view: View
    advanced: bool
    cookies: tuple[str, ...]
    session: str
    csrf: str
    step: str
    run: str
    ended: bool
    nobody: bool


class Dialogue:
    """Shows runs and takes answers."""

    def __init__(self, steps: Steps, views: ReplyCache, cookies: Cookies, csrf: Csrf, unknown: UnknownFlows, clock: Clock) -> None:
        self._steps = steps
        self._views = views
        self._cookies = cookies
        self._csrf = csrf
        self._unknown = unknown
        self._clock = clock

    async def show(self, visit: Visit, query: str, outer_next: str | None) -> Exchange:
        """The current challenge of the flow: from the cache, or by the owner, who plans if no run is open."""
        # A page's URL names its run; the cookie of its path may be another tab's.
        shown = visit.shown if visit.shown and (visit.api or visit.shown.run == visit.named) else None
        if visit.session and visit.awaited:
            told = await self._ask(visit, Asked("state", visit.flow, shown=shown, awaited=visit.awaited.command))
            if told.reply.view is not None:
                return self._exchange(visit, told)
        if visit.session and shown:
            name = visit.login.login if visit.login else None
            found = self._views.find(visit.session.session, visit.rotation, name, shown)
            if found is not None:
                return self._exchange(visit, Told(Arrived(_without_errors(found), 0), fresh=False))
        shown = shown if visit.api else None
        told = await self._ask(visit, Asked("start", visit.flow, query=query, outer_next=outer_next, shown=shown))
        return self._exchange(visit, replace(told, arrived=Arrived(_without_errors(told.reply), 0)))

    async def answer(self, visit: Visit, body: bytes, query: str, outer_next: str | None) -> Exchange:
        """Deliver an answer. One to a page of another session or flow is not: its sender sees the current challenge.

        From a browser that awaits a reply the same body again gets that reply; another one is `AnotherBody`.
        """
        again = visit.awaited if visit.session and visit.awaited and visit.awaited.mark and visit.awaited.run == visit.run else None
        if again and visit.session and not self._cookies.is_body(again, visit.session.session, body):
            raise AnotherBody
        if visit.foreign:
            asked = Asked("start", visit.flow, query=query, outer_next=outer_next)
        else:
            asked = Asked(
                "answer", visit.flow, None, query, outer_next, body, visit.shown, visit.page, command=again.command if again else None
            )
        return self._exchange(visit, await self._ask(visit, asked))

    async def unchanged(self, visit: Visit) -> tuple[str, ...]:
        """The session cookie again, for an answer that takes no step; nothing if the owner does not vouch for it."""
        if visit.session is None:
            return ()
        told = await self._ask(visit, Asked("state", visit.flow, shown=visit.shown))
        return () if told.reply.outcome == "refused" else self._session_lines(visit, told)

    def waiting(self, visit: Visit, working: StillWorking) -> tuple[str, ...]:
        """The cookie by which the browser's next request here asks for the reply that has not come, log-in included."""
        if visit.awaited and visit.awaited.command != working.command and not (visit.awaited.looked and working.body):
            return ()  # the first that has not come counts: what was asked after it waits behind it
        known = visit.session is not None and visit.session.session == working.session
        if not known and not working.body:
            return ()  # a stranger's page: nothing of it is lost
        named = self._cookies.command(working.session, working.command, visit.run, working.body)
        lines = [self._cookies.set_command(visit.client, visit.path, named)]
        if not known:
            lines.append(self._set(visit, working.session, 0, visit.login))
        return tuple(lines)

    async def _ask(self, visit: Visit, asked: Asked) -> Told:
        if visit.shown is None and visit.page is None:  # else it names a step of this flow: there is one
            self._unknown.check(visit.client.address, visit.flow)
        try:
            told = await self._steps.ask(visit, asked)
        except StillWorking as working:
            # The step may run yet: what is cached may be behind it, and only the owner can say.
            self._views.forget(working.session)
            raise
        reply = told.reply
        match reply.outcome:
            case "unknown_flow":
                self._unknown.missed(visit.client.address, visit.flow)
                raise UnknownFlow
            case "superseded" if not (asked.awaited and reply.session_over):
                raise Superseded
            case "busy":
                raise later("busy", reply.retry_after_s)
            case "unavailable":
                self._views.forget(reply.session)
                raise later(reply.reason or "unavailable", reply.retry_after_s)
            case "refused" if asked.kind in ("start", "answer"):
                raise later(reply.reason or "refused", reply.retry_after_s)
            case _:
                # The reply to an earlier command may be about another flow than this request is.
                flow = reply.view.flow.slug if reply.view else visit.flow
                if reply.view is not None:
                    self._unknown.found(flow)
                login = _login_after(visit, reply)
                self._views.note(login.login if login else None, told.arrived)
        return told

    def _exchange(self, visit: Visit, told: Told) -> Exchange:
        reply = told.reply
        if reply.view is None:
            raise Refusal(503, "nothing_to_show", headers={"Retry-After": "1"}, record=False)
        login = _login_after(visit, reply)
        csrf = self._csrf.kept(visit.csrf, login) or self._csrf.new(login)
        step = self._step(visit, reply)
        lines = [*self._session_lines(visit, told)]
        if step:
            lines.append(self._cookies.set_step(visit.client, visit.path, step))
        if reply.login:
            lines.append(self._cookies.set_csrf(visit.client, csrf))
            lines.append(self._cookies.set_device(visit.client, visit.devices, reply.login))
        if visit.awaited:
            lines += self._awaits_still(visit, visit.awaited, told)
        begun = reply.transition is not None
        view = _telling(reply.view) if told.set_back and login is None and not visit.login_over else reply.view
        return Exchange(
            view, reply.advanced, tuple(lines), reply.session if begun else "", csrf, step,
            run=reply.run if reply.run and begun else "", ended=reply.outcome == "offered" and reply.view.kind in ("denied", "redirect"),
            nobody=login is None,
        )  # fmt: skip

    def _awaits_still(self, visit: Visit, awaited: Awaited, told: Told) -> tuple[str, ...]:
        """What was awaited has come, or was not taken until now. It may be yet, as long as a former owner's record is under way: its
        reply is looked for again, and any other answer may be given meanwhile."""
        if told.reply.outcome != "current" or told.fresh or not (awaited.mark or awaited.looked):
            return (self._cookies.set_command(visit.client, visit.path, ""),)
        if awaited.looked:
            return ()
        return (self._cookies.set_command(visit.client, visit.path, self._cookies.looked_for(awaited, told.reply.session)),)

    def _step(self, visit: Visit, reply: StepReplied) -> str:
        if reply.run is None or reply.view is None or reply.view.flow.slug != visit.flow:
            return ""
        if reply.transition is None:
            return self._page(visit, reply.run, reply.binding, reply.view) if reply.view.kind == "challenge" else ""
        return self._cookies.step(reply.session, visit.flow, Shown(run=reply.run, transition=reply.transition, version=reply.version))

    def _page(self, visit: Visit, run: str, binding: str, view: View) -> str:
        if visit.page and visit.page.run == run:  # what was answered was not taken: it is still the same page
            asked_us, address, agent = visit.page.at_us, visit.page.address, visit.page.user_agent
        else:
            asked_us, address, agent = self._clock.now_us(), visit.client.address, visit.agent
        login = visit.login.login if visit.login else ""
        page = Page(
            run=run, login=login, binding=binding, challenge=challenge_digest(view), at_us=asked_us, address=address, user_agent=agent
        )
        return self._cookies.page(visit.flow, page)

    def _session_lines(self, visit: Visit, told: Told) -> tuple[str, ...]:
        """The session cookie: the same value again, another one where privilege or session changed, or none."""
        reply = told.reply
        if reply.logged_out and reply.session_over:
            return (self._cookies.clear_session(visit.client),)
        if reply.login or reply.logged_out or (reply.rotated and not reply.session_over):
            return (self._set(visit, reply.session, reply.rotation, _login_after(visit, reply)),)
        if told.fresh and (reply.open or not _left(reply)):
            return (self._set(visit, reply.session, reply.rotation, visit.login),)
        if visit.session is None or (not told.fresh and reply.rotation != visit.rotation):
            return ()
        if reply.session_over and visit.login is None:
            return (self._cookies.clear_session(visit.client),)
        if visit.login_over:
            return (self._set(visit, visit.session.session, visit.rotation, None),)
        return (self._cookies.set_session(visit.client, visit.session.value, visit.login, self._clock.now_us()),)

    def _set(self, visit: Visit, session: str, rotation: int, login: LoginClaims | None) -> str:
        now = self._clock.now_us()
        made = visit.session.made_us if visit.session and visit.session.session == session else now
        return self._cookies.set_session(visit.client, self._cookies.session(session, rotation, login, made), login, now)


def _login_after(visit: Visit, reply: StepReplied) -> LoginClaims | None:
    return reply.login or (None if reply.logged_out else visit.login)


def _left(reply: StepReplied) -> bool:
    """A log-out flow that nobody's browser went through to its end: it began no session, as recorded.

    Every other flow begins one, even if it was over at once (recorded: empty flows, denials).
    """
    return reply.view is None or (reply.view.kind == "redirect" and reply.view.flow.designation == "invalidation")


def _telling(view: View) -> View:
    """The beginning, and why it is that."""
    return view.model_copy(update={"errors": {"non_field_errors": (_SET_BACK,)}}) if view.kind == "challenge" else view


def _without_errors(reply: StepReplied) -> StepReplied:
    # A GET shows the challenge, not what was wrong with an earlier answer (recorded).
    if reply.view is None or not reply.view.errors:
        return reply
    return reply.model_copy(update={"view": reply.view.model_copy(update={"errors": {}, "told": ""})})
