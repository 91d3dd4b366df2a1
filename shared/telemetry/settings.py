"""What an operator may set about telemetry; the same for every service."""

import ipaddress
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class TelemetrySettings(BaseSettings):
    """Environment variables `SLUICE_TRACE_RATIO`, `SLUICE_TRACE_EXPORTER`, `SLUICE_METRICS_LISTEN`, `SLUICE_LOG_LEVEL`.

    `trace_ratio` is the part of new traces that is recorded (0 to 1); a trace that another service began is recorded if
    that one recorded it. `trace_exporter` `log` writes each span as a log line `telemetry.span`; `none` records nothing.
    `metrics_listen` is `host:port` on loopback: metrics tell who logs in how often, and are not for visitors. Empty
    serves none.
    """

    model_config = SettingsConfigDict(env_prefix="SLUICE_", frozen=True, extra="ignore")

    trace_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    trace_exporter: Literal["log", "none"] = "log"
    metrics_listen: str = "127.0.0.1:9464"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("metrics_listen")
    @classmethod
    def _on_loopback(cls, text: str) -> str:
        if text:
            address(text)
        return text


def address(listen: str) -> tuple[str, int]:
    """Host and port of a `host:port` on loopback; `ValueError` with the reason if it is not one."""
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError("must be host:port")
    if host != "localhost" and not _loopback(host):
        raise ValueError("must be a loopback address: metrics are not for visitors")
    return host, int(port)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
