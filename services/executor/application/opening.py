"""The visitor's answer, opened for one step: parsed, and its secrets set apart from the rest."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.executor.application.ports import SealOpener
from shared.contracts.errors import BadSeal
from shared.contracts.steps import StepRequested


@dataclass(frozen=True, slots=True)
class Opened:
    """The parsed body. `secrets` are all its texts by field name: which of them are secret, the stage type says."""

    body: Any = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)


async def opened(opener: SealOpener, step: StepRequested) -> Opened:
    """Open a step's sealed body; `BadSeal` if it cannot be, or is not the JSON that the edge sealed."""
    if step.sealed is None:
        return Opened({}, {})
    raw = await opener.open(step.sealed, step.session, step.command)
    try:
        body = json.loads(raw)
    except ValueError:
        raise BadSeal("not what the edge seals") from None
    texts = {name: value for name, value in body.items() if isinstance(value, str)} if isinstance(body, dict) else {}
    return Opened(body, texts)
