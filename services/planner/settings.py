"""The planner's settings: those that every service has, and its own place to listen (health only)."""

from pydantic import Field

from shared.runtime.setting_types import Address, Listen
from shared.runtime.settings import CommonSettings


class Settings(CommonSettings):
    """Read by `sluice run planner`."""

    listen: Listen = Field(Address("127.0.0.1", 9002), description="host:port of the planner's health routes")
