"""What a policy type is: a question about facts, answered with yes, no or an error, and messages.

A new policy type is one file in `policy_types/`. A policy sees the facts of its request and nothing else; whatever it
needs from a machine (the sandbox) comes through `PolicyTools`, so that a verdict can be reached again.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from shared.contracts.policy import Facts


class PolicyConfig(BaseModel):
    """Base of a policy type's configuration: authentik's field names and defaults. Unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=PolicyConfig)


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, and what to tell the visitor either way."""

    passing: bool
    messages: tuple[str, ...] = ()


class PolicyError(Exception):
    """The policy could not decide. `reason` is one of `BindingResult.reason`; the text is for administrators."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class PolicyTools(Protocol):
    """What a policy may use."""

    async def evaluate(self, expression: str, facts: Facts, timeout_s: float) -> Decision:
        """Run an expression in the sandbox; `PolicyError` with its reason if it does not come to a decision."""
        ...

    async def wait(self, seconds: float) -> None:
        """Let time pass, within the binding's timeout."""
        ...

    def fraction(self) -> float:
        """A number in [0, 1) that the same question draws again."""
        ...


class Policy(ABC, Generic[P]):
    """One policy type; the class attributes are as for stages."""

    name: ClassVar[str]
    app: ClassVar[str]
    model: ClassVar[str]
    path: ClassVar[str]
    form: ClassVar[str]
    verbose_name: ClassVar[str]
    config: ClassVar[type[PolicyConfig]]

    @abstractmethod
    async def decide(self, config: P, facts: Facts, tools: PolicyTools, timeout_s: float) -> Decision:
        """Yes or no; `PolicyError` if that cannot be said."""
