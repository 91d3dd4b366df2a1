"""The stage that asks who the visitor is (docs/compat.md, Identification)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Final, Literal, Self
from urllib.parse import parse_qsl, urlencode

from pydantic import ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shared.contracts.asks import FindUser
from shared.contracts.definitions import StageBody
from shared.contracts.people import UserFacts
from shared.contracts.steps import Problems
from shared.flows.effects import Answer, Effects
from shared.flows.evidence import ANONYMOUS, Need
from shared.flows.fields import NON_FIELD, Field, TextField, problem
from shared.flows.references import Reference
from shared.flows.registry import registry
from shared.flows.shown import IDENTIFIER, TYPED
from shared.flows.stage import Challenge, Denied, Outcome, Passed, Refused, Run, Stage, StageConfig, StageFailed, configured
from shared.flows.stage_types.password import NOTHING_TOLD, PasswordConfig, PasswordStage, Wrong, failed, proved_context, verified

_FAILED: Final[Problems] = {NON_FIELD: (problem("Failed to authenticate."),)}


class IdentificationConfig(StageConfig):
    """What a visitor may be called by, and what the page links to."""

    user_fields: tuple[Literal["email", "username", "upn"], ...] = ()
    password_stage: Annotated[str | None, Reference("stage")] = None
    case_insensitive_matching: bool = True
    show_matched_user: bool = True
    enrollment_flow: Annotated[str | None, Reference("flow")] = None
    recovery_flow: Annotated[str | None, Reference("flow")] = None
    passwordless_flow: Annotated[str | None, Reference("flow")] = None
    sources: tuple[str, ...] = ()
    show_source_labels: bool = False
    pretend_user_exists: bool = True

    @field_validator("sources")
    @classmethod
    def _no_sources(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value:
            raise PydanticCustomError("unsupported", "Sources are not supported yet.")
        return value

    @model_validator(mode="after")
    def _some_way_in(self) -> Self:
        if not self.user_fields and not self.sources:
            raise PydanticCustomError("no_user_fields", "When no user fields are selected, at least one source must be selected")
        return self


class IdentificationStage(Stage[IdentificationConfig]):
    """Finds the pending user by what was typed; somebody unknown goes on as a pretended user, if the stage says so."""

    name = "identification"
    app = "authentik_stages_identification"
    model = "identificationstage"
    path = "identification/"
    form = "ak-stage-identification-form"
    verbose_name = "Identification Stage"
    config = IdentificationConfig
    # 512: what `UserFacts` can hold of a pretended user's name.
    fields: ClassVar[Mapping[str, Field]] = {
        "uid_field": TextField(max_length=512),
        "password": TextField(required=False, allow_blank=True, allow_null=True, trim=False, secret=True),
    }

    proves = PasswordStage.proves
    renames = True

    def can_prove(self, config: IdentificationConfig, references: Mapping[str, StageBody]) -> bool:
        """See `Stage.can_prove`: only with a password stage on its page."""
        inside = references.get(config.password_stage or "")
        return inside is not None and PasswordStage().can_prove(PasswordConfig.model_validate(inside.config), {})

    async def challenge(self, run: Run, config: IdentificationConfig, do: Effects) -> Challenge | Passed | Denied:
        """See `Stage.challenge`."""
        password = _password_config(run, config)
        designation = run.plan.flow.designation
        fields: dict[str, Any] = {
            "user_fields": list(config.user_fields),
            "password_fields": password is not None,
            "allow_show_password": password is not None and password.allow_show_password,
            "flow_designation": designation,
        }
        links = {"enroll_url": config.enrollment_flow, "recovery_url": config.recovery_flow, "passwordless_url": config.passwordless_flow}
        fields |= {name: _link(run, flow) for name, flow in links.items() if flow in run.plan.links}
        fields["primary_action"] = "Log in" if designation == "authentication" else "Continue"
        fields |= {"sources": [], "show_source_labels": config.show_source_labels}
        return Challenge("ak-stage-identification", fields)

    async def answer(self, run: Run, config: IdentificationConfig, answer: Answer, do: Effects) -> Outcome:
        """See `Stage.answer`."""
        typed = str(answer["uid_field"])
        found = await do.ask(FindUser(fields=config.user_fields, value=typed, case_insensitive=config.case_insensitive_matching))
        user = found.user or _pretended(typed)
        context = _shown(run, config, typed)
        password = _password_config(run, config)
        if password is not None:
            return await _with_password(run, user, password, answer, do, context)
        if found.user is None and not config.pretend_user_exists:
            return Refused(_FAILED, context=context, pending_user=user)
        return Passed(user.uid or ANONYMOUS, "identification", context, user)

    def missing(self, run: Run, config: IdentificationConfig, problems: Problems) -> Refused | Denied:
        """See `Stage.missing`: where a password is asked for too, what cannot be one is an attempt as well."""
        password = _password_config(run, config)
        return Refused(problems) if password is None or "password" not in problems else failed(run, password, problems)


async def _with_password(
    run: Run, user: UserFacts, config: PasswordConfig, answer: Answer, do: Effects, context: Mapping[str, Any]
) -> Outcome:
    # The limit counts here too: authentik's combined page can be guessed at without end (docs/compat.md, Password).
    proved = await verified(run, user, config, answer, do) if answer.sealed("password") else NOTHING_TOLD
    if isinstance(proved, Wrong):
        outcome = failed(run, config, _FAILED, proved)
        return replace(outcome, context=context, pending_user=user) if isinstance(outcome, Refused) else outcome
    return Passed(proved.user.uid, "identification.password", {**context, **proved_context(proved.user)}, proved.user, proof=proved)


def _shown(run: Run, config: IdentificationConfig, typed: str) -> dict[str, Any]:
    """What later pages show in the matched user's stead: what was typed, for good or until a proof."""
    before = {name: None for name in (IDENTIFIER, TYPED) if name in run.context}
    if not config.show_matched_user:
        return {**before, IDENTIFIER: typed}
    ahead = [kind for name in run.ahead if (kind := registry().stages.get(name))]
    guarded = config.password_stage is not None or any(kind.proves or kind.needs is not Need.NOTHING for kind in ahead)
    return {**before, TYPED: typed} if guarded else before


def _pretended(typed: str) -> UserFacts:
    return UserFacts(pk=None, uuid="", uid="", username=typed, name="", email=typed, is_active=True, is_superuser=False)


def _password_config(run: Run, config: IdentificationConfig) -> PasswordConfig | None:
    if config.password_stage is None:
        return None
    try:
        return configured(PasswordConfig, run.stage.references[config.password_stage].config)
    except (KeyError, ValidationError):
        raise StageFailed("the password stage is not in the plan") from None


def _link(run: Run, flow: str | None) -> str:
    # Taken apart and put together again, so that nothing but a query can follow the path.
    query = urlencode(parse_qsl(run.query, keep_blank_values=True), errors="replace")
    path = f"/if/flow/{run.plan.links[flow or '']}/"
    return f"{path}?{query}" if query else path
