"""The catalog's settings: those that every service has, and its own place to listen."""

from pydantic import Field

from shared.runtime.setting_types import Address, Listen
from shared.runtime.settings import CommonSettings


class Settings(CommonSettings):
    """Read by `sluice run catalog`; `database` is the URI of the role `catalog`."""

    listen: Listen = Field(Address("127.0.0.1", 9001), description="host:port of the catalog's API and health routes")
