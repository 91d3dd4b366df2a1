"""What deciding needs from outside, as ports; the adapters and the tests fill them."""

from dataclasses import dataclass
from typing import Protocol

from shared.contracts.definitions import PolicyBody
from shared.contracts.policy import Facts
from shared.flows.policy import Decision


@dataclass(frozen=True, slots=True)
class Moment:
    """When and for which question an expression runs: the same moment draws the same time and the same chance."""

    at_us: int
    seed: str


class Policies(Protocol):
    """The policies that the catalog has published; a projection of its topic fills it."""

    def policy_body(self, content: str) -> PolicyBody | None:
        """The policy with this content hash, current or not."""
        ...

    async def wait_for_body(self, content: str, timeout_s: float) -> bool:
        """Whether a body with this hash is here, or comes within the time (architecture §4.11)."""
        ...


class Sandbox(Protocol):
    """Runs what administrators wrote, where it can do no harm."""

    async def evaluate(self, expression: str, facts: Facts, moment: Moment, timeout_s: float) -> Decision:
        """Whether the expression returns something true, and its messages; `PolicyError` if it comes to no decision."""
        ...
