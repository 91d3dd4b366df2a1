"""What stands around a history while it is recorded: the shipped flows and some more, a planner and policies, nothing left to chance."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.catalog.application.applying import File, shipped_files
from services.catalog.application.ids import new_pk
from services.catalog.application.records import Occasion, definition_records, published
from services.catalog.domain.blueprints.document import parse
from services.catalog.domain.blueprints.importer import events_of
from services.catalog.domain.objects import Catalog, evolve
from services.catalog.domain.publication import Held, news
from services.planner.application.locating import Locator
from services.planner.application.planning import Planner
from services.planner.domain.composition import Composer
from services.policy.application.decide import Decide
from services.policy.application.ports import Moment
from shared.contracts.planner import FlowLocated, FlowRequested, PlanMade, PlanRefused, PlanRequested
from shared.contracts.policy import Facts, VerdictReached, VerdictRequested
from shared.flows.policy import Decision, PolicyError
from shared.flows.registry import registry
from shared.kernel.clock import Clock
from shared.kernel.ids import Entropy, derived_bytes, random_id
from shared.messaging.definitions_projection import Definitions
from shared.messaging.log import Record

OWN: Final = Path(__file__).parent / "flows.yaml"


def drawn(seed: str) -> Entropy:
    """Bytes that are the same in every recording, and different each time within one."""
    numbers = iter(range(1_000_000))
    return lambda size: derived_bytes(b"histories", seed, next(numbers))[:size]


def definitions(seed: str = "definitions") -> Definitions:
    """The shipped files and our own, applied and published as the catalog does it."""
    entropy, catalog = drawn(seed), Catalog()
    for file in (*shipped_files(), File(OWN.name, OWN.read_bytes())):
        events, _ = events_of(catalog, parse(file.raw, file.name), lambda: new_pk(entropy))
        catalog = evolve(catalog, events)
    known = Definitions()
    for record in _records(catalog, entropy):
        known.apply(record)
    return known


def _records(catalog: Catalog, entropy: Entropy) -> Iterator[Record]:
    said = definition_records(news(Held(), published(catalog)), Occasion(0, lambda: random_id(entropy)))
    for offset, message in enumerate(said):
        yield Record(message.topic, message.partition, offset, 0, message.key, message.value, message.headers)


class _Sandbox:
    """The few expressions that the recorded flows have, without a sandbox."""

    async def evaluate(self, expression: str, facts: Facts, moment: Moment, timeout_s: float) -> Decision:
        if "1 / 0" in expression:
            raise PolicyError("exception", "ZeroDivisionError: division by zero")
        assert "hasattr(plan.context" in expression, "say here what this expression comes to"
        return Decision(not (facts.context.get("pending_user") or {}).get("backend"))


@dataclass
class Policies:
    """The policies' service without its topics, for planner and worker."""

    decide_: Decide
    clock: Clock

    async def decide(self, question: VerdictRequested) -> VerdictReached:
        """The worker's port."""
        found = await self.decide_(question, self.clock.now_us())
        assert found
        return found

    verdict = decide  # the planner's port


@dataclass
class Planning:
    """The planner's service without its topics."""

    known: Definitions
    policies: Policies
    clock: Clock

    @property
    def definitions(self) -> Definitions:
        return self.known

    async def changed(self, timeout_s: float) -> bool:
        return False

    async def plan(self, question: PlanRequested) -> PlanMade | PlanRefused:
        return await Planner(self, Composer(self.known, registry().stages), self.clock).plan(question, self.policies)

    async def locate(self, question: FlowRequested) -> FlowLocated:
        return await Locator(self, self.clock).locate(question, self.policies)


async def _at_once(_: float) -> None:
    """Nobody waits while histories are recorded."""


def installation(clock: Clock) -> Planning:
    """Planner and policies over the definitions."""
    known = definitions()
    return Planning(known, Policies(Decide(known, _Sandbox(), clock, _at_once), clock), clock)
