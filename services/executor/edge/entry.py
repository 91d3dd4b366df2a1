"""The ways in and out that are no flow themselves: `/`, the default flow of a designation, cancel, and who one is."""

from typing import Final, cast
from urllib.parse import quote

from aiohttp import web

from services.executor.common.avatars import avatar
from services.executor.edge import queries
from services.executor.edge.cookies import Cookies
from services.executor.edge.csrf import Csrf
from services.executor.edge.reply_cache import ReplyCache
from services.executor.edge.steps import Asked, Steps, StillWorking
from services.executor.edge.templates import page
from services.executor.edge.unknown_flows import UnknownFlows
from services.executor.edge.user_facts import UserFactsCache
from services.executor.edge.visits import Visit, Visits
from services.executor.rules.destinations import AFTER_CANCEL, outer_destination
from shared.contracts.definitions import Designation
from shared.kernel.clock import Clock
from shared.web.base import linked, ours
from shared.web.errors import Refusal, later

_DESIGNATIONS: Final = ("authentication", "invalidation")
"""Only these two have an entry URL (docs/compat.md, Brands and default flows)."""


class Entry:
    """The handlers around flows."""

    def __init__(
        self,
        visits: Visits,
        steps: Steps,
        views: ReplyCache,
        cookies: Cookies,
        csrf: Csrf,
        facts: UserFactsCache,
        unknown: UnknownFlows,
        clock: Clock,
    ) -> None:
        self._visits = visits
        self._steps = steps
        self._views = views
        self._cookies = cookies
        self._csrf = csrf
        self._facts = facts
        self._unknown = unknown
        self._clock = clock

    def routes(self) -> tuple[web.RouteDef, ...]:
        """The routes."""
        return (
            web.get("/", self.root),
            web.get("/if/user/", self.user),
            web.get("/flows/-/default/{designation}/", self.default),
            web.get("/flows/-/cancel/", self.cancel),
        )

    async def root(self, request: web.Request) -> web.Response:
        """To one's own page, or to the log-in and back here."""
        visit = await self._visits.of(request)
        if visit.login is None:
            return _found(ours("/flows/-/default/authentication/") + f"?next={quote(ours(request.raw_path), safe='/')}")
        query = request.rel_url.raw_query_string
        return _found(ours("/if/user/") + (f"?{query}" if query else ""))

    async def user(self, request: web.Request) -> web.Response:
        """Who one is."""
        visit = await self._visits.of(request)
        found = await self._facts.of(visit.login.user) if visit.login else None
        token = self._csrf.kept(visit.csrf, visit.login) or self._csrf.new(visit.login)
        cookies = (self._cookies.set_csrf(visit.client, token),)
        return page("user.html", 200, cookies, user=found, avatar=linked(avatar(found.name or found.username)) if found else "")

    async def default(self, request: web.Request) -> web.Response:
        """To the default flow of this host for a designation, with the query as the server itself writes it."""
        designation = request.match_info["designation"]
        if designation not in _DESIGNATIONS:
            raise Refusal(404, "designation_unknown", size=len(designation))
        visit = await self._visits.of(request)
        try:
            told = await self._steps.ask(visit, Asked("locate", designation=cast("Designation", designation)))
        except StillWorking as working:
            raise later(working.reason) from None
        reply = told.reply
        match reply.outcome:
            case "located" if reply.slug:
                self._unknown.found(reply.slug)
                return _found(queries.rebuilt(ours(f"/if/flow/{reply.slug}/"), request.rel_url.raw_query_string))
            case "located" | "unknown_flow":
                raise Refusal(404, "flow_unknown", record=False)
            case _:
                raise later(reply.reason or reply.outcome, reply.retry_after_s)

    async def cancel(self, request: web.Request) -> web.Response:
        """Give up all open runs; another site cannot make a browser do that."""
        visit = await self._visits.of(request)
        answer = _found(_after_cancel(queries.last_values(request.rel_url.raw_query_string).get("next"), visit))
        if request.method == "HEAD" or visit.session is None or visit.unasked:
            return answer
        try:
            reply = (await self._steps.ask(visit, Asked("cancel"))).reply
        except StillWorking as working:
            raise later(working.reason) from None
        if reply.outcome in ("busy", "unavailable"):
            raise later(reply.reason or reply.outcome, reply.retry_after_s)
        self._views.forget(visit.session.session)
        if reply.session_over and visit.login is None:
            answer.headers.add("Set-Cookie", self._cookies.clear_session(visit.client))
        elif reply.outcome == "accepted" and reply.rotation == visit.rotation:
            line = self._cookies.set_session(visit.client, visit.session.value, visit.login, self._clock.now_us())
            answer.headers.add("Set-Cookie", line)
        return answer


def _after_cancel(wanted: str | None, visit: Visit) -> str:
    """Where who gave up goes: whoever is logged in leaves first, as recorded; what they came for is not forgotten."""
    target = outer_destination(wanted)
    if visit.login is None and target:
        return target
    return ours(AFTER_CANCEL) + (f"?next={quote(target, safe='/')}" if target else "")


def _found(location: str) -> web.Response:
    return web.Response(status=302, headers={"Location": location}, content_type="text/html", charset="utf-8")
