"""What a policy may use while it decides one question."""

import hashlib
from collections.abc import Awaitable, Callable

from services.policy.application.ports import Moment, Sandbox
from shared.contracts.policy import Facts
from shared.flows.policy import Decision


class QuestionTools:
    """See `PolicyTools`; all chance comes from the question, so that asking it again draws the same."""

    def __init__(self, sandbox: Sandbox, moment: Moment, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sandbox = sandbox
        self._moment = moment
        self._sleep = sleep

    async def evaluate(self, expression: str, facts: Facts, timeout_s: float) -> Decision:
        """See `PolicyTools.evaluate`."""
        return await self._sandbox.evaluate(expression, facts, self._moment, timeout_s)

    async def wait(self, seconds: float) -> None:
        """See `PolicyTools.wait`."""
        await self._sleep(seconds)

    def fraction(self) -> float:
        """See `PolicyTools.fraction`."""
        digest = hashlib.sha256(self._moment.seed.encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48
