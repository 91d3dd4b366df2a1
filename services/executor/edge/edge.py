"""The edge, put together: everything that it needs comes in as constructor arguments (`services/executor/bootstrap/edge_role.py`)."""

import secrets
from collections.abc import Iterable, Mapping

from aiohttp import web

from services.executor.common.ports import Logins
from services.executor.edge import files
from services.executor.edge.api import ExecutorApi
from services.executor.edge.cookies import Cookies
from services.executor.edge.csrf import Csrf
from services.executor.edge.dialogue import Dialogue
from services.executor.edge.entry import Entry
from services.executor.edge.login_check import TAIL_AGE_S, LoginCheck, Revocations
from services.executor.edge.me import Me
from services.executor.edge.pages import FlowPages
from services.executor.edge.replies import Replies
from services.executor.edge.reply_cache import ReplyCache
from services.executor.edge.sealing_keys import EpochSealer, Keys
from services.executor.edge.settings import EdgeSettings
from services.executor.edge.steps import Steps
from services.executor.edge.unknown_flows import UnknownFlows
from services.executor.edge.user_facts import UserFactsCache
from services.executor.edge.visits import Visits
from shared.contracts.steps import StepReplied
from shared.contracts.topics import REPLIES, TOPICS
from shared.kernel.clock import Clock
from shared.kernel.ids import random_id
from shared.messaging.log import Log
from shared.web.query_tokens import UserOfToken


class Edge:
    """One edge. `revocations` and `keys` are started and stopped by whoever made them.

    `user_of_token` tells whose bearer token this is. `partition` of `executor.replies` is drawn if it is not given.
    """

    def __init__(
        self,
        log: Log,
        logins: Logins,
        revocations: Revocations,
        keys: Keys,
        settings: EdgeSettings,
        clock: Clock,
        user_of_token: UserOfToken,
        partition: int | None = None,
    ) -> None:
        edge = random_id()
        place = secrets.randbelow(TOPICS[REPLIES].partitions) if partition is None else partition
        self._keys = keys
        self._revocations = revocations
        self._replies = Replies(log, edge, place, settings.waiting_steps)
        self._facts = UserFactsCache(log, logins, clock, settings.cached_facts)
        steps = Steps(log, self._replies, EpochSealer(keys), clock, settings, edge)
        cookies, csrf = Cookies(settings), Csrf(settings.secrets)
        views = ReplyCache(clock, settings.cached_views, settings.cached_views_size)
        visits = Visits(cookies, LoginCheck(logins, revocations, clock, settings.checked_logins, settings.login_life), csrf, clock)
        unknown = UnknownFlows(clock)
        dialogue = Dialogue(steps, views, cookies, csrf, unknown, clock)
        self._parts = (
            ExecutorApi(visits, dialogue, csrf, self._facts, user_of_token),
            FlowPages(visits, dialogue, cookies, csrf),
            Entry(visits, steps, views, cookies, csrf, self._facts, unknown, clock),
            Me(visits, self._facts, cookies, user_of_token, clock),
        )

    def hand_over(self, reply: StepReplied) -> bool:
        """See `Replies.hand_over`."""
        return self._replies.hand_over(reply)

    async def start(self) -> None:
        """Listen for replies; after this, steps can be asked for."""
        await self._replies.start()
        await self._facts.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._facts.stop()
        await self._replies.stop()

    @property
    def failure(self) -> BaseException | None:
        """Why it does not listen any more."""
        return self._replies.failure or self._facts.failure

    def routes(self) -> Iterable[web.RouteDef]:
        """All routes of visitors."""
        return [*(route for part in self._parts for route in part.routes()), *files.routes()]

    def readiness(self) -> Mapping[str, bool]:
        """Replies arrive, there is a key to seal to, and revocations arrive. Whether some are missing (nobody leads the relays) keeps
        nobody from being served: PostgreSQL is asked, of which readiness speaks by itself."""
        return {
            "replies": self._replies.listening,
            "sealing_key": self._keys.current() is not None,
            "revocations": self._revocations.fetched_age() <= TAIL_AGE_S,
        }
