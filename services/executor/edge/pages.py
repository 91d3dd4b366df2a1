"""`/if/flow/<slug>/`: a flow for a browser, by plain forms. It shows the same challenge objects that the API answers with."""

from dataclasses import replace
from typing import Final

from aiohttp import web

from services.executor.edge import challenges, forms, queries
from services.executor.edge.api import SLUG
from services.executor.edge.cookies import Cookies
from services.executor.edge.csrf import Csrf
from services.executor.edge.dialogue import AnotherBody, Dialogue, Exchange, Superseded, UnknownFlow
from services.executor.edge.steps import StillWorking
from services.executor.edge.templates import page
from services.executor.edge.visits import Visit, Visits
from shared.web.app import CORRELATION, body_of, suspect
from shared.web.base import ours, target
from shared.web.errors import Refusal, later
from shared.web.forgery import accepted, facts, refuse_foreign

GOES_ON: Final = "The page goes on by itself."
_NO_LOG_IN: Final = "This log-in is over, and nobody was logged in by it. If it happens again, tell your administrator."
_LOG_INS: Final = ("/", "/flows/-/default/authentication/")
_OUT_OF_DATE: Final = "This page was out of date, so nothing was sent. Please try again."


class FlowPages:
    """The handlers of the flow page."""

    def __init__(self, visits: Visits, dialogue: Dialogue, cookies: Cookies, csrf: Csrf) -> None:
        self._visits = visits
        self._dialogue = dialogue
        self._cookies = cookies
        self._csrf = csrf

    def routes(self) -> tuple[web.RouteDef, ...]:
        """GET, HEAD and POST."""
        path = "/if/flow/{slug}/"
        return (web.get(path, self.get, allow_head=False), web.head(path, self.head), web.post(path, self.post))

    async def get(self, request: web.Request) -> web.Response:
        """Show the flow's current challenge."""
        return await self._shown(request, await self._visit(request))

    async def head(self, request: web.Request) -> web.Response:
        """What a browser that has nothing would be shown: nobody sees it, so it takes no step of anybody's, and leaves no cookie."""
        visit = await self._visit(request)
        nobody = replace(visit, session=None, login=None, login_over=False, shown=None, foreign=False, awaited=None)
        answer = await self._shown(request, nobody)
        answer.headers.popall("Set-Cookie", None)
        return answer

    async def _shown(self, request: web.Request, visit: Visit) -> web.Response:
        if visit.unasked and visit.login:
            return self._asks_first(request, visit)
        try:
            exchange = await self._dialogue.show(visit, _inner(request), None)
        except StillWorking as working:
            return _waits(request, visit, working, self._dialogue.waiting(visit, working))
        except Superseded:
            return _reloads(request)
        except UnknownFlow:
            return self._unknown(visit)
        return self._rendered(request, visit, exchange)

    async def post(self, request: web.Request) -> web.Response:
        """Take a form."""
        visit = await self._visit(request)
        sender = refuse_foreign(request, visit.client)
        form = forms.parsed(await body_of(request), request.content_type)
        query = _inner(request)
        visit = self._visits.looking_at(visit, *form.steps)
        try:
            if not accepted(sender, token=self._has_token(visit, form)):
                suspect(request, "csrf", len(form.csrf), **facts(visit.client, sender))
                return self._rendered(request, visit, await self._dialogue.show(visit, query, None), status=403, notice=_OUT_OF_DATE)
            exchange = await self._dialogue.answer(visit, form.answer, query, None)
        except StillWorking as working:
            return _waits(request, visit, working, self._dialogue.waiting(visit, working))
        except AnotherBody:
            suspect(request, "another_body", len(form.answer))
            return _looks_first(request, visit)
        except Superseded:
            return _reloads(request)
        except UnknownFlow:
            return self._unknown(visit)
        if exchange.advanced and exchange.view.kind == "challenge":
            return self._sent_on(visit, exchange, _url(request, exchange.run))
        return self._rendered(request, visit, exchange)

    async def _visit(self, request: web.Request) -> Visit:
        slug = request.match_info["slug"]
        if not SLUG.match(slug):  # before anything is made of the path, such as a cookie's
            suspect(request, "slug_malformed", len(slug))
            raise Refusal(404, "flow_unknown", record=False)
        return await self._visits.of(request, slug, named=queries.inner_and_run(request.rel_url.raw_query_string)[1])

    def _has_token(self, visit: Visit, form: forms.Form) -> bool:
        """Whether the form's token is for this browser, and for its session, unless nobody had answered the page."""
        session = "" if visit.page or visit.session is None else visit.session.session
        return bool(visit.page or session) and any(self._csrf.form_is_for(form.csrf, one, session) for one in visit.csrfs)

    def _rendered(self, request: web.Request, visit: Visit, exchange: Exchange, status: int = 200, notice: str = "") -> web.Response:
        if exchange.ended and visit.login is None:
            suspect(request, "ended_at_once")  # it stands in no history
        if exchange.view.kind == "redirect":
            return self._onward(visit, exchange, status)
        here = _url(request, exchange.run)
        challenge = challenges.document(exchange.view, request[CORRELATION])
        cookies = self._with_csrf(visit, exchange)
        match exchange.view.kind:
            case "challenge":
                return page(
                    "flow.html", status, cookies, challenge=challenge, action=here, again=_url(request, ""),
                    notice=notice or exchange.view.told, step=exchange.step, csrf=self._csrf.form(exchange.csrf, exchange.session),
                )  # fmt: skip
            case "denied":
                return page("denied.html", status, cookies, challenge=challenge, told=exchange.view.told, action=_url(request, ""))
            case _:
                return page(
                    "message.html", status, cookies, title="Something went wrong",
                    text="This step could not be carried out. If it happens again, tell your administrator the reference.",
                    link=here, link_text="Try again", reference=request[CORRELATION],
                )  # fmt: skip

    def _onward(self, visit: Visit, exchange: Exchange, status: int) -> web.Response:
        """The end, as a page that goes on by itself. No redirect: browsers hold the whole chain that begins with a form to
        `form-action` (CSP 3 §6.4.1), and what is behind `to` may well send the browser on to another host."""
        view, to = exchange.view, target(exchange.view.to)
        if _leads_back(exchange):
            return page(
                "message.html", status, self._with_csrf(visit, exchange), title="Nobody was logged in",
                text=view.message or _NO_LOG_IN, link=to, link_text="Continue",
            )  # fmt: skip
        found = {"title": "You can go on", "text": view.message} if view.message else {"title": "One moment", "text": GOES_ON}
        refresh = "" if view.message else f"0; url={to}"
        return page("message.html", status, self._with_csrf(visit, exchange), refresh, link=to, link_text="Continue", **found)

    def _sent_on(self, visit: Visit, exchange: Exchange, to: str) -> web.Response:
        answer = web.Response(status=303, headers={"Location": to})
        for line in self._with_csrf(visit, exchange):
            answer.headers.add("Set-Cookie", line)
        return answer

    def _with_csrf(self, visit: Visit, exchange: Exchange) -> tuple[str, ...]:
        line = self._cookies.set_csrf(visit.client, exchange.csrf)
        return tuple(dict.fromkeys((*exchange.cookies, line)))

    def _asks_first(self, request: web.Request, visit: Visit) -> web.Response:
        # A GET may act (log out, leave): not because another site sent the browser here, or it looks ahead.
        return page(
            "message.html", title="Continue?", text="Another page led here, or your browser looked ahead. Nothing has happened yet.",
            link=_here(request), link_text="Continue",
        )  # fmt: skip

    def _unknown(self, visit: Visit) -> web.Response:
        token = self._csrf.kept(visit.csrf, visit.login) or self._csrf.new(visit.login)
        return page(
            "message.html", 404, (self._cookies.set_csrf(visit.client, token),), title="Not found", text="There is no such flow.",
        )  # fmt: skip


