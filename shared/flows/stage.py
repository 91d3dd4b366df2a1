"""What a stage type is.

A new stage type is one file in `stage_types/`: its configuration (a pydantic model, from which the REST API, the
OpenAPI text and the checks of imports are made), the fields of its answer, and the two questions below. Its code has
no callbacks and no states of its own: `do` is its only way to the world, so that the same code runs live, in a replay and in a test.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Final, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict

from shared.contracts import wire
from shared.contracts.definitions import StageBody
from shared.contracts.evidence import Evidence, Grounds
from shared.contracts.model import Plain
from shared.contracts.people import LoginClaims, UserFacts, Visitor
from shared.contracts.planner import Plan, PlannedStage
from shared.contracts.steps import Problems
from shared.flows.effects import Answer, Effects
from shared.flows.evidence import ANONYMOUS, Account, Lack, Moment, Need, Proof, ProofKind, counting, lacking
from shared.flows.fields import Field
from shared.flows.shown import person_of


class StageConfig(BaseModel):
    """Base of a stage type's configuration: authentik's field names and defaults. Unknown fields are refused.

    A field annotated with a `Reference` (`references.py`) holds the id of another object, or ids of several.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


C = TypeVar("C", bound=StageConfig)
CONFIGURATIONS: Final = 1024
"""So many are kept validated: of the stages that there are, nearly all."""


def configured(kind: type[C], config: Plain) -> C:
    """A planned stage's configuration; `ValidationError`. Validated once for its content, whoever planned it and how often a run comes by:
    what is kept is found by the content itself, so that no plan can put another one in its place."""
    return cast("C", _validated(kind, wire.pack(config)))


@lru_cache(CONFIGURATIONS)
def _validated(kind: type[StageConfig], content: bytes) -> StageConfig:
    return kind.model_validate(wire.unpack(content, len(content)))


@dataclass(frozen=True, slots=True)
class Run:
    """What a stage may know: the run that it is part of, as it is now.

    `pending_user` is whom it is about, if a stage has found somebody; `context` is the plan's context (docs/compat.md, Plans),
    `visitor.user` the logged-in user. `counters` are the
    session's. `next` is the inner query's `next`, unchecked. `links` maps pks of linked flows to their slugs. `ahead` are
    the types of the stages that are planned after this one. `version` is that of the transition being decided; `evidence`
    authenticates the pending user, `began_as` is the login that the run began with (architecture §4.8). Without these three
    nothing counts.
    """

    session: str
    run: str
    plan: Plan
    stage: PlannedStage
    context: Mapping[str, Any]
    visitor: Visitor
    login: LoginClaims | None
    query: str
    counters: Mapping[str, int]
    at_us: int
    ahead: tuple[str, ...] = ()
    version: int = 0
    evidence: tuple[Evidence, ...] = ()
    began_as: LoginClaims | None = None
    pending_user: UserFacts | None = None

    @property
    def person(self) -> str:
        """The name to show, see `shared.flows.shown`."""
        return person_of(self.context, self.pending_user, self.visitor.user)

    @property
    def subject(self) -> str:
        """Whom a stage is about, for its evidence: the uid of the pending user, else of the visitor, else `anonymous`."""
        user = self.pending_user or self.visitor.user
        return user.uid if user and user.uid else ANONYMOUS

    def grounds(self, user: UserFacts, *, unauthenticated: bool = False) -> Grounds:
        """On what an order on this user's account may rest; `unauthenticated` if the stage's configuration waives it."""
        account = _account(user)
        found = counting(self.evidence, account, self._now) if account else ()
        return Grounds(evidence=found, login=self.began_as, unauthenticated=unauthenticated)

    def lacks(self, need: Need, user: UserFacts, *, unauthenticated: bool = False) -> Lack:
        """What is missing for an order on this user's account that needs that much; "" if nothing is."""
        account = _account(user)
        if account is None:
            return "" if unauthenticated else "no_evidence"
        return lacking(need, account, self.grounds(user, unauthenticated=unauthenticated), self._now)

    @property
    def _now(self) -> Moment:
        return Moment(self.session, self.run, self.version, self.at_us)


