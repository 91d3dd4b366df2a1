"""An edit looked at before it is committed: refused if it closes a way in or leaves one open, unless somebody forces it."""

from collections.abc import Sequence

from services.catalog.application.ports import Decide
from services.catalog.domain.objects import Catalog, Event, evolve
from services.catalog.domain.ways_in import WayInLost, judged


class Judge:
    """Judges one edit. Afterwards `warnings` are the sentences that whoever edits should read; with `force` also those for
    which the edit would have been refused."""

    def __init__(self, *, force: bool = False) -> None:
        self._force = force
        self.warnings: tuple[str, ...] = ()

    def over(self, decide: Decide) -> Decide:
        """The same decision, judged as a whole; it then raises `WayInLost` where it must not be."""

        def judging(catalog: Catalog) -> Sequence[Event]:
            events = decide(catalog)
            verdict = judged(catalog, evolve(catalog, events))
            if verdict.refused and not self._force:
                raise WayInLost(verdict.refused)
            self.warnings = (*verdict.refused, *verdict.warned)
            return events

        return judging
