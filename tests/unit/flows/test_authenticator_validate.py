"""The second factor of somebody who has none, and that nobody passes unasked who has one."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from shared.contracts.asks import Device, DevicesListed, ListDevices
from shared.contracts.people import Visitor
from shared.contracts.planner import PlannedStage
from shared.flows.fields import NON_FIELD, problem
from shared.flows.stage import Challenge, Denied, Passed, Refused, Run, StageFailed
from shared.flows.stage_types.authenticator_validate import AuthenticatorValidateConfig
from tests.unit.flows.stories import ALICE, NOBODY, FakeEffects, a_run, answered, shown

NONE = DevicesListed(devices=())
TOTP = DevicesListed(devices=(Device(device_class="totp", device_uid="1"),))


def configure(*names: str) -> Run:
    config = {"not_configured_action": "configure", "configuration_stages": tuple(f"pk-{name}" for name in names)}
    run = a_run("authenticator_validate", config, pending_user=ALICE)
    references = {f"pk-{name}": {"pk": f"pk-{name}", "name": name, "type": "dummy", "config": {"throw_error": False}} for name in names}
    return replace(run, stage=run.stage.model_copy(update={"references": references}))


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        ("skip", Passed("uid-alice", "mfa.not_configured.skip")),
        ("deny", Denied("No (allowed) MFA authenticator configured.")),
    ],
)
async def test_somebody_without_devices(action: str, outcome: object) -> None:
    do = FakeEffects([NONE])
    given = a_run("authenticator_validate", {"not_configured_action": action}, pending_user=ALICE)
    assert await shown(given, do) == outcome
    assert do.asked == [(ListDevices(user=7), None)]


async def test_a_pretended_user_has_no_devices_and_nobody_is_asked() -> None:
    do = FakeEffects()
    then = await shown(a_run("authenticator_validate", {}, pending_user=NOBODY), do)
    assert then == Passed("anonymous", "mfa.not_configured.skip")
    assert do.asked == []


@pytest.mark.parametrize("action", ["skip", "deny"])
async def test_somebody_with_a_device_is_never_let_through_unasked(action: str) -> None:
    given = a_run("authenticator_validate", {"not_configured_action": action}, pending_user=ALICE)
    with pytest.raises(StageFailed):
        await shown(given, FakeEffects([TOTP]))


async def test_devices_of_classes_that_do_not_count_are_as_none() -> None:
    given = a_run("authenticator_validate", {"device_classes": ["static"]}, pending_user=ALICE)
    assert isinstance(await shown(given, FakeEffects([TOTP])), Passed)


async def test_one_configuration_stage_comes_right_after() -> None:
    given = configure("setup")
    then = await shown(given, FakeEffects([NONE]))
    assert isinstance(then, Passed)
    (inserted,) = then.inserted
    assert isinstance(inserted, PlannedStage)
    assert (inserted.stage, inserted.name, inserted.type, inserted.re_evaluate) == ("pk-setup", "setup", "dummy", False)
    assert inserted.guard.bindings == ()


async def test_of_several_configuration_stages_the_visitor_chooses_one() -> None:
    given = configure("one", "two")
    challenge = await shown(given, FakeEffects([NONE]))
    choice: dict[str, Any] = {"verbose_name": "Dummy Stage", "meta_model_name": "authentik_stages_dummy.dummystage"}
    assert challenge == Challenge(
        "ak-stage-authenticator-validate",
        {
            "device_challenges": [],
            "configuration_stages": [{"pk": "pk-one", "name": "one"} | choice, {"pk": "pk-two", "name": "two"} | choice],
        },
        with_user=True,
    )
    then = await answered(given, {"selected_stage": "pk-two"}, FakeEffects())
    assert isinstance(then, Passed)
    assert [stage.stage for stage in then.inserted] == ["pk-two"]


@pytest.mark.parametrize(
    ("body", "field", "text"),
    [
        ({}, NON_FIELD, "Empty response"),
        ({"selected_stage": "pk-three"}, "selected_stage", "Selected stage is invalid"),
        ({"selected_challenge": {"device_class": "totp"}}, "selected_challenge", "invalid challenge selected"),
        ({"code": "123456"}, "code", "No compatible device class allowed"),
        ({"webauthn": {}}, "webauthn", "No compatible device class allowed"),
    ],
)
async def test_anything_else_is_refused(body: dict[str, object], field: str, text: str) -> None:
    then = await answered(configure("one", "two"), body, FakeEffects())
    assert then == Refused({field: (problem(text),)})


async def test_a_configuration_stage_that_is_not_in_the_plan_lets_nobody_through() -> None:
    given = configure("setup")
    given = replace(given, stage=given.stage.model_copy(update={"references": {}}))
    with pytest.raises(StageFailed):
        await shown(given, FakeEffects([NONE]))


async def test_without_a_user_only_a_passkey_could_help_and_that_is_not_there_yet() -> None:
    with pytest.raises(StageFailed):
        await shown(a_run("authenticator_validate", {}), FakeEffects())
    then = await shown(a_run("authenticator_validate", {"device_classes": ["totp"]}), FakeEffects())
    assert then == Passed("anonymous", "mfa.no_user")


async def test_the_visitor_counts_where_no_user_is_pending() -> None:
    do = FakeEffects([NONE])
    then = await shown(a_run("authenticator_validate", {}, visitor=Visitor(user=ALICE)), do)
    assert then == Passed("uid-alice", "mfa.not_configured.skip")


def test_configure_needs_a_stage_in_authentiks_words() -> None:
    with pytest.raises(ValidationError) as refused:
        AuthenticatorValidateConfig(not_configured_action="configure")
    (error,) = refused.value.errors()
    assert error["loc"] == ("not_configured_action",)
    assert error["msg"] == 'When "Not configured action" is set to "Configure", you must set a configuration stage.'
