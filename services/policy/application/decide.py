"""Answers one question: evaluates its bindings, each within its time, and says what they come to together."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from cachetools import LRUCache
from pydantic import ValidationError

from services.policy.application.ports import Moment, Policies, Sandbox
from services.policy.application.tools import QuestionTools
from services.policy.domain.verdicts import bounded, combined, decided, erred, membership
from shared.contracts.definitions import PolicyBinding
from shared.contracts.policy import BindingResult, VerdictReached, VerdictRequested
from shared.flows.policy import Decision, Policy, PolicyConfig, PolicyError
from shared.flows.registry import registry
from shared.kernel.clock import Clock

BODY_WAIT_S: Final = 1.0
"""How long a policy's body may take to arrive, after which it is an error (architecture §4.11)."""
_CACHED: Final = 1000
TOLD_AGAIN_S: Final = 60.0
"""How often the log says of one policy that it does not decide: every verdict has the reason, and a flood of log-ins would bury the rest."""
TOLD: Final = 1000
"""Of so many failing policies it is remembered when that was said last."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Told:
    at: float
    since: int = 0


@dataclass(frozen=True, slots=True)
class _Loaded:
    policy: Policy[Any]
    config: PolicyConfig


class Decide:
    """The service's one use case. `sleep` is what a policy waits with."""

    def __init__(
        self, definitions: Policies, sandbox: Sandbox, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._definitions = definitions
        self._sandbox = sandbox
        self._clock = clock
        self._sleep = sleep
        self._loaded: LRUCache[str, _Loaded] = LRUCache(_CACHED)
        self._told: LRUCache[tuple[str, str], _Told] = LRUCache(TOLD)

    def remaining_s(self, asked: VerdictRequested) -> float:
        """How long the asker still waits; 0.0 or less: nobody does."""
        return (asked.deadline_us - self._clock.now_us()) / 1e6

    async def __call__(self, asked: VerdictRequested, at_us: int) -> VerdictReached | None:
        """The verdict; None for a question whose deadline is over. `at_us` is when it was asked, which is what
        expressions take for now, so that the same question has the same verdict."""
        if self.remaining_s(asked) <= 0:
            return None
        began = self._clock.monotonic()
        results = bounded(await asyncio.gather(*(self._result(asked, binding, at_us) for binding in asked.guard.bindings)))
        return VerdictReached(
            request=asked.request,
            session=asked.session,
            run=asked.run,
            digest=asked.digest,
            outcome=combined(asked.guard.mode, [result.outcome for result in results]),
            messages=tuple(message for result in results for message in result.messages),
            results=results,
            duration_us=self._since(began),
        )

    async def _result(self, asked: VerdictRequested, binding: PolicyBinding, at_us: int) -> BindingResult:
        began = self._clock.monotonic()
        try:
            decision = await self._decision(asked, binding, at_us)
        except PolicyError as reason:
            self._tell(binding, reason.reason)
            error = reason
        except Exception as failure:  # noqa: BLE001 - a type's mistake is an answer too: silence would cost the visitor 1.5 s
            self._tell(binding, type(failure).__name__, failure)
            error = PolicyError("exception", type(failure).__name__)
        else:
            return decided(binding, decision, self._since(began))
        return erred(binding, error, self._since(began))

    def _tell(self, binding: PolicyBinding, reason: str, defect: Exception | None = None) -> None:
        """Say that a policy did not decide, unless the log has it since a minute ago; then how often meanwhile."""
        now, known = self._clock.monotonic(), self._told.get((binding.pk, reason))
        if known and now - known.at < TOLD_AGAIN_S:
            known.since += 1
            return
        often = f" ({known.since} times since it was said)" if known and known.since else ""
        name, level = binding.policy_name or binding.pk, logging.ERROR if defect else logging.WARNING
        _log.log(level, "policy %r did not decide: %s%s", name, reason, often, exc_info=defect)
        self._told[binding.pk, reason] = _Told(now)

    async def _decision(self, asked: VerdictRequested, binding: PolicyBinding, at_us: int) -> Decision:
        if binding.policy is None:
            return membership(binding, asked.facts.user)
        # A timeout of 0 seconds is what authentik's form allows and never enforces: the deadline counts alone.
        limit_s = min(self.remaining_s(asked), float(binding.timeout_s or 2**31))
        tools = QuestionTools(self._sandbox, Moment(at_us, f"{asked.request}/{binding.pk}"), self._sleep)
        try:
            async with asyncio.timeout(limit_s):
                loaded = await self._load(binding.policy, limit_s)
                return await loaded.policy.decide(loaded.config, asked.facts, tools, limit_s)
        except TimeoutError:
            raise PolicyError("timeout") from None

    async def _load(self, content: str, limit_s: float) -> _Loaded:
        found = self._loaded.get(content)
        if found is None:
            found = self._loaded[content] = await self._look_up(content, limit_s)
        return found

    async def _look_up(self, content: str, limit_s: float) -> _Loaded:
        await self._definitions.wait_for_body(content, min(BODY_WAIT_S, limit_s))
        body = self._definitions.policy_body(content)
        policy = registry().policies.get(body.type) if body else None
        if body is None or policy is None:
            raise PolicyError("unknown_policy", content)
        try:
            return _Loaded(policy, policy.config.model_validate(body.config))
        except ValidationError as refused:
            raise PolicyError("syntax", str(refused.errors()[0]["msg"])) from None

    def _since(self, began: float) -> int:
        return max(int((self._clock.monotonic() - began) * 1e6), 0)
