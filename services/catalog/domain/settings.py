"""What a definition of each kind may hold: the models from which REST bodies and blueprint entries are checked.

Names, defaults and limits are authentik's (docs/compat.md, Objects and settings). A stage's or policy's model is its
type's configuration plus a name, so a new type needs nothing here.
"""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model, model_validator
from pydantic_core import PydanticCustomError

from shared.contracts.catalog import ObjectKind
from shared.contracts.definitions import DeniedAction, Designation, InvalidResponseAction, Mode, Order
from shared.flows.registry import registry

Name = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Slug = Annotated[str, StringConstraints(min_length=1, max_length=50, pattern=r"^[-a-zA-Z0-9_]+$")]
Pk = Annotated[str, StringConstraints(max_length=64)]
Requirement = Literal["none", "require_authenticated", "require_unauthenticated", "require_superuser", "require_outpost"]
Layout = Literal["stacked", "content_left", "content_right", "sidebar_left", "sidebar_right"]


class Settings(BaseModel):
    """Base of the models here."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FlowSettings(Settings):
    """A flow, without its stages."""

    name: Line
    slug: Slug
    title: Line
    designation: Designation
    policy_engine_mode: Mode = "any"
    compatibility_mode: bool = False
    layout: Layout = "stacked"
    denied_action: DeniedAction = "message_continue"
    authentication: Requirement = "none"
    background: Annotated[str, StringConstraints(max_length=4096)] = ""


class FlowBindingSettings(Settings):
    """A stage's place in a flow."""

    target: Pk
    stage: Pk
    order: Order
    evaluate_on_plan: bool = False
    re_evaluate_policies: bool = True
    policy_engine_mode: Mode = "any"
    invalid_response_action: InvalidResponseAction = "retry"

    @model_validator(mode="after")
    def _evaluated_at_all(self) -> Self:
        if not (self.evaluate_on_plan or self.re_evaluate_policies):
            raise PydanticCustomError("never_evaluated", "Either evaluation on plan or evaluation on run must be enabled")
        return self


class PolicyBindingSettings(Settings):
    """A policy, a group or a user that guards a target. `timeout` in seconds."""

    policy: Pk | None = None
    group: Pk | None = None
    user: Annotated[int, Field(ge=0, le=2**53)] | None = None
    target: Pk
    negate: bool = False
    enabled: bool = True
    order: Order
    timeout: Annotated[int, Field(ge=0, le=2**31 - 1)] = 30
    failure_result: bool = False

    @model_validator(mode="after")
    def _one_thing_bound(self) -> Self:
        given = [one for one in (self.policy, self.group, self.user) if one is not None]
        if not given:
            raise PydanticCustomError("nothing_bound", "One of 'policy', 'group' or 'user' must be set.")
        if len(given) > 1:
            raise PydanticCustomError("too_much_bound", "Only one of 'policy', 'group' or 'user' can be set.")
        return self


class BrandSettings(Settings):
    """Which flows the visitors of a host get, and what their pages look like."""

    domain: Name
    default: bool = False
    branding_title: Line = "authentik"
    branding_logo: Line = "/static/dist/assets/icons/icon_left_brand.svg"
    branding_favicon: Line = "/static/dist/assets/icons/icon.png"
    flow_authentication: Pk | None = None
    flow_invalidation: Pk | None = None
    flow_recovery: Pk | None = None
    flow_unenrollment: Pk | None = None
    flow_user_settings: Pk | None = None
    flow_device_code: Pk | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)


_MODELS: dict[ObjectKind, type[BaseModel]] = {
    "flow": FlowSettings,
    "flow_binding": FlowBindingSettings,
    "policy_binding": PolicyBindingSettings,
    "brand": BrandSettings,
}


@cache
def settings_model(kind: ObjectKind, type_name: str = "") -> type[BaseModel]:
    """The model of a kind; for stages and policies also of a type. `KeyError` for a type that this release lacks."""
    make: Callable[..., type[BaseModel]] = create_model
    if kind == "stage":
        return make(f"{type_name}_stage", __base__=registry().stages[type_name].config, name=(Name, ...))
    if kind == "policy":
        return make(
            f"{type_name}_policy", __base__=registry().policies[type_name].config, name=(Name, ...), execution_logging=(bool, False)
        )
    return _MODELS[kind]