def _account(user: UserFacts) -> Account | None:
    return None if user.pk is None else Account(user.pk, user.uid, user.epoch)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What to ask the visitor: fields beside those that every challenge has. `with_user` adds the displayed user."""

    component: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    with_user: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """The stage is done. `subject` and `method` are the evidence: who showed what. With a `proof` it authenticates that user.

    `context` is merged into the run's context; `pending_user`: the run is about them from now on; `inserted` stages come next;
    `counters` are set in the session.
    """

    subject: str
    method: str
    context: Mapping[str, Any] = field(default_factory=dict)
    pending_user: UserFacts | None = None
    proof: Proof | None = None
    inserted: tuple[PlannedStage, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    login: LoginClaims | None = None
    logged_out: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer was not good enough. Problems are by field, `non_field_errors` for the whole; `told` is for the page alone.
    `context` and `pending_user` are as in `Passed`."""

    problems: Problems
    counters: Mapping[str, int] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    pending_user: UserFacts | None = None
    told: str = ""


@dataclass(frozen=True, slots=True)
class Denied:
    """The run ends here. Without a message the visitor reads `Unknown error` in JSON, and on the page `told`, or that no reason was given.
    `final`: a limit, no restart goes around it. `reason` is what the history calls it."""

    message: str = ""
    counters: Mapping[str, int] = field(default_factory=dict)
    final: bool = False
    reason: str = "denied"
    told: str = ""


_LACKING: Final[Mapping[Lack, str]] = {
    "": "",
    "no_evidence": "Nothing here has shown that you are who you say you are.",
    "evidence_too_old": "Too much time has passed since you showed who you are. Please begin again.",
}


def denied_for(lack: Lack) -> Denied:
    """What comes of a stage whose order lacks evidence. Evidence that is merely too old can be shown again."""
    return Denied(_LACKING[lack], final=lack != "evidence_too_old", reason=lack)


Outcome = Passed | Refused | Denied


class StageFailed(Exception):
    """A stage cannot do its work (a broken configuration): the visitor gets a flow error, the run stays where it is."""


class Stage(ABC, Generic[C]):
    """One stage type. Instances hold nothing: one serves all runs.

    `name` is the type's name, `app` authentik's app label and `model` its model (`<app>.<model>` in blueprints),
    `path` its place in the REST API under `/api/v3/stages/`, `form` the admin form's component, `config` its
    configuration's model and `fields` what an answer may hold. `proves` are the kinds of authenticating evidence that it may
    pass with, `needs` is the most that one of its orders needs, and `renames` says that it makes somebody else the pending
    user, so that what was proved before is of no use after it.
    """

    name: ClassVar[str]
    app: ClassVar[str]
    model: ClassVar[str]
    path: ClassVar[str]
    form: ClassVar[str]
    verbose_name: ClassVar[str]
    config: ClassVar[type[StageConfig]]
    fields: ClassVar[Mapping[str, Field]] = {}
    proves: ClassVar[frozenset[ProofKind]] = frozenset()
    needs: ClassVar[Need] = Need.NOTHING
    renames: ClassVar[bool] = False

    def can_prove(self, config: C, references: Mapping[str, StageBody]) -> bool:
        """Whether a stage of this configuration can pass with a proof at all; `references` are as in `PlannedStage`."""
        return bool(self.proves)

    def spoils(self, config: C) -> str:
        """What a stage of this configuration does to whoever comes to it, if after that nobody is logged in whatever they answer;
        "" if somebody may be. Without its subject, for a sentence that names the stage."""
        return ""

    @abstractmethod
    async def challenge(self, run: Run, config: C, do: Effects) -> Challenge | Passed | Denied:
        """What to ask the visitor; or, for a stage that asks nothing, what came of it. Runs when the stage is reached."""

    async def answer(self, run: Run, config: C, answer: Answer, do: Effects) -> Outcome:
        """What comes of an answer whose fields are in order."""
        raise StageFailed(f"{self.name} asks nothing")

    def missing(self, run: Run, config: C, problems: Problems) -> Refused | Denied:
        """What comes of an answer whose fields are not in order; a type that counts attempts counts here."""
        return Refused(problems)
