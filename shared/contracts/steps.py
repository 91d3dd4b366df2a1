"""`executor.steps` and `executor.replies`: what a visitor asks for, and what the edge is told to show. Owned by executor."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts.codec import Codec
from shared.contracts.definitions import Designation, FlowFacts
from shared.contracts.model import Contract, Count, Micros, Plain, Query, ShortText, Text, Value
from shared.contracts.people import LoginClaims

MAX_DEVICES = 4
"""So many people's earlier logins a browser names."""

StepKind = Literal["locate", "start", "answer", "cancel", "resume", "state"]
"""`start`: show this flow's current challenge, plan if no run is open (GET). `answer`: a POST. `state`: what is the
case now? (after "still working", or when the edge's cache has nothing). `locate`: which flow has this designation?"""


class Sealed(Value):
    """A visitor's whole body, sealed to an epoch key of the workers (HPKE, RFC 9180; architecture §4.10)."""

    epoch: ShortText
    box: Annotated[bytes, Field(max_length=72 * 1024)]


class Shown(Value):
    """The transition of a run that the visitor had before their eyes when they answered."""

    run: ShortText
    transition: ShortText
    version: Count


class StepRequested(Contract):
    """One command of a visitor.

    `query` is the inner query string, as sent; `outer_next` the outer `next`, if one was sent once. `login` is what the
    edge has just checked. `fresh` says that the session id was made for this step (nobody has a cookie of it yet).
    `command` is drawn by the edge for each request. `awaited` is an earlier one, whose reply this browser was promised on a
    "still working" page: the reply is for it if this asks for the state, or brings the same body again. `devices` are logins that
    were made in this browser before, one of each user: they prove nothing, and are for the limits of guesses alone.
    """

    wire_type: ClassVar[str] = "executor.step.requested"
    command: ShortText
    awaited: ShortText | None = None
    kind: StepKind
    session: ShortText
    fresh: bool
    rotation: Count
    flow: ShortText
    designation: Designation | None = None
    shown: Shown | None = None
    sealed: Sealed | None = None
    query: Query = ""
    outer_next: Query | None = None
    host: ShortText = ""
    address: ShortText = ""
    user_agent: ShortText = ""
    secure: bool = False
    login: LoginClaims | None = None
    devices: Annotated[tuple[ShortText, ...], Field(max_length=MAX_DEVICES)] = ()
    received_us: Micros
    deadline_us: Micros
    reply_partition: Count
    edge: ShortText


ViewKind = Literal["challenge", "denied", "redirect", "error"]


class View(Value):
    """What the visitor sees of a run: a challenge of its current stage, or how it ended.

    `challenge`: `component` and `fields` are the stage's, `errors` maps fields to `{string, code}` of the answer before.
    `denied`: `message`. `redirect`: `to`. `error`: `message` is for administrators only.
    `person` is the displayed user's name ("" for nobody), None where the challenge shows no user. `told` is a sentence for the
    page alone, beside a challenge or instead of a denial's `message`.
    """

    kind: ViewKind
    flow: FlowFacts
    title: Text
    component: ShortText
    fields: Plain = {}
    errors: dict[str, tuple[Plain, ...]] = {}
    person: ShortText | None = None
    message: Text = ""
    told: Text = ""
    to: Text = ""


Outcome = Literal["accepted", "current", "located", "unknown_flow", "busy", "refused", "unavailable", "superseded", "conflict"]
"""`accepted`: a transition was written for this command (or was before). `current`: nothing was done, this is the case.
`superseded`: the cookie's rotation is over. `conflict`: the awaited command came with another body. `refused`: see `reason`."""


class StepReplied(Contract):
    """The one reply to a step, for the edge that asked.

    `run`, `transition`, `version` place the view. `advanced`: the answer was taken and the run went on.
    `login` is set only in the reply to the command that logged in; `rotation` is the session's now. `rotated`: this command made
    it so, and who sent it gets the new cookie.
    `logged_out`: this command ended the browser's login; unless `session_over`, `rotation` is a new one without a login.
    `session_over`: the next request needs a fresh session.
    `open`: the session has a run that is not over (else no session cookie is needed).
    """

    wire_type: ClassVar[str] = "executor.step.replied"
    command: ShortText
    edge: ShortText
    session: ShortText
    outcome: Outcome
    reason: ShortText = ""
    retry_after_s: Count = 0
    rotation: Count = 0
    rotated: bool = False
    run: ShortText | None = None
    transition: ShortText | None = None
    version: Count = 0
    view: View | None = None
    advanced: bool = False
    login: LoginClaims | None = None
    logged_out: bool = False
    session_over: bool = False
    open: bool = False
    slug: ShortText | None = None


CODEC = Codec((StepRequested, StepReplied))
