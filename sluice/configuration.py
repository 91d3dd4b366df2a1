"""The settings of the environment as the command line reads them: all services' names are known, so a typo is refused."""

from typing import TypeVar

from shared.kernel.variables import Misconfigured
from shared.runtime.environment import load, unknown_variables
from shared.runtime.settings import CommonSettings
from sluice.services import NAMES, settings_model

S = TypeVar("S", bound=CommonSettings)


def models() -> dict[str, type[CommonSettings]]:
    """The settings of each service, by its name."""
    return {name: settings_model(name) for name in NAMES}


def read(model: type[S], **given: object) -> S:
    """The settings of the environment; `given` goes before it.

    Raises:
        Misconfigured: with all that is wrong, names that no service knows included.
    """
    wrong = unknown_variables([CommonSettings, *models().values()])
    try:
        settings = load(model, **given)
    except Misconfigured as error:
        raise Misconfigured("\n".join([*wrong, str(error)])) from None
    if wrong:
        raise Misconfigured("\n".join(wrong))
    return settings
