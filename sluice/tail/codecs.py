"""Which messages stand in which topic."""

from collections.abc import Mapping
from typing import Final

from shared.contracts import catalog, definitions, directory, failures, planner, policy, sessions, steps
from shared.contracts import topics as names
from shared.contracts.codec import Codec

CODECS: Final[Mapping[str, Codec]] = {
    names.DEFINITIONS: definitions.CODEC,
    names.CATALOG_EVENTS: catalog.CODEC,
    names.PLAN_REQUESTS: planner.CODEC,
    names.PLANS: planner.CODEC,
    names.POLICY_REQUESTS: policy.CODEC,
    names.VERDICTS: policy.CODEC,
    names.STEPS: steps.CODEC,
    names.REPLIES: steps.CODEC,
    names.SESSIONS: sessions.CODEC,
    names.STATE: sessions.CODEC,
    names.KEYS: directory.KEYS_CODEC,
    names.REVOCATIONS: directory.REVOCATIONS_CODEC,
    names.TOKENS: directory.TOKENS_CODEC,
    names.DIRECTORY_EVENTS: directory.EVENTS_CODEC,
    names.DEAD_LETTERS: failures.CODEC,
}
