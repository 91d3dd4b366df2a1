"""`executor.state`: what a session's history (`shared.contracts.sessions`) folds to. Owned by executor.

A new owner of a partition starts from these. They are derived: the history alone says what happened.

The key of a record is session and owner, a random id of each takeover: what an owner that slept writes late stands beside what its
successor wrote, and compaction keeps both. Of all owners' records of a session the one with the highest version counts, whichever
came last. An owner that has written a session removes the records of former ones that it has found of it (architecture §4.6).
"""

from typing import ClassVar, Final, Literal

from shared.contracts.codec import Codec
from shared.contracts.evidence import Evidence
from shared.contracts.model import Contract, Count, Micros, Plain, ShortText, Value
from shared.contracts.people import LoginClaims, UserFacts, Visitor
from shared.contracts.planner import Plan, PlannedStage
from shared.contracts.steps import Shown, View

SESSION_BYTES: Final = 64 * 1024
"""So much is held and written of one session, beside what its runs know of their pending users."""


class RunState(Value):
    """One run, folded. `stages[0]` is the current stage; `over` says how it ended. `head` is its last transition. `api`: it
    was begun through the API.

    `pending_user` is whom it is about, None before anybody said who they are. `evidence` is what authenticates them; it falls
    with that user (architecture §4.8).
    """

    run: ShortText
    flow: ShortText
    plan: Plan | None
    visitor: Visitor
    pending_user: UserFacts | None = None
    context: Plain = {}
    login: ShortText | None = None
    stages: tuple[PlannedStage, ...] = ()
    view: View | None = None
    api: bool = False
    over: Literal["", "denied", "finished", "cancelled", "refused"] = ""
    head: ShortText = ""
    version: Count = 0
    started_us: Micros = 0
    evidence: tuple[Evidence, ...] = ()


class Answered(Value):
    """A command that was answered, and how: who sends it again within 30 s gets the same reply (architecture §3).

    `rotation` is the session's after it: of a later rotation nothing is told to who sent this command. `rotated`: it rose with
    it. `flow`, `shown`, `epoch` and `mark` tell the same body again, sent to the same run and transition (`sessions.Given`);
    `secret`: a secret field of that body was accepted, so that whoever knows it knows the secret.
    """

    command: ShortText
    transition: ShortText
    run: ShortText | None
    at_us: Micros
    advanced: bool
    login: LoginClaims | None = None
    logged_out: bool = False
    rotation: Count = 0
    rotated: bool = False
    flow: ShortText = ""
    shown: Shown | None = None
    epoch: ShortText = ""
    mark: ShortText = ""
    secret: bool = False


class SessionState(Contract):
    """A session, folded: what a new owner starts from. `logged_out` is the run that logged out and is not over yet, "" for
    none: the session ends with it, unless somebody logs in before. `due_us`, `unproven`, `open` and `ended`, which stand first, are all that
    an owner has to know of a session that takes no step: when it is over by age, whether nobody has proved anything in it, and in
    which flows (by slug) runs are open.
    `began` are the ids of its runs, those forgotten included: a
    page whose run has begun does not begin it again. `rotated_us` are the times of the last rotations (8 at most), oldest first."""

    wire_type: ClassVar[str] = "executor.session.folded"
    session: ShortText
    version: Count = 0
    ended: ShortText = ""
    due_us: Micros = 0
    unproven: bool = False
    open: tuple[ShortText, ...] = ()
    head: ShortText = ""
    rotation: Count = 0
    rotated_us: tuple[Micros, ...] = ()
    started_us: Micros = 0
    last_us: Micros = 0
    login: LoginClaims | None = None
    runs: tuple[RunState, ...] = ()
    began: tuple[ShortText, ...] = ()
    counters: dict[str, Count] = {}
    obligations: tuple[ShortText, ...] = ()
    answered: tuple[Answered, ...] = ()
    transitions: Count = 0
    logged_out: ShortText = ""


CODEC = Codec((SessionState,))


def key_of(session: str, owner: str) -> str:
    """The key and subject of the states that this owner writes of a session."""
    return f"{session}/{owner}"


def writer_of(key: str) -> tuple[str, str]:
    """Session and owner in a key; the owner is "" where none is named."""
    session, _, owner = key.partition("/")
    return session, owner
