"""Starts that wrote nothing: what planner and policy answered, kept for a while (architecture §3).

A page that nobody has answered belongs to no session, so its start is decided anew with its answer. These replies only save
asking twice: without any of them everything comes out the same.
"""

from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from shared.contracts.planner import PlanMade, PlanRefused
from shared.contracts.policy import VerdictReached

MAX_AGE_US: Final = 600_000_000
"""Who answers later gets a plan of what is defined then."""

Reply = PlanMade | PlanRefused | VerdictReached
Replies = dict[str, Reply]
"""By the digest of what was asked: visitor, login, their epoch and the session's obligations are in it, and another one is another question."""


@dataclass(frozen=True, slots=True)
class _Start:
    replies: Replies
    at_us: int


class Starts:
    """The newest `limit` starts of a worker, by session and run. Under a flood the oldest go first, and nobody notices."""

    def __init__(self, limit: int) -> None:
        self._kept: LRUCache[tuple[str, str], _Start] = LRUCache(limit)

    def keep(self, session: str, run: str, replies: Replies, now_us: int) -> None:
        """Keep what the start of this run was told."""
        if self._kept.maxsize:
            self._kept[session, run] = _Start(dict(replies), now_us)

    def of(self, session: str, run: str, now_us: int) -> Replies:
        """What is kept of the start of this run; nothing if that is too old, or gone."""
        found = self._kept.get((session, run))
        return dict(found.replies) if found and now_us - found.at_us <= MAX_AGE_US else {}

    def drop(self, session: str, run: str) -> None:
        """The run has begun."""
        self._kept.pop((session, run), None)
