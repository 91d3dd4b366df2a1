"""`executor.steps` and `executor.replies`: what a visitor asks for, and what the edge is told to show. Owned by executor."""

import hashlib
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.contracts import wire
from shared.contracts.codec import Codec
from shared.contracts.definitions import Designation, FlowFacts
from shared.contracts.model import Contract, Count, Micros, Plain, Query, ShortText, Text, Value
from shared.contracts.people import LoginClaims

REPLY_KEPT_S = 300
"""How long who awaits the reply to a command may ask for it: longer than what a cluster depends on is away, and half as long as a login
lives that nobody claims (architecture §3)."""

MAX_DEVICES = 4
"""So many people's earlier logins a browser names."""

StepKind = Literal["locate", "start", "answer", "cancel", "resume", "state"]
"""`start`: show the challenge of the run that is named, or the first one of this flow (GET). `answer`: a POST. `state`: what is
the case now? (after "still working", or when the edge's cache has nothing). `locate`: which flow has this designation?"""


class Sealed(Value):
    """A visitor's whole body, sealed to an epoch key of the workers (HPKE, RFC 9180; architecture §4.10)."""

    epoch: ShortText
    box: Annotated[bytes, Field(max_length=72 * 1024)]


class Shown(Value):
    """The transition of a run that the visitor had before their eyes when they answered."""

    run: ShortText
    transition: ShortText
    version: Count


class Page(Value):
    """What a page says of itself that nobody has answered yet: it belongs to no session (architecture §3).

    `run` begins with its answer, if that comes to the same `binding`, the first stage, and to a challenge of the same digest
    (`challenge_digest`). `login` is the one it was drawn for, "" for nobody. When, and by whom from where, it was asked for.
    """

    run: ShortText
    login: ShortText
    binding: ShortText
    challenge: ShortText
    at_us: Micros
    address: ShortText
    user_agent: ShortText


class StepRequested(Contract):
    """One command of a visitor.

    `query` is the inner query string, as sent; `outer_next` the outer `next`, if one was sent once. `login` is what the
    edge has just checked. `made_us` is when the session's first cookie was made: one that is not known begins only for an hour.
    The run that it is about: that of `shown`, the transition that the visitor saw; that which `page`, not answered until now,
    begins; `named` by the page's URL; through the API without a name the last one that the API began. `run` is the
    id of the one that begins if it is none of these.
    `command` is drawn by the edge for each request; the same body again, from a browser that awaits the reply to it, has the same.
    `awaited` is such a one, whose reply is asked for with the state. `devices` are logins that were made in this browser before,
    one of each user: they prove nothing, and are for the limits of guesses alone.
    """

    wire_type: ClassVar[str] = "executor.step.requested"
    command: ShortText
    awaited: ShortText | None = None
    kind: StepKind
    session: ShortText
    made_us: Micros
    rotation: Count
    flow: ShortText
    designation: Designation | None = None
    run: ShortText = ""
    named: ShortText = ""
    shown: Shown | None = None
    page: Page | None = None
    api: bool = False
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


class Problem(Value):
    """One thing that is wrong with an answer, as the protocol shows it (docs/compat.md, Answers)."""

    string: Text
    code: ShortText


Problems = dict[str, tuple[Problem, ...]]
"""What is wrong with an answer, by field; `non_field_errors` for the whole of it."""
ViewKind = Literal["challenge", "denied", "redirect", "error"]


class View(Value):
    """What the visitor sees of a run: a challenge of its current stage, or how it ended.

    `challenge`: `component` and `fields` are the stage's, `errors` are of the answer before.
    What `fields` there are, the component says: they go to the browser as they are.
    `denied`: `message`. `redirect`: `to`. `error`: `message` is for administrators only.
    `person` is the displayed user's name ("" for nobody), None where the challenge shows no user. `told` is a sentence for the
    page alone, beside a challenge or instead of a denial's `message`.
    """

    kind: ViewKind
    flow: FlowFacts
    title: Text
    component: ShortText
    fields: Plain = {}
    errors: Problems = {}
    person: ShortText | None = None
    message: Text = ""
    told: Text = ""
    to: Text = ""


def challenge_digest(view: View) -> str:
    """By what a challenge is known again: SHA-256 in hex over what is asked, and of whom. How the page is called is no part of it."""
    return hashlib.sha256(wire.pack(view.model_dump(include={"kind", "component", "fields", "person"}))).hexdigest()


Outcome = Literal["accepted", "current", "offered", "located", "unknown_flow", "busy", "refused", "unavailable", "superseded"]
"""`accepted`: a transition was written for this command (or was before). `current`: nothing was done, this is the case.
`offered`: the first challenge of a run that begins with its answer; nothing is written of it.
`superseded`: the cookie's rotation is over. `refused`: see `reason`."""


class StepReplied(Contract):
    """The one reply to a step, for the edge that asked.

    `run`, `transition`, `version` place the view, what is `offered` has but a run and the `binding` of its first stage. `advanced`: the answer was taken and the run went on.
    `login` is set only in the reply to the command that logged in; `rotation` is the session's now. `rotated`: this command made
    it so, and who sent it gets the new cookie.
    `logged_out`: this command ended the browser's login; unless `session_over`, `rotation` is a new one without a login.
    `session_over`: the next request needs a fresh session; with `retry_after_s` for so long one in another partition, because nothing happens
    in this one. `begun`: the session has begun, so that its cookie stays.
    `open`: the session has a run that is not over (else no session cookie is needed).
    `unsettled`: not to be had now is only what became of the step: it may have been taken, and who awaits the command is told then.
    """

    wire_type: ClassVar[str] = "executor.step.replied"
    command: ShortText
    edge: ShortText
    session: ShortText
    outcome: Outcome
    reason: ShortText = ""
    retry_after_s: Count = 0
    unsettled: bool = False
    rotation: Count = 0
    rotated: bool = False
    run: ShortText | None = None
    transition: ShortText | None = None
    version: Count = 0
    binding: ShortText = ""
    view: View | None = None
    advanced: bool = False
    login: LoginClaims | None = None
    logged_out: bool = False
    session_over: bool = False
    begun: bool = False
    open: bool = False
    slug: ShortText | None = None


CODEC = Codec((StepRequested, StepReplied))
