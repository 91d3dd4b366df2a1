"""The planner, put together: the only file that knows all its parts."""

from services.planner.adapters.catalog import FollowedCatalog
from services.planner.adapters.stream.member import GROUP, PlannerMember
from services.planner.application.locating import Locator
from services.planner.application.planning import Planner
from services.planner.domain.composition import Composer
from services.planner.settings import Settings
from shared.contracts.topics import DEFINITIONS
from shared.flows.registry import registry
from shared.kernel.clock import Clock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.log import Log
from shared.messaging.projection import Projection
from shared.runtime.answering_service import AnsweringService
from shared.telemetry.metrics import count_dead_letter


async def build(settings: Settings, log: Log, clock: Clock) -> AnsweringService:
    """The planner on this log."""
    dead_letters = DeadLetters(log, GROUP, clock, count_dead_letter)
    catalog = FollowedCatalog()
    definitions = Projection(log, DEFINITIONS, catalog.apply, dead_letters, clock)
    planner = Planner(catalog, Composer(catalog.definitions, registry().stages), clock)
    return AnsweringService(GROUP, log, definitions, PlannerMember(log, planner, Locator(catalog, clock), dead_letters, clock))
