"""A stage that shows its name and passes: for tests of flows."""

from shared.flows.effects import Answer, Effects
from shared.flows.stage import Challenge, Denied, Outcome, Passed, Run, Stage, StageConfig, StageFailed


class DummyConfig(StageConfig):
    """`throw_error` makes the stage fail, so that one can see what visitors see then."""

    throw_error: bool = False


class DummyStage(Stage[DummyConfig]):
    """Passes with any answer."""

    name = "dummy"
    app = "authentik_stages_dummy"
    model = "dummystage"
    path = "dummy/"
    form = "ak-stage-dummy-form"
    verbose_name = "Dummy Stage"
    config = DummyConfig

    def spoils(self, config: DummyConfig) -> str:
        """See `Stage.spoils`."""
        return "fails for whoever comes there" if config.throw_error else ""

    async def challenge(self, run: Run, config: DummyConfig, do: Effects) -> Challenge | Passed | Denied:
        """See `Stage.challenge`."""
        if config.throw_error:
            raise StageFailed("Test error")
        return Challenge("ak-stage-dummy", {"name": run.stage.name})

    async def answer(self, run: Run, config: DummyConfig, answer: Answer, do: Effects) -> Outcome:
        """See `Stage.answer`."""
        return Passed(run.subject, "dummy")
