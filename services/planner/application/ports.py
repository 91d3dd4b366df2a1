"""What the planner needs from outside: policy's verdicts, and the catalog's definitions as they come in."""

from typing import Protocol

from services.planner.domain.published import Published
from shared.contracts.policy import VerdictReached, VerdictRequested


class Policy(Protocol):
    """The policy service."""

    async def verdict(self, question: VerdictRequested) -> VerdictReached:
        """The answer to this question; `Unavailable` if none comes before its deadline."""
        ...


class Catalog(Protocol):
    """What the catalog has published."""

    @property
    def definitions(self) -> Published:
        """As of now."""
        ...

    async def changed(self, timeout_s: float) -> bool:
        """Whether something new comes in within the time."""
        ...
