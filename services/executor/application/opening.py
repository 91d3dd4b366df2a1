"""The visitor's answer, opened for one step and parsed."""

import json
from typing import Any

from services.executor.application.ports import SealOpener
from shared.contracts.errors import BadSeal
from shared.contracts.steps import StepRequested


async def opened(opener: SealOpener, step: StepRequested) -> Any:
    """A step's sealed body; `BadSeal` if it cannot be opened, or is not the JSON that the edge sealed."""
    if step.sealed is None:
        return {}
    raw = await opener.open(step.sealed, step.session, step.command)
    try:
        return json.loads(raw)
    except ValueError:
        raise BadSeal("not what the edge seals") from None
