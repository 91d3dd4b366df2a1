"""What a transition may order. An order is carried out only once its transition is accepted, exactly once for its key
(session, version, n); a refusal (the user was disabled meanwhile) is its result and leads to a further transition.

An order on an account that exists is an `AccountOrder`: it carries the grounds on which it rests, without which neither the
worker notes it nor the directory carries it out (architecture §4.8).
"""

from abc import abstractmethod
from typing import ClassVar

from shared.contracts.evidence import Grounds
from shared.contracts.model import Count, Micros, ShortText, Value
from shared.contracts.people import LoginClaims
from shared.flows.evidence import Account, Lack, Moment, Need, lacking


class Order(Value):
    """Something to be done; `kind` names it in the history, `needs` what the run must have shown before."""

    kind: ClassVar[str]
    needs: ClassVar[Need]

    def lacks(self, session: str, version: int) -> Lack:
        """Why it may not be done in this transition of this session; "" if it may."""
        return ""


class AccountOrder(Order):
    """An order on an account that exists. `run` is the run that ordered it, `grounds` why it may."""

    run: ShortText = ""
    grounds: Grounds = Grounds()

    @property
    @abstractmethod
    def account(self) -> Account:
        """The account that it changes, or lets a browser into."""

    @property
    @abstractmethod
    def ordered_us(self) -> int:
        """When it was ordered."""

    def lacks(self, session: str, version: int) -> Lack:
        """See `Order.lacks`."""
        return lacking(self.needs, self.account, self.grounds, Moment(session, self.run, version, self.ordered_us))


class LogIn(AccountOrder):
    """Make this browser the user's: writes the login, updates `last_login`. Refused: `user_gone`, `user_disabled`,
    `epoch_over` (the password was changed meanwhile), `no_evidence`, `evidence_too_old`. Ends the login that the session
    had, and, if asked, all others."""

    kind = "directory.login.start"
    needs = Need.PROOF
    login: LoginClaims
    session: ShortText
    address: ShortText = ""
    user_agent: ShortText = ""
    replaces: ShortText | None = None
    terminate_others: bool = False

    @property
    def account(self) -> Account:
        """See `AccountOrder.account`."""
        return Account(self.login.user, self.login.uid, self.login.epoch)

    @property
    def ordered_us(self) -> int:
        """See `AccountOrder.ordered_us`."""
        return self.login.at_us


class LogOut(Order):
    """End this login, for all edges within a second. It takes from a browser what that browser has, so it needs nothing."""

    kind = "directory.login.end"
    needs = Need.NOTHING
    login: ShortText
    user: Count
    reason: ShortText = "logout"
    at_us: Micros


ORDERS: tuple[type[Order], ...] = (LogIn, LogOut)
