"""A stage that ends the run: bound with a policy, it keeps somebody out (docs/compat.md, Deny and dummy)."""

from shared.flows.effects import Effects
from shared.flows.stage import Challenge, Denied, Passed, Run, Stage, StageConfig


class DenyConfig(StageConfig):
    """`deny_message` is what the visitor reads; a policy may put another one into the context."""

    deny_message: str = ""


class DenyStage(Stage[DenyConfig]):
    """Denies whoever comes here."""

    name = "deny"
    app = "authentik_stages_deny"
    model = "denystage"
    path = "deny/"
    form = "ak-stage-deny-form"
    verbose_name = "Deny Stage"
    config = DenyConfig

    def spoils(self, config: DenyConfig) -> str:
        """See `Stage.spoils`."""
        return "denies whoever comes there"

    async def challenge(self, run: Run, config: DenyConfig, do: Effects) -> Challenge | Passed | Denied:
        """See `Stage.challenge`."""
        message = run.context.get("deny_message", config.deny_message)
        return Denied(message if isinstance(message, str) else config.deny_message)
