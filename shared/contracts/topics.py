"""The topics: who writes them, what their key is, how many partitions they have and how long their records stay.

`sluice topics create` and the embedded log make them from here, `docs/asyncapi.yaml`
describes them from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

SESSION_PARTITIONS: Final = 12
MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
KIB: Final = 1024

Cleanup = Literal["delete", "compact"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `retention_s` None keeps records for ever; `segment_s` is how often a segment is closed: a broker deletes and
    compacts closed ones only, and left to itself closes one in a week."""

    name: str
    key: str
    writer: str
    carries: str
    partitions: int = SESSION_PARTITIONS
    cleanup: tuple[Cleanup, ...] = ("delete",)
    retention_s: int | None = None
    segment_s: int | None = None
    max_bytes: int = 256 * KIB

    @property
    def volatile(self) -> bool:
        """Kept an hour or less: the embedded log holds such a topic in memory only (architecture §7)."""
        return self.retention_s is not None and self.retention_s <= HOUR and "compact" not in self.cleanup


DEFINITIONS: Final = "catalog.definitions"
CATALOG_EVENTS: Final = "catalog.events"
PLAN_REQUESTS: Final = "planner.requests"
PLANS: Final = "planner.plans"
POLICY_REQUESTS: Final = "policy.requests"
VERDICTS: Final = "policy.verdicts"
STEPS: Final = "executor.steps"
REPLIES: Final = "executor.replies"
SESSIONS: Final = "executor.sessions"
STATE: Final = "executor.state"
KEYS: Final = "executor.keys"
REVOCATIONS: Final = "executor.revocations"
TOKENS: Final = "directory.tokens"
DIRECTORY_EVENTS: Final = "directory.events"
DEAD_LETTERS: Final = "dead-letters"

_ALL = (
    Topic(
        DEFINITIONS,
        "content hash of a body, or object of a pointer",
        "catalog",
        "definitions: bodies first, the pointer last",
        partitions=1,
        cleanup=("compact",),
    ),
    Topic(CATALOG_EVENTS, "object", "catalog", "who changed what, before and after", partitions=1, retention_s=3650 * DAY),
    Topic(PLAN_REQUESTS, "session", "executor worker", "questions to the planner", retention_s=HOUR, segment_s=10 * MINUTE),
    Topic(PLANS, "session", "planner", "plans, or refusals with their reasons", retention_s=HOUR, segment_s=10 * MINUTE),
    Topic(POLICY_REQUESTS, "session", "planner, executor worker", "questions to policy", retention_s=HOUR, segment_s=10 * MINUTE),
    Topic(VERDICTS, "session", "policy", "verdicts with their reasons", retention_s=HOUR, segment_s=10 * MINUTE),
    Topic(STEPS, "session", "executor edge", "what visitors ask for, their bodies sealed", retention_s=15 * MINUTE, segment_s=MINUTE),
    Topic(
        REPLIES,
        "partition of the asking edge",
        "executor worker",
        "one reply for each step of an edge in another process",
        retention_s=5 * MINUTE,
        segment_s=MINUTE,
    ),
    Topic(
        SESSIONS,
        "session",
        "executor worker",
        "one transition for each accepted step: the audited history",
        retention_s=30 * DAY,
        segment_s=DAY,
    ),
    Topic(
        STATE,
        "session and owner",
        "executor worker",
        "the folded state of a session: a new owner's start",
        cleanup=("compact", "delete"),
        retention_s=25 * HOUR,
        segment_s=10 * MINUTE,  # what is not compacted yet, a new owner reads while its sessions wait
    ),
    Topic(
        KEYS,
        "epoch",
        "executor worker",
        "public halves of the keys that answers are sealed to",
        partitions=1,
        cleanup=("compact", "delete"),
        retention_s=HOUR,
        segment_s=10 * MINUTE,
    ),
    Topic(
        REVOCATIONS,
        "login or user",
        "executor directory",
        "logins ended before their time",
        partitions=1,
        retention_s=HOUR,
        segment_s=10 * MINUTE,
    ),
    Topic(TOKENS, "hash of the token", "executor directory", "who a bearer token is", partitions=1, cleanup=("compact",)),
    Topic(DIRECTORY_EVENTS, "user", "executor directory", "what happened to users", partitions=1, retention_s=3650 * DAY),
    Topic(
        DEAD_LETTERS,
        "source",
        "all",
        "what could not be handled, with the reason",
        partitions=1,
        retention_s=30 * DAY,
        segment_s=DAY,
    ),
)

TOPICS: Final[Mapping[str, Topic]] = {topic.name: topic for topic in _ALL}
