"""What a transition may order, and what came of it. An order is carried out only once its transition is accepted, exactly once
for its key (session, version, n: its place among the transition's, from 1); a refusal (the user was disabled meanwhile) is its
result and leads to a further transition.

What an order needs before it may be done is `shared.flows.orders`. A new order is a model here, in `Order`; a changed one is a
new version of `SessionAdvanced`, with an upcaster for the old ones.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts.evidence import Grounds
from shared.contracts.model import Contract, Count, Micros, ShortText, Value, open_enum
from shared.contracts.people import LoginClaims


class LogIn(Value):
    """Make this browser the user's: writes the login, updates `last_login`. Refused: `user_gone`, `user_disabled`,
    `epoch_over` (the password was changed meanwhile), `no_evidence`, `evidence_too_old`. Ends the login that the session
    had, and, if asked, all others. `run` is the run that ordered it, `grounds` why it may."""

    kind: Literal["directory.login.start"] = "directory.login.start"
    login: LoginClaims
    session: ShortText
    address: ShortText = ""
    user_agent: ShortText = ""
    replaces: ShortText | None = None
    terminate_others: bool = False
    run: ShortText = ""
    grounds: Grounds = Grounds()


class LogOut(Value):
    """End this login, for all edges within a second. It takes from a browser what that browser has, so it needs nothing."""

    kind: Literal["directory.login.end"] = "directory.login.end"
    login: ShortText
    user: Count
    reason: ShortText = "logout"
    at_us: Micros


Order = Annotated[LogIn | LogOut, Field(discriminator="kind")]
"""Something to be done; `kind` names it in the history."""


class OrderResult(Value):
    """What came of a transition's order `n`: done, or refused with a reason. `failed`: it could not be carried out at all."""

    n: Count
    done: bool
    reason: Annotated[ShortText, open_enum("", "user_gone", "user_disabled", "epoch_over", "no_evidence", "evidence_too_old", "failed")] = (
        ""
    )


class OrdersPerformed(Contract):
    """What came of all orders of one transition. The directory keeps it under their key (`shared.contracts.kept`)."""

    wire_type: ClassVar[str] = "directory.orders.performed"
    results: tuple[OrderResult, ...]
