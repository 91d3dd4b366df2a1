"""The base of every error that we raise on purpose: a stable code that can be grepped for, and a text for people."""

from typing import ClassVar, Final

UNEXPECTED: Final = "E_UNEXPECTED"
"""The code of a mistake of ours: an exception that nobody raised on purpose."""


class SluiceError(Exception):
    """An error with a stable, documented code; the text never holds what a visitor sent."""

    code: ClassVar[str] = "E_SLUICE"
    hint: ClassVar[str] = ""
    """Where to look, such as a setting's name; readiness tells it to anybody."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.code)
        self.detail = detail


def told(error: SluiceError) -> str:
    """The error as a line for people: its text, and the code by which `docs/errors.md` says more."""
    text = str(error)
    named = text.rpartition(" ")[2].startswith("[E_") or text == error.code  # a blueprint names its own, closer code
    return f"sluice: {text}" if named else f"sluice: {text} [{error.code}]"


class Unavailable(SluiceError):
    """Something that we depend on did not answer in time; nothing was decided and the same call may succeed later."""

    code = "E_UNAVAILABLE"


def why(error: Exception) -> tuple[str, str, Exception | None]:
    """What to say of what this was raised over: code, detail, and the error itself where it is a defect of ours."""
    if isinstance(error, SluiceError):
        return error.code, error.detail, None
    return UNEXPECTED, type(error).__name__, error
