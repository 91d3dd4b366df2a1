"""Settings read from the environment: all that is wrong is told at once, by variable, and a name that nobody has is refused.

Nothing here repeats a value in an error: it may be a secret.
"""

import difflib
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError

from shared.kernel.variables import PREFIX, Misconfigured, variable
from shared.runtime.settings import CommonSettings

TEST_PREFIX: Final = "SLUICE_TEST"
_CONSEQUENCE: Final = "default_factory_not_called"  # pydantic's word for a default that needs a value which was wrong itself

S = TypeVar("S", bound=CommonSettings)


def load(model: type[S], **given: Any) -> S:
    """The settings of the environment; `given` goes before it.

    Raises:
        Misconfigured: with all that is wrong.
    """
    try:
        return model(**given)
    except ValidationError as failure:
        reasons = [_reason(error["loc"], error["msg"]) for error in failure.errors(include_input=False) if error["type"] != _CONSEQUENCE]
        raise Misconfigured("\n".join(reasons)) from None
    except SettingsError as failure:
        raise Misconfigured(str(failure)) from None


def unknown_variables(models: Iterable[type[CommonSettings]], environ: Mapping[str, str] = os.environ) -> list[str]:
    """What is wrong with the names in the environment: one line for each `SLUICE_*` that none of these models has."""
    known = {variable(field) for model in models for field in model.model_fields}
    strangers = sorted(name for name in environ if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and name not in known)
    return [f"{name}: there is no such setting{_suggestion(name, known)}" for name in strangers]


def _suggestion(name: str, known: set[str]) -> str:
    # Without what all have in common: by it alone, any two names would be close.
    close = difflib.get_close_matches(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in sorted(known)], n=1)
    return f"; {PREFIX}{close[0]} perhaps?" if close else ""


def _reason(place: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    return f"{variable(str(place[0]))}: {text}" if place else text
