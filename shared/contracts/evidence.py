"""What a run knows of who sits at the browser: evidence of stages, and the grounds on which an order may be done (architecture §4.8)."""

from typing import Annotated

from shared.contracts.model import Count, Micros, ShortText, Value, open_enum
from shared.contracts.people import LoginClaims


class Evidence(Value):
    """Why a stage counts as passed: who showed what, when, in which run. A body is never evidence.

    `subject` is the uid of whom it was about, `method` how in the stage's own words. Only evidence with a kind in `proves`
    is *authenticating*, for the account `user` in its `epoch` and for nobody else; without one it says that a stage was done.
    """

    session: ShortText
    run: ShortText
    binding: ShortText
    version: Count
    subject: ShortText
    method: ShortText
    at_us: Micros
    proves: Annotated[ShortText, open_enum("", "password", "device", "address", "source", "certificate", "creation", "setup_secret")] = ""
    user: Count | None = None
    epoch: Count = 0


class Grounds(Value):
    """On what an order on an account rests: authenticating evidence of the run, the login that the run began with, or an
    administrator's word that none is needed (`allow_unauthenticated`)."""

    evidence: tuple[Evidence, ...] = ()
    login: LoginClaims | None = None
    unauthenticated: bool = False
