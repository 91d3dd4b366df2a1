"""The stage of the second factor: what becomes of who has none, and that nobody who has one passes unasked."""

from typing import Any

import pytest

from shared.contracts.asks import Device, DevicesListed, ListDevices
from shared.contracts.definitions import StageBody
from shared.contracts.people import UserFacts
from shared.contracts.planner import PlannedStage
from tests.unit.decisions.around import Around
from tests.unit.decisions.given import given
from tests.unit.decisions.words import answer, event, run_at, run_before
from tests.unit.executor.world import ALICE, stage

PRETENDED = UserFacts(pk=None, uuid="", uid="", username="x", name="", email="x", is_active=True, is_superuser=False)


def validates(action: str = "skip", **config: Any) -> PlannedStage:
    return stage("authenticator_validate", {"not_configured_action": action, **config})


def configuring(*names: str) -> PlannedStage:
    """One that sends who has no device to these stages."""
    found = {f"pk-{name}": StageBody(pk=f"pk-{name}", name=name, type="dummy", config={"throw_error": False}) for name in names}
    return validates("configure", configuration_stages=tuple(found)).model_copy(update={"references": found})


def with_device(kind: str) -> Around:
    around = Around()
    around.directory.says["directory.devices.list"] = DevicesListed(devices=(Device(device_class=kind, device_uid="1"),))
    return around


@pytest.mark.parametrize(("user", "asked"), [(ALICE, [ListDevices(user=7)]), (PRETENDED, [])], ids=["alice", "pretended"])
def test_who_has_no_device_is_let_through_where_that_is_configured(user: UserFacts, asked: list[Any]) -> None:
    came = given(*run_before(validates(), pending_user=user)).when(answer())
    assert came.asked == asked
    came.then("stage.passed", event("stage.passed", evidence={"method": "mfa.not_configured.skip", "proves": ""}), "run.finished")


def test_or_denied() -> None:
    given(*run_before(validates("deny"), pending_user=ALICE)).when(answer()).then(
        "stage.passed", event("run.denied", view={"message": "No (allowed) MFA authenticator configured."})
    )


def test_or_sent_to_the_one_stage_that_sets_one_up() -> None:
    then = (
        given(*run_before(configuring("totp"), pending_user=ALICE))
        .when(answer())
        .then(
            "stage.passed",
            event("stage.passed", evidence={"method": "mfa.not_configured.configure"}),
            event("stage.challenged", view={"fields": {"name": "totp"}}),
        )
    )
    put_in = then.run.stages[0]
    assert (put_in.stage, put_in.name, put_in.type, put_in.re_evaluate, put_in.guard.bindings) == ("pk-totp", "totp", "dummy", False, ())


def test_or_asked_which_of_several() -> None:
    asked = given(*run_before(configuring("totp", "static"), pending_user=ALICE)).when(answer()).then(
        "stage.passed", event("stage.challenged", view={"component": "ak-stage-authenticator-validate"})
    )  # fmt: skip
    assert asked.run.view
    kind = {"verbose_name": "Dummy Stage", "meta_model_name": "authentik_stages_dummy.dummystage"}
    choices = [{"pk": "pk-totp", "name": "totp", **kind}, {"pk": "pk-static", "name": "static", **kind}]
    assert asked.run.view.fields == {"device_challenges": [], "configuration_stages": choices}
    asked.when(answer(body={"selected_stage": "pk-static"})).then(
        "stage.passed", event("stage.challenged", view={"fields": {"name": "static"}})
    )


@pytest.mark.parametrize(
    ("body", "name", "text"),
    [
        ({"selected_challenge": {"device_class": "totp"}}, "selected_challenge", "invalid challenge selected"),
        ({"selected_stage": "pk-of-another"}, "selected_stage", "Selected stage is invalid"),
        ({"code": "123456"}, "code", "No compatible device class allowed"),
        ({"webauthn": {"id": "x"}}, "webauthn", "No compatible device class allowed"),
        ({}, "non_field_errors", "Empty response"),
    ],
)
def test_any_other_answer_is_refused(body: dict[str, Any], name: str, text: str) -> None:
    given(*run_at(configuring("totp", "static"), pending_user=ALICE)).when(answer(body=body)).then(
        event("answer.refused", errors={name: ({"string": text, "code": "invalid"},)}), "stage.challenged"
    )


@pytest.mark.parametrize("action", ["skip", "deny"])
def test_who_has_a_device_is_not_let_through_unasked(action: str) -> None:
    given(*run_before(validates(action), pending_user=ALICE), around=with_device("totp")).when(answer()).then(
        "stage.passed", event("stage.challenged", view={"kind": "error"})
    )


def test_a_device_of_a_class_that_does_not_count_is_none() -> None:
    given(*run_before(validates(device_classes=("static",)), pending_user=ALICE), around=with_device("totp")).when(answer()).then(
        "stage.passed", "stage.passed", "run.finished"
    )


def test_a_configuration_stage_that_is_not_in_the_plan_lets_nobody_through() -> None:
    lost = configuring("totp").model_copy(update={"references": {}})
    given(*run_before(lost, pending_user=ALICE)).when(answer()).then("stage.passed", event("stage.challenged", view={"kind": "error"}))


def test_without_a_user_a_passkey_alone_is_not_there_yet() -> None:
    given(*run_before(validates())).when(answer()).then("stage.passed", event("stage.challenged", view={"kind": "error"}))


def test_without_a_user_and_a_passkey_it_passes() -> None:
    given(*run_before(validates(device_classes=("totp",)))).when(answer()).then(
        "stage.passed", event("stage.passed", evidence={"method": "mfa.no_user"}), "run.finished"
    )


def test_the_visitor_counts_where_no_user_is_pending() -> None:
    given(*run_before(validates(), user=ALICE)).when(answer()).then(
        "stage.passed", event("stage.passed", evidence={"subject": ALICE.uid}), "run.finished"
    )
