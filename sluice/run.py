"""`sluice run`: one service as a process of its own."""

from shared.runtime import kafka
from sluice.configuration import read
from sluice.services import build, settings_model


def run(name: str, role: str | None) -> int:
    """Run the service; `role` (of the executor) goes before SLUICE_ROLE. The exit code."""
    settings = read(settings_model(name), **({} if role is None else {"role": role}))
    if settings.kafka is None:
        return kafka.refused(name)
    return kafka.run(name, settings, build(name))
