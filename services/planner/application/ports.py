"""What the planner needs from outside: policy's verdicts, and the catalog's definitions as they come in."""

from typing import Protocol

from shared.contracts.policy import VerdictReached, VerdictRequested
from shared.messaging.definitions_projection import Definitions


class Policy(Protocol):
    """The policy service."""

    async def verdict(self, question: VerdictRequested) -> VerdictReached:
        """The answer to this question; `Unavailable` if none comes before its deadline."""
        ...


class Catalog(Protocol):
    """What the catalog has published."""

    @property
    def definitions(self) -> Definitions:
        """As of now."""
        ...

    async def changed(self, timeout_s: float) -> bool:
        """Whether something new comes in within the time."""
        ...
