"""Telemetry of a process, from its settings."""

from shared.runtime.addresses import listening_on
from shared.runtime.settings import CommonSettings
from shared.telemetry.setup import setup


class ProcessTelemetry:
    """Traces, metrics with their endpoint and log lines of the process called `name`."""

    def __init__(self, name: str, settings: CommonSettings) -> None:
        self._listen = settings.metrics_listen
        self._telemetry = setup(name, settings)

    async def start(self) -> None:
        """Serve metrics; `AddressTaken` if somebody else listens there."""
        if self._listen is None:
            return await self._telemetry.start()
        with listening_on(self._listen, "metrics_listen"):
            return await self._telemetry.start()

    async def stop(self) -> None:
        """Export what is waiting, stop serving."""
        await self._telemetry.stop()
