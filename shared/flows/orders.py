"""What a transition may order. An order is carried out only once its transition is accepted, exactly once for its key
(session, version, n); a refusal (the user was disabled meanwhile) is its result and leads to a further transition."""

from typing import ClassVar

from shared.contracts.model import Count, Micros, ShortText, Value
from shared.contracts.people import LoginClaims


class Order(Value):
    """Something to be done; `kind` names it in the history."""

    kind: ClassVar[str]


class LogIn(Order):
    """Make this browser the user's: writes the login, updates `last_login`. Refused: `user_gone`, `user_disabled`,
    `epoch_over` (the password was changed meanwhile). Ends the login that the session had, and, if asked, all others."""

    kind = "directory.login.start"
    login: LoginClaims
    session: ShortText
    address: ShortText = ""
    user_agent: ShortText = ""
    replaces: ShortText | None = None
    terminate_others: bool = False


class LogOut(Order):
    """End this login, for all edges within a second."""

    kind = "directory.login.end"
    login: ShortText
    user: Count
    reason: ShortText = "logout"
    at_us: Micros


ORDERS: tuple[type[Order], ...] = (LogIn, LogOut)
