"""The stage that makes the browser the pending user's (docs/compat.md, Log-in and log-out stages)."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from shared.contracts.orders import LogIn
from shared.contracts.people import LoginClaims, UserFacts
from shared.flows.durations import Duration, microseconds
from shared.flows.effects import Answer, Effects
from shared.flows.fields import BooleanField, Field
from shared.flows.orders import NEEDS
from shared.flows.stage import Challenge, Denied, Outcome, Passed, Run, Stage, StageConfig, StageFailed, denied_for

_SHORTEST_US: Final = 60_000_000


class UserLoginConfig(StageConfig):
    """How long a login lasts, and what it ends. `seconds=0`: until the browser is closed, and no question, respectively.

    `allow_unauthenticated` is ours, not authentik's: whoever the run is about is logged in, though nothing has shown it.
    """

    session_duration: Duration = "seconds=0"
    terminate_other_sessions: bool = False
    remember_me_offset: Duration = "seconds=0"
    network_binding: Literal["no_binding", "bind_asn", "bind_asn_network", "bind_asn_network_ip"] = "no_binding"
    geoip_binding: Literal["no_binding", "bind_continent", "bind_continent_country", "bind_continent_country_city"] = "no_binding"
    allow_unauthenticated: bool = False

    @field_validator("network_binding", "geoip_binding")
    @classmethod
    def _servable(cls, value: str) -> str:
        # A binding that is stored but not enforced would be trusted by whoever set it.
        if value != "no_binding":
            raise PydanticCustomError("unsupported", "{value} is not supported yet, only no_binding is.", {"value": value})
        return value


class UserLoginStage(Stage[UserLoginConfig]):
    """Logs the pending user in, whom this run must have authenticated within the last hour (architecture §4.8). Asks nothing
    unless it may extend the login (`remember_me_offset`)."""

    name = "user_login"
    app = "authentik_stages_user_login"
    model = "userloginstage"
    path = "user_login/"
    form = "ak-stage-user-login-form"
    verbose_name = "User Login Stage"
    config = UserLoginConfig
    fields: ClassVar[Mapping[str, Field]] = {"remember_me": BooleanField()}
    needs = NEEDS[LogIn]

    def spoils(self, config: UserLoginConfig) -> str:
        """See `Stage.spoils`: what is over before a page is read is no login."""
        lasts_us = microseconds(config.session_duration)
        return f"logs in for less than a minute ({config.session_duration})" if 0 < lasts_us < _SHORTEST_US else ""

    async def challenge(self, run: Run, config: UserLoginConfig, do: Effects) -> Challenge | Passed | Denied:
        """See `Stage.challenge`."""
        if denied := _denied(run, config):
            return denied
        if microseconds(config.remember_me_offset) > 0:
            return Challenge("ak-stage-user-login", with_user=True)
        return _log_in(run, config, do, microseconds(config.session_duration))

    async def answer(self, run: Run, config: UserLoginConfig, answer: Answer, do: Effects) -> Outcome:
        """See `Stage.answer`."""
        lasts_us = microseconds(config.session_duration)
        if answer["remember_me"]:
            lasts_us += microseconds(config.remember_me_offset)
        return _log_in(run, config, do, lasts_us)


def _denied(run: Run, config: UserLoginConfig) -> Denied | None:
    """Why nobody is logged in here. Evidence first: whether a name is known or disabled is not told without."""
    user = run.pending_user
    if user is None:
        return Denied()
    if lack := run.lacks(NEEDS[LogIn], user, unauthenticated=config.allow_unauthenticated):
        return denied_for(lack)
    return None if user.is_active else Denied()


def _log_in(run: Run, config: UserLoginConfig, do: Effects, lasts_us: int) -> Passed | Denied:
    user = run.pending_user
    if (denied := _denied(run, config)) or user is None:
        return denied or Denied()
    claims = _claims(run, user, do, lasts_us)
    do.order(
        LogIn(
            login=claims,
            session=run.session,
            address=run.visitor.address,
            user_agent=run.visitor.user_agent,
            replaces=run.login.login if run.login else None,
            terminate_others=config.terminate_other_sessions,
            run=run.run,
            grounds=run.grounds(user, unauthenticated=config.allow_unauthenticated),
        )
    )
    return Passed(user.uid, "login", login=claims)


def _claims(run: Run, user: UserFacts, do: Effects, lasts_us: int) -> LoginClaims:
    if user.pk is None:
        raise StageFailed("nobody has the name that was typed")
    now = do.now_us()
    return LoginClaims(
        login=do.new_id("login"),
        user=user.pk,
        uid=user.uid,
        username=user.username,
        methods=tuple(dict.fromkeys(one.proves for one in run.grounds(user).evidence)),
        at_us=now,
        expires_us=now + lasts_us if lasts_us else None,
        persistent=lasts_us > 0,
        epoch=user.epoch,
    )
