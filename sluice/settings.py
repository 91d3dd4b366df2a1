"""`sluice settings`: every setting with its value, where that comes from, and what it is for; secrets left out."""

import os
from typing import Any, Final

from pydantic import SecretBytes, SecretStr

from shared.kernel.variables import variable
from shared.runtime.setting_types import OFF
from shared.runtime.settings import CommonSettings
from sluice.configuration import models, read

NOT_SET: Final = "(not set)"
HIDDEN: Final = "********"


def table() -> str:
    """The settings as lines: a variable, its value and source; below it what it is for, and whose it is.

    Raises:
        Misconfigured: something in the environment is wrong.
    """
    common = read(CommonSettings)
    own = {name: read(model) for name, model in models().items()}
    entries = [_entry(field, common, own) for field in CommonSettings.model_fields]
    for name, settings in own.items():
        fields = [field for field in type(settings).model_fields if field not in CommonSettings.model_fields]
        entries += [_entry(field, settings, {}, of=name) for field in fields]
    return "\n".join(entries)


def _entry(field: str, settings: CommonSettings, others: dict[str, Any], of: str = "") -> str:
    value = told(getattr(settings, field), field)
    differing = {name: text for name, other in others.items() if (text := told(getattr(other, field), field)) != value}
    source = "environment" if os.environ.get(variable(field)) else "default"
    differs = "".join(f"; {name}: {text}" for name, text in differing.items())
    whose = f"{of}: " if of else ""
    return f"{variable(field)}={value}  [{source}{differs}]\n    {whose}{type(settings).model_fields[field].description or ''}"


def told(value: Any, field: str = "") -> str:
    """A value for people to read."""
    match value:
        case None if field == "metrics_listen":
            return OFF
        case SecretStr() | SecretBytes():
            return HIDDEN
        case None | ():
            return NOT_SET
        case (SecretBytes(), *_):
            return HIDDEN
        case tuple() if not hasattr(value, "_fields"):
            return ",".join(map(str, value))
        case _:
            return str(value) or NOT_SET
