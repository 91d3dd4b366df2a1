"""What an order needs before it may be done, asked when a stage orders and again where it is done (architecture §4.8).

An order on an account that exists carries the grounds on which it rests, without which neither the worker notes it nor the
directory carries it out.
"""

from collections.abc import Mapping
from typing import Any, Final, assert_never

from shared.contracts.orders import LogIn, LogOut, Order
from shared.flows.evidence import Account, Lack, Moment, Need, lacking

NEEDS: Final[Mapping[type[Any], Need]] = {LogIn: Need.PROOF, LogOut: Need.NOTHING}
"""What the run must have shown before, by order."""


def lack_of(order: Order, session: str, version: int) -> Lack:
    """Why it may not be done in this transition of this session; "" if it may."""
    match order:
        case LogIn():
            login = order.login
            account, now = Account(login.user, login.uid, login.epoch), Moment(session, order.run, version, login.at_us)
            return lacking(NEEDS[LogIn], account, order.grounds, now)
        case LogOut():
            return ""
        case _:
            assert_never(order)
