"""Which messages each topic carries: for those who speak of all topics at once (AsyncAPI, contract tests, `sluice tail`)."""

from collections.abc import Mapping
from typing import Final

from shared.contracts import catalog, definitions, directory, failures, kept, planner, policy, sessions, states, steps, topics
from shared.contracts.codec import Codec
from shared.contracts.model import Contract

MESSAGES: Final[Mapping[str, tuple[type[Contract], ...]]] = {
    topics.DEFINITIONS: (definitions.BodyPublished, definitions.PointerMoved, definitions.ObjectRemoved),
    topics.CATALOG_EVENTS: (catalog.DefinitionChanged,),
    topics.PLAN_REQUESTS: (planner.PlanRequested, planner.FlowRequested),
    topics.PLANS: (planner.PlanMade, planner.PlanRefused, planner.FlowLocated),
    topics.POLICY_REQUESTS: (policy.VerdictRequested,),
    topics.VERDICTS: (policy.VerdictReached,),
    topics.STEPS: (steps.StepRequested,),
    topics.REPLIES: (steps.StepReplied,),
    topics.SESSIONS: (sessions.SessionAdvanced,),
    topics.STATE: (states.SessionState,),
    topics.KEYS: (directory.KeyPublished,),
    topics.REVOCATIONS: (directory.LoginRevoked, directory.RevocationsTold),
    topics.TOKENS: (directory.TokenChanged,),
    topics.DIRECTORY_EVENTS: (directory.UserChanged,),
    topics.DEAD_LETTERS: (failures.RecordRefused,),
}

CODECS: Final[tuple[Codec, ...]] = (
    definitions.CODEC, catalog.CODEC, planner.CODEC, policy.CODEC, steps.CODEC, sessions.CODEC, states.CODEC,
    directory.KEYS_CODEC, directory.REVOCATIONS_CODEC, directory.TOKENS_CODEC, directory.EVENTS_CODEC, failures.CODEC, kept.CODEC,
)  # fmt: skip
"""Every codec; between them they know every message once."""


def codec_of(message: type[Contract]) -> Codec:
    """The codec that reads this message; `KeyError` if none does."""
    for codec in CODECS:
        if message in codec.messages:
            return codec
    raise KeyError(message.wire_type)