def _leads_back(exchange: Exchange) -> bool:
    """Whether a log-in that logged in nobody would begin anew if its page went on by itself, and again, and never end: it was over as
    it began, so that whatever wants a log-in and sends the browser back here does so for ever; or it goes to where log-ins begin."""
    if exchange.view.flow.designation != "authentication" or not exchange.nobody:
        return False
    return exchange.ended or exchange.view.to.partition("?")[0].partition("#")[0] in _LOG_INS


def _inner(request: web.Request) -> str:
    return queries.short(queries.inner_and_run(request.rel_url.raw_query_string)[0])


def _url(request: web.Request, run: str) -> str:
    """This page, of this run."""
    inner, _ = queries.inner_and_run(request.rel_url.raw_query_string)
    query = "&".join(filter(None, (inner, f"{queries.RUN}={run}" if run else "")))
    return ours(f"{request.rel_url.raw_path}?{query}" if query else request.rel_url.raw_path)


def _waits(request: web.Request, visit: Visit, working: StillWorking, cookies: tuple[str, ...]) -> web.Response:
    if working.away:
        raise later(working.away, cookies=cookies)
    return page(
        "message.html", 200, cookies, title="Still working", text="This takes longer than usual. The page goes on by itself.",
        refresh=f"2; url={_url(request, visit.run)}", link=_url(request, visit.run), link_text="Look again",
    )  # fmt: skip


def _looks_first(request: web.Request, visit: Visit) -> web.Response:
    return page(
        "message.html", 409, title="One answer at a time",
        text="Your answer before this one was still being worked on, so this one was not taken. The page shows what came of it.",
        refresh=f"2; url={_url(request, visit.run)}", link=_url(request, visit.run), link_text="Look",
    )  # fmt: skip


def _reloads(request: web.Request) -> web.Response:
    return page("message.html", title="One moment", text=GOES_ON, refresh=f"1; url={_here(request)}")


def _here(request: web.Request) -> str:
    """This page as its browser has it."""
    return ours(request.raw_path)
