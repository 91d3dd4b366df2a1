"""Who may write which topic, how a record proves it, and who reads it: the one table of this (architecture §2).

The signer refuses by it, the verifier judges by it, `sluice topics acls` and the table in docs/security.md are made from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from shared.contracts import topics

Service = Literal["catalog", "planner", "policy", "executor"]
SERVICES: Final[tuple[Service, ...]] = get_args(Service)
Proof = Literal["mac", "signature"]
"""`mac`: keyed BLAKE2, among executors, who share `SLUICE_SECRET_KEY`; `signature`: Ed25519, where others read too."""


@dataclass(frozen=True, slots=True)
class Writers:
    """Of one topic: which services write it, by what they prove it, which services read it."""

    proof: Proof
    services: tuple[Service, ...]
    readers: tuple[Service, ...] = ()


WRITERS: Final[Mapping[str, Writers]] = {
    topics.DEFINITIONS: Writers("signature", ("catalog",), ("catalog", "planner", "policy", "executor")),
    topics.CATALOG_EVENTS: Writers("signature", ("catalog",)),
    topics.PLAN_REQUESTS: Writers("signature", ("executor",), ("planner",)),
    topics.PLANS: Writers("signature", ("planner",), ("executor",)),
    topics.POLICY_REQUESTS: Writers("signature", ("planner", "executor"), ("policy",)),
    topics.VERDICTS: Writers("signature", ("policy",), ("planner", "executor")),
    topics.STEPS: Writers("mac", ("executor",), ("executor",)),
    topics.REPLIES: Writers("mac", ("executor",), ("executor",)),
    topics.SESSIONS: Writers("signature", ("executor",), ("executor",)),
    topics.STATE: Writers("mac", ("executor",), ("executor",)),
    topics.KEYS: Writers("mac", ("executor",), ("executor",)),
    topics.REVOCATIONS: Writers("mac", ("executor",), ("executor",)),
    topics.TOKENS: Writers("signature", ("executor",), ("catalog", "executor")),
    topics.DIRECTORY_EVENTS: Writers("signature", ("executor",), ("executor",)),
    topics.DEAD_LETTERS: Writers("signature", SERVICES, SERVICES),
}

GROUPS: Final[Mapping[Service, tuple[str, ...]]] = {"planner": ("planner",), "policy": ("policy",), "executor": ("executor",)}
"""The consumer groups that a service joins."""
