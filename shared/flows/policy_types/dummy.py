"""A policy that waits and answers what it is told to: for tests of flows."""

from typing import Annotated

from pydantic import Field

from shared.contracts.policy import Facts
from shared.flows.policy import Decision, Policy, PolicyConfig, PolicyError, PolicyTools

Seconds = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]


class DummyPolicyConfig(PolicyConfig):
    """The answer, and how many whole seconds it takes: at least `wait_min`, less than `wait_max`."""

    result: bool = False
    wait_min: Seconds = 5
    wait_max: Seconds = 30


class DummyPolicy(Policy[DummyPolicyConfig]):
    """Answers `result` after a while."""

    name = "dummy"
    app = "authentik_policies_dummy"
    model = "dummypolicy"
    path = "dummy/"
    form = "ak-policy-dummy-form"
    verbose_name = "Dummy Policy"
    config = DummyPolicyConfig

    async def decide(self, config: DummyPolicyConfig, facts: Facts, tools: PolicyTools, timeout_s: float) -> Decision:
        """See `Policy.decide`."""
        if config.wait_min > config.wait_max:
            raise PolicyError("exception", "wait_min is greater than wait_max")
        await tools.wait(max(config.wait_min + int(tools.fraction() * (config.wait_max - config.wait_min)), 0))
        return Decision(config.result, ("dummy",))
