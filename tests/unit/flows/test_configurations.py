"""What stages' configurations and answers' fields refuse, in authentik's words."""

import pytest
from pydantic import ValidationError

from shared.flows.fields import NON_FIELD, Cleaned, TextField, clean, problem
from shared.flows.stage_types.authenticator_validate import AuthenticatorValidateConfig
from shared.flows.stage_types.identification import IdentificationConfig
from shared.flows.stage_types.user_login import UserLoginConfig


def test_a_stage_without_any_way_in_is_refused() -> None:
    with pytest.raises(ValidationError) as refused:
        IdentificationConfig()
    assert refused.value.errors()[0]["msg"] == "When no user fields are selected, at least one source must be selected"


@pytest.mark.parametrize("text", ["tomorrow", "hours=1,minutes=2", "hours", "years=1", "hours=-1", "hours=nan", "hours=inf", "weeks=1e9"])
def test_durations_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        UserLoginConfig(session_duration=text)
    assert refused.value.errors()[0]["msg"] == f"{text} is not in the correct format of 'hours=3;minutes=1'."


@pytest.mark.parametrize("field", [{"network_binding": "bind_asn"}, {"geoip_binding": "bind_continent"}])
def test_a_binding_that_nobody_enforces_cannot_be_set(field: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="not supported yet"):
        UserLoginConfig.model_validate(field)


def test_to_configure_needs_a_stage() -> None:
    with pytest.raises(ValidationError) as refused:
        AuthenticatorValidateConfig(not_configured_action="configure")
    (error,) = refused.value.errors()
    assert error["loc"] == ("not_configured_action",)
    assert error["msg"] == 'When "Not configured action" is set to "Configure", you must set a configuration stage.'


def test_a_secret_that_is_null_is_no_secret() -> None:
    cleaned = clean({"password": TextField(allow_null=True, secret=True)}, {"password": None})
    assert cleaned == Cleaned({}, {})


def test_no_body_is_told_as_recorded() -> None:
    assert clean({}, None) == {NON_FIELD: (problem("No data provided", "null"),)}
