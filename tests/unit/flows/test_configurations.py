"""A configuration is validated once for its content: not per step, and never another one's."""

from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from shared.flows import stage as module
from shared.flows.stage import StageConfig, configured
from shared.flows.stage_types.dummy import DummyConfig
from shared.flows.stage_types.password import PasswordConfig
from tests.unit.executor.world import LOGIN_STAGES, World


class Counted(StageConfig):
    """Says how often it was validated."""

    words: tuple[str, ...] = ()
    times: ClassVar[int] = 0

    def model_post_init(self, _: Any) -> None:
        type(self).times += 1


def test_the_same_content_is_validated_once_wherever_it_comes_from() -> None:
    module._validated.cache_clear()
    before = Counted.times
    found = [configured(Counted, {"words": words}) for words in (("a", "b"), ("a", "b"), tuple("ab"))]
    assert found[0] is found[1] is found[2]
    assert (found[0].words, Counted.times - before) == (("a", "b"), 1)


@pytest.mark.parametrize("other", [{"words": ("a", "c")}, {"words": ("ab",)}, {"words": ()}, {}], ids=str)
def test_other_content_is_another_configuration(other: dict[str, Any]) -> None:
    one = configured(Counted, {"words": ("a", "b")})
    assert configured(Counted, other) != one
    assert configured(Counted, other).words == other.get("words", ())


def test_the_same_content_of_another_type_is_that_types() -> None:
    assert isinstance(configured(DummyConfig, {}), DummyConfig)
    with pytest.raises(ValidationError):
        configured(PasswordConfig, {})


@pytest.mark.parametrize("config", [{"throw_error": "perhaps"}, {"throw_error": True, "more": 1}], ids=str)
def test_what_is_refused_is_refused_every_time(config: dict[str, Any]) -> None:
    for _ in range(2):
        with pytest.raises(ValidationError):
            configured(DummyConfig, config)


async def test_a_second_visitor_costs_no_validation_of_what_the_first_one_met() -> None:
    async with World({"login": LOGIN_STAGES}) as world:
        for body in ({"uid_field": "alice"}, {"password": "secret"}):
            await world.browser().post(body)
        browser = world.browser()
        await browser.get()
        await browser.post({"uid_field": "alice"})
        met = module._validated.cache_info().misses
        other = world.browser()
        await other.get()
        await other.post({"uid_field": "alice"})
        assert module._validated.cache_info().misses == met
