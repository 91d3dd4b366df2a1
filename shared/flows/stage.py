"""What a stage type is.

A new stage type is one file in `stage_types/`: its configuration (a pydantic model, from which the REST API, the
OpenAPI text and the checks of imports are made), the fields of its answer, and the two questions below. Its code has
no callbacks and no states of its own: `do` is its only way to the world, so that the same code runs live, in a replay and in a test.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from shared.contracts.people import LoginClaims, UserFacts, Visitor
from shared.contracts.planner import Plan, PlannedStage
from shared.flows.effects import Answer, Effects
from shared.flows.fields import Field, Problem
from shared.flows.shown import person_of


class StageConfig(BaseModel):
    """Base of a stage type's configuration: authentik's field names and defaults. Unknown fields are refused.

    A field annotated with a `Reference` (`references.py`) holds the id of another object, or ids of several.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


C = TypeVar("C", bound=StageConfig)


@dataclass(frozen=True, slots=True)
class Run:
    """What a stage may know: the run that it is part of, as it is now.

    `context` is the plan's context (stages reference 1.5); `visitor.user` the logged-in user. `counters` are the
    session's. `next` is the inner query's `next`, unchecked. `links` maps pks of linked flows to their slugs. `ahead` are
    the types of the stages that are planned after this one.
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

    @property
    def pending_user(self) -> UserFacts | None:
        """The user that this run is about, if a stage has found one."""
        found = self.context.get("pending_user")
        return None if found is None else UserFacts.model_validate(found)

    @property
    def person(self) -> str:
        """The name to show, see `shared.flows.shown`."""
        return person_of(self.context, self.visitor.user)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What to ask the visitor: fields beside those that every challenge has. `with_user` adds the displayed user."""

    component: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    with_user: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """The stage is done. `subject` and `method` are the evidence: who showed what.

    `context` is merged into the run's context; `inserted` stages come next; `counters` are set in the session.
    """

    subject: str
    method: str
    context: Mapping[str, Any] = field(default_factory=dict)
    inserted: tuple[PlannedStage, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    login: LoginClaims | None = None
    logged_out: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer was not good enough. Problems are by field, `non_field_errors` for the whole."""

    problems: Mapping[str, tuple[Problem, ...]]
    counters: Mapping[str, int] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Denied:
    """The run ends here. Without a message the visitor reads `Unknown error`. `final`: a limit, no restart goes around it."""

    message: str = ""
    counters: Mapping[str, int] = field(default_factory=dict)
    final: bool = False


Outcome = Passed | Refused | Denied


class StageFailed(Exception):
    """A stage cannot do its work (a broken configuration): the visitor gets a flow error, the run stays where it is."""


class Stage(ABC, Generic[C]):
    """One stage type. Instances hold nothing: one serves all runs.

    `name` is the type's name, `app` authentik's app label and `model` its model (`<app>.<model>` in blueprints),
    `path` its place in the REST API under `/api/v3/stages/`, `form` the admin form's component, `config` its
    configuration's model and `fields` what an answer may hold.
    """

    name: ClassVar[str]
    app: ClassVar[str]
    model: ClassVar[str]
    path: ClassVar[str]
    form: ClassVar[str]
    verbose_name: ClassVar[str]
    config: ClassVar[type[StageConfig]]
    fields: ClassVar[Mapping[str, Field]] = {}

    @abstractmethod
    async def challenge(self, run: Run, config: C, do: Effects) -> Challenge | Passed | Denied:
        """What to ask the visitor; or, for a stage that asks nothing, what came of it. Runs when the stage is reached."""

    async def answer(self, run: Run, config: C, answer: Answer, do: Effects) -> Outcome:
        """What comes of an answer whose fields are in order."""
        raise StageFailed(f"{self.name} asks nothing")

    def missing(self, run: Run, config: C, problems: Mapping[str, tuple[Problem, ...]]) -> Refused | Denied:
        """What comes of an answer whose fields are not in order; a type that counts attempts counts here."""
        return Refused(problems)
