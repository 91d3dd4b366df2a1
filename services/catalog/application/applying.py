"""Applying blueprints: those that people name, and those that this release ships."""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from services.catalog.application.judging import Judge
from services.catalog.application.ports import ShippedFile, Store
from services.catalog.application.records import subject, what
from services.catalog.domain.blueprints.document import Document, parse
from services.catalog.domain.blueprints.errors import BlueprintRefused
from services.catalog.domain.blueprints.importer import events_of
from services.catalog.domain.decisions import NewPk
from services.catalog.domain.objects import Catalog, Definition, Event, Key, evolve
from services.catalog.domain.problems import Invalid
from services.catalog.domain.ways_in import WayInLost, weaknesses

logger = logging.getLogger(__name__)

SHIPPED_ACTOR: Final = "sluice"


@dataclass(frozen=True, slots=True)
class File:
    """A blueprint file: what it is called, and its bytes."""

    name: str
    raw: bytes


class Applying:
    """Applies blueprint files to the store."""

    def __init__(self, store: Store, new_pk: NewPk) -> None:
        self._store = store
        self._new_pk = new_pk

    async def apply(self, actor: str, given: Sequence[File], *, end_runs: bool = False, force: bool = False) -> list[str]:
        """Apply these files, all or none; one line for each change and each thing to know. `BlueprintRefused` names the place,
        `WayInLost` says what must be forced. `end_runs`: see `Store.change`."""
        documents = [parse(one.raw, one.name) for one in given]
        return await self._applied(actor, documents, None, Judge(force=force), end_runs=end_runs)

    async def apply_shipped(self) -> list[str]:
        """Apply the files of this release that differ from what was applied last, so that an administrator's changes stay.

        A file that clashes with what an administrator has made (a stage of that name, of another type; a way in that would be
        lost) is told in the log and tried again at the next start; the others are applied.
        """
        lines: list[str] = []
        for one in shipped_files():
            mark = ShippedFile(one.name, hashlib.sha256(one.raw).hexdigest())
            try:
                lines += await self._applied(SHIPPED_ACTOR, [parse(one.raw, one.name)], mark, Judge())
            except (BlueprintRefused, Invalid, WayInLost) as refused:
                logger.error("a shipped file cannot be applied: %s", refused)  # noqa: TRY400 -- the text says where and why
        return lines

    async def weaknesses(self) -> Sequence[str]:
        """Which log-ins need no proof, or have none, as things are: for the log at start."""
        return weaknesses(await self._store.catalog())

    async def _applied(
        self, actor: str, documents: Iterable[Document], shipped: ShippedFile | None, judge: Judge, *, end_runs: bool = False
    ) -> list[str]:
        notes: list[str] = []
        known: dict[Key, Definition] = {}

        def decide(catalog: Catalog) -> Sequence[Event]:
            events: list[Event] = []
            notes.clear()
            known.update(catalog.definitions)
            for document in documents:
                more, told = events_of(catalog, document, self._new_pk)
                catalog = evolve(catalog, more)
                events += more
                notes.extend(told)
            return events

        events = await self._store.change(actor, judge.over(decide), shipped, end_runs=end_runs)
        known.update({subject(event).key: subject(event) for event in events})
        return (
            [f"{what(event)} {_described(subject(event), known)}" for event in events]
            + notes
            + [f"warning: {text}" for text in judge.warnings]
        )


def _described(one: Definition, known: Mapping[Key, Definition]) -> str:
    """A definition in words: `flow login`, `flow_binding login #10 password`."""
    if one.kind not in ("flow_binding", "policy_binding"):
        return f"{one.kind} {one.name}"
    target = known.get(("flow", one["target"])) or known.get(("flow_binding", one["target"]))
    bound = known.get(("stage", one.fields.get("stage") or "")) or known.get(("policy", one.fields.get("policy") or ""))
    at = "?" if target is None else target.name if target.kind == "flow" else _described(target, known).removeprefix("flow_binding ")
    return f"{one.kind} {at} #{one['order']} {bound.name if bound else one.fields.get('group') or one.fields.get('user')}"


def shipped_files() -> list[File]:
    """The blueprints of this release, brands after the flows that they look for."""
    found = [one for one in files("services.catalog").joinpath("flows").iterdir() if one.name.endswith(".yaml")]
    found.sort(key=lambda one: (one.name.endswith("-brand.yaml"), one.name))
    return [File(one.name, one.read_bytes()) for one in found]
