"""The stage that asks for a second factor (docs/compat.md, Second factor).

There are no devices yet, so what it serves is a user without any: skip, deny, or send to a stage that sets one up. Where
a device would have to be asked for, the stage fails: it never lets somebody through unasked.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from shared.contracts.asks import ListDevices
from shared.contracts.definitions import Guard, StageBody
from shared.contracts.planner import PlannedStage
from shared.flows.durations import Duration
from shared.flows.effects import Answer, Effects
from shared.flows.fields import NON_FIELD, Field, ObjectField, TextField, problem
from shared.flows.references import Reference
from shared.flows.registry import registry
from shared.flows.stage import Challenge, Denied, Outcome, Passed, Refused, Run, Stage, StageConfig, StageFailed

DeviceClass = Literal["static", "totp", "webauthn", "duo", "sms"]


class AuthenticatorValidateConfig(StageConfig):
    """Which classes of devices count, and what to do with somebody who has none."""

    device_classes: tuple[DeviceClass, ...] = ("static", "totp", "webauthn", "duo", "sms")
    configuration_stages: Annotated[tuple[str, ...], Reference("stage", many=True)] = ()
    last_auth_threshold: Duration = "seconds=0"
    webauthn_user_verification: Literal["required", "preferred", "discouraged"] = "preferred"
    webauthn_allowed_device_types: tuple[str, ...] = ()
    # Last, because its check needs the stages.
    not_configured_action: Literal["skip", "deny", "configure"] = "skip"

    @field_validator("not_configured_action")
    @classmethod
    def _configurable(cls, value: str, info: ValidationInfo) -> str:
        if value == "configure" and not info.data.get("configuration_stages"):
            text = 'When "Not configured action" is set to "Configure", you must set a configuration stage.'
            raise PydanticCustomError("no_configuration_stage", text)
        return value


class AuthenticatorValidateStage(Stage[AuthenticatorValidateConfig]):
    """Looks for the user's devices; without any, does what `not_configured_action` says."""

    name = "authenticator_validate"
    app = "authentik_stages_authenticator_validate"
    model = "authenticatorvalidatestage"
    path = "authenticator/validate/"
    form = "ak-stage-authenticator-validate-form"
    verbose_name = "Authenticator Validation Stage"
    config = AuthenticatorValidateConfig
    fields: ClassVar[Mapping[str, Field]] = {
        "selected_challenge": ObjectField(required=False),
        "selected_stage": TextField(required=False),
        "code": TextField(required=False, secret=True),
        "webauthn": ObjectField(required=False),
    }

    def spoils(self, config: AuthenticatorValidateConfig) -> str:
        """See `Stage.spoils`: nobody has a device yet."""
        return "denies whoever has no device, and there are none yet" if config.not_configured_action == "deny" else ""

    async def challenge(self, run: Run, config: AuthenticatorValidateConfig, do: Effects) -> Challenge | Passed | Denied:
        """See `Stage.challenge`."""
        user = run.pending_user or run.visitor.user
        if user is None:
            return _without_user(run, config)
        if user.pk is not None:
            devices = (await do.ask(ListDevices(user=user.pk))).devices
            if any(device.device_class in config.device_classes for device in devices):
                raise StageFailed("devices cannot be validated yet")
        if config.not_configured_action == "skip":
            return Passed(run.subject, "mfa.not_configured.skip")
        if config.not_configured_action == "deny":
            return Denied("No (allowed) MFA authenticator configured.")
        return _configure(run, config)

    async def answer(self, run: Run, config: AuthenticatorValidateConfig, answer: Answer, do: Effects) -> Outcome:
        """See `Stage.answer`. Asked only which stage shall set a device up; no device was offered, so none is accepted."""
        if "selected_challenge" in answer:
            return Refused({"selected_challenge": (problem("invalid challenge selected"),)})
        if "selected_stage" in answer:
            if answer["selected_stage"] not in config.configuration_stages:
                return Refused({"selected_stage": (problem("Selected stage is invalid"),)})
            return _inserted(run, str(answer["selected_stage"]))
        given = [name for name in ("code", "webauthn") if name in answer or answer.sealed(name)]
        if given:
            return Refused({name: (problem("No compatible device class allowed"),) for name in given})
        return Refused({NON_FIELD: (problem("Empty response"),)})


def _without_user(run: Run, config: AuthenticatorValidateConfig) -> Passed:
    if run.plan.flow.designation == "authentication" and "webauthn" in config.device_classes:
        raise StageFailed("logging in by a passkey alone is not possible yet")
    return Passed(run.subject, "mfa.no_user")


def _configure(run: Run, config: AuthenticatorValidateConfig) -> Challenge | Passed:
    if len(config.configuration_stages) == 1:
        return _inserted(run, config.configuration_stages[0])
    choices = [_choice(run, pk) for pk in config.configuration_stages]
    return Challenge("ak-stage-authenticator-validate", {"device_challenges": [], "configuration_stages": choices}, with_user=True)


def _inserted(run: Run, pk: str) -> Passed:
    found = _referenced(run, pk)
    stage = PlannedStage(
        binding=f"{run.stage.binding}/{pk}",
        stage=pk,
        name=found.name,
        type=found.type,
        config=found.config,
        re_evaluate=False,
        guard=Guard(target=run.stage.binding),
    )
    return Passed(run.subject, "mfa.not_configured.configure", inserted=(stage,))


def _choice(run: Run, pk: str) -> Mapping[str, str]:
    found = _referenced(run, pk)
    kind = registry().stages[found.type]
    name = found.config.get("friendly_name") or found.name
    return {"pk": pk, "name": name, "verbose_name": kind.verbose_name, "meta_model_name": f"{kind.app}.{kind.model}"}


def _referenced(run: Run, pk: str) -> StageBody:
    found = run.stage.references.get(pk)
    if found is None or found.type not in registry().stages:
        raise StageFailed("a configuration stage is not in the plan")
    return found
