"""The executor's settings: those that every service has, its role, and what it costs to guess a password."""

import hmac
import os
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from services.executor.rules.guess_limits import GuessLimits
from services.executor.rules.identifiers import BadIdentifier, new_email
from services.executor.rules.login_life import DAY_US, MINUTE_US, LoginLife
from services.executor.rules.passwords import MAX_BYTES, TARGET, TEST_TARGET, BadPassword, Cost, normalised
from shared.runtime.settings import CommonSettings

Role = Literal["edge", "worker", "both"]


class Settings(CommonSettings):
    """Read by `sluice run executor` and, the role aside, by `sluice up`."""

    role: Role = Field("both", description="edge: HTTP in and out; worker: sessions, by partitions; or both")
    cookie_same_site: Literal["Lax", "None"] = Field(
        "Lax", description="SameSite of the cookies over HTTPS; None is for flows shown in other sites' frames"
    )
    attempts_per_account: int = Field(
        100, ge=1, le=100, description="wrong passwords that strangers may try in an hour at one account, or one name that nobody has"
    )
    login_idle_minutes: int = Field(
        1440, ge=5, le=525_600, description="a login that was not used for so long is over, a remembered one too; whoever uses it, keeps it"
    )
    login_lifetime_days: int = Field(
        30, ge=1, le=3650, description="a login is over after so long, whatever its flow's session_duration says"
    )
    cached_starts: int = Field(
        2000, ge=0, description="starts of flows whose planning is kept until their page is answered; without, it is planned again"
    )
    unproven_sessions: int = Field(
        20_000, ge=100, description="sessions in which nobody has proved anything yet that a worker holds; one more, and the oldest ends"
    )
    set_aside_look_seconds: float = Field(
        5.0, ge=0.1, le=60, description="how often a worker looks whether the log still has what is known of it, and what is set aside"
    )
    set_aside_elsewhere_seconds: int = Field(
        30, ge=1, le=3600, description="for so long edges place no fresh session in a partition that they are told is set aside"
    )
    epoch_key_seconds: float = Field(
        300.0,
        ge=1.0,
        le=300.0,
        description="the workers make a new key that answers are sealed to so often; what was sealed can be opened for three times as long",
    )
    database_connections: int = Field(8, ge=2, le=64, description="connections to PostgreSQL, at most")
    hash_test_cost: bool = Field(
        False, description="tests only: new passwords get a hash that costs nearly nothing; refused unless SLUICE_TEST=1"
    )

    @field_validator("bootstrap_password")
    @classmethod
    def _can_be_a_password(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        try:
            normalised(value.get_secret_value())
        except BadPassword as bad:
            raise ValueError(f"it cannot be a password: {bad.detail}; wanted are 1 to {MAX_BYTES} bytes of UTF-8") from None
        return value

    @field_validator("bootstrap_email")
    @classmethod
    def _can_be_an_address(cls, value: str) -> str:
        try:
            new_email(value)
        except BadIdentifier as bad:
            raise ValueError(bad.message) from None
        return value

    @property
    def login_life(self) -> LoginLife:
        """How long a login lasts at most."""
        return LoginLife(self.login_idle_minutes * MINUTE_US, self.login_lifetime_days * DAY_US)

    @property
    def guess_limits(self) -> GuessLimits:
        """How often a password may be guessed."""
        return GuessLimits(account=self.attempts_per_account, address=self.attempts_per_address)

    @property
    def hash_target(self) -> Cost:
        """What the hash of a new password costs."""
        return TEST_TARGET if self.hash_test_cost else TARGET

    @property
    def previous_secrets(self) -> tuple[bytes, ...]:
        """What `SLUICE_SECRET_KEY` was, or will be: taken, never made with."""
        return tuple(one.get_secret_value() for one in self.secret_key_previous)

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """The ring: the first makes, all are taken."""
        return (self.secret_key.get_secret_value() if self.secret_key else b"", *self.previous_secrets)

    def making_with(self, secret: bytes) -> Self:
        """The same, with this key of the ring in the first place."""
        ring = [one for one in (self.secret_key, *self.secret_key_previous) if one is not None]
        first, *others = sorted(ring, key=lambda one: not hmac.compare_digest(one.get_secret_value(), secret))
        return self.model_copy(update={"secret_key": first, "secret_key_previous": tuple(others)})

    @model_validator(mode="after")
    def _cheap_hashes_are_for_tests(self) -> Self:
        if self.hash_test_cost and os.environ.get("SLUICE_TEST") != "1":
            raise ValueError("SLUICE_HASH_TEST_COST: only with SLUICE_TEST=1; real passwords need a real hash")
        return self
