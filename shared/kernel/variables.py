"""What a setting is called where people set it, and how it is said that one is wrong."""

from typing import Final

from shared.kernel.errors import SluiceError

PREFIX: Final = "SLUICE_"


class Misconfigured(SluiceError):
    """Settings that cannot be worked with; the text names each variable and the reason, one a line."""

    code = "E_SETTINGS"


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()
