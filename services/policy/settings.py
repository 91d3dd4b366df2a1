"""The policy service's settings: those that every service has, and what an expression may take."""

from pydantic import Field

from shared.runtime.setting_types import Address, Listen
from shared.runtime.settings import CommonSettings


class Settings(CommonSettings):
    """Read by `sluice run policy`."""

    listen: Listen = Field(Address("127.0.0.1", 9003), description="host:port of the policy service's health routes")
    policy_workers: int = Field(2, ge=1, le=32, description="sandbox processes that run expressions, about 10 MB each")
    policy_time_limit_ms: int = Field(100, ge=1, le=10_000, description="how long an expression may run, in milliseconds")
    policy_memory_limit_mib: int = Field(16, ge=1, le=256, description="how much memory an expression may take, in MiB")
