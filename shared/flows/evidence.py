"""What authenticates somebody, and what an order on an account needs of that (architecture §4.8).

The rule is asked when a stage orders and again when the order is done. Pure: it decides on what it is given.
A stage type that proves something names its kinds in `Stage.proves` and passes with a `Proof`; nothing else ever counts,
whatever it is called: no identification, prompt, captcha, consent, invitation, device set-up, skipped or unconfigured
factor, known device or policy.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, get_args

from shared.contracts.evidence import Evidence, Grounds
from shared.contracts.people import LoginClaims, UserFacts

ANONYMOUS: Final = "anonymous"
FRESH_US: Final = 3600 * 1_000_000
"""A log-in needs one piece of evidence that is younger."""

ProofKind = Literal["password", "device", "address", "source", "certificate", "creation", "setup_secret"]
"""What authenticates: a password that the directory verified; a device older than the run; a link or code sent to the address
that the account had before the run, or to the new account's own; a source, or a client certificate seen on this request,
that maps to the user; the account's creation by this run; our one-time set-up secret."""
KINDS: Final[frozenset[str]] = frozenset(get_args(ProofKind))

Lack = Literal["", "no_evidence", "evidence_too_old"]
"""What an order lacks; empty if nothing."""


class Unfounded(Exception):
    """An order was given without the grounds that it needs: it is not noted, and the run is denied."""

    def __init__(self, lack: Lack) -> None:
        super().__init__(lack)
        self.lack: Final = lack


class Need(StrEnum):
    """What an order needs before it may be done.

    `NOTHING`: it is about no account that was there before, or only takes away what the browser itself has.
    `PROOF`: evidence of this run for its account, one piece of it fresh; the login that the run began with does not
    count, or a stolen short login would renew itself. `PROOF_OR_LOGIN`: evidence of this run, or that login.
    """

    NOTHING = "nothing"
    PROOF = "proof"
    PROOF_OR_LOGIN = "proof_or_login"


@dataclass(frozen=True, slots=True)
class Proof:
    """Authenticating evidence for an account, as a stage found it; `ValueError` for nobody and for a pretended user."""

    kind: ProofKind
    user: UserFacts

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.user.pk is None or not self.user.uid:
            raise ValueError(f"{self.kind} proves nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """Whom an order is about: number, uid (numbers may be given again) and epoch (a new password ends what was before)."""

    user: int
    uid: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Moment:
    """When and where an order is decided: session, run, the version of its transition, its time."""

    session: str
    run: str
    version: int
    at_us: int


def counting(evidence: Iterable[Evidence], account: Account, now: Moment) -> tuple[Evidence, ...]:
    """The evidence that authenticates this account in this run, whatever its age."""
    return tuple(one for one in evidence if _counts(one, account, now))


def lacking(need: Need, account: Account, grounds: Grounds, now: Moment) -> Lack:
    """What these grounds lack for an order that needs that much; "" if it may be done."""
    if need is Need.NOTHING or grounds.unauthenticated:
        return ""
    found = counting(grounds.evidence, account, now)
    if need is Need.PROOF_OR_LOGIN:
        return "" if found or _is_of(grounds.login, account, now) else "no_evidence"
    if not found:
        return "no_evidence"
    return "" if any(now.at_us - one.at_us < FRESH_US for one in found) else "evidence_too_old"


def _counts(one: Evidence, account: Account, now: Moment) -> bool:
    here = (one.session, one.run) == (now.session, now.run) and one.version <= now.version and one.at_us <= now.at_us
    return one.proves in KINDS and here and (one.user, one.subject, one.epoch) == (account.user, account.uid, account.epoch)


def _is_of(login: LoginClaims | None, account: Account, now: Moment) -> bool:
    if login is None or (login.expires_us is not None and login.expires_us <= now.at_us):
        return False
    return (login.user, login.uid, login.epoch) == (account.user, account.uid, account.epoch)
