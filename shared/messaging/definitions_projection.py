"""What the catalog has published, held in memory: the planner's, policy's and executor's view of `catalog.definitions`.

Fed by a projection, record by record. A pointer is taken only once every body that it needs is here, so a reader sees
a change whole or not at all (architecture §2). Bodies stay resolvable by their hash while they are in the topic,
because runs are pinned to them (architecture §4.11).
"""

import asyncio
from dataclasses import dataclass, field
from typing import TypeVar

from shared.contracts.codec import Raw
from shared.contracts.definitions import (
    BODIES,
    CODEC,
    BodyPublished,
    BrandBody,
    Designation,
    FlowBody,
    Kind,
    ObjectRemoved,
    PointerMoved,
    PolicyBody,
    StageBody,
    body_key,
    content_hash,
    pointer_key,
)
from shared.contracts.errors import BadField, BadKey
from shared.contracts.model import Value

V = TypeVar("V", bound=Value)
_Object = tuple[Kind, str]
_KINDS: dict[str, Kind] = {"flow": "flow", "stage": "stage", "policy": "policy", "brand": "brand"}


@dataclass(slots=True)
class Definitions:
    """The current definitions, and every body by its hash. Not for several threads."""

    _bodies: dict[str, Value] = field(default_factory=dict)
    _current: dict[_Object, PointerMoved] = field(default_factory=dict)
    _pending: dict[_Object, PointerMoved] = field(default_factory=dict)
    _removed: dict[_Object, int] = field(default_factory=dict)
    _by_name: dict[tuple[Kind, str], str] = field(default_factory=dict)
    _waiting: dict[str, list[asyncio.Future[None]]] = field(default_factory=dict)

    def apply(self, record: Raw) -> None:
        """Take in one record; `BadRecord` if it is not a message of this topic. The same record again changes nothing."""
        if record.value is None:
            self._forget(record.key)
            return
        received = CODEC.decode(record)
        subject = received.envelope.subject
        match received.body:
            case BodyPublished() as published if subject == body_key(published.hash):
                self._keep(published)
            case PointerMoved() as pointer if subject == pointer_key(pointer.kind, pointer.pk):
                self._offer(pointer)
            case ObjectRemoved() as removed if subject == pointer_key(removed.kind, removed.pk):
                self._drop(removed)
            case _:
                raise BadKey

    @property
    def pending(self) -> int:
        """How many pointers wait for a body; 0 in a reader that has caught up."""
        return len(self._pending)

    def flow_by_slug(self, slug: str) -> FlowBody | None:
        """The flow with this slug, as currently published."""
        pk = self._by_name.get(("flow", slug))
        return None if pk is None else self.flow_by_pk(pk)

    def flow_by_pk(self, pk: str) -> FlowBody | None:
        """The flow with this pk, as currently published."""
        return self._at(("flow", pk), FlowBody)

    def flow_hash(self, pk: str) -> str | None:
        """The content hash of the flow's current body: what a run is pinned to."""
        pointer = self._current.get(("flow", pk))
        return None if pointer is None else pointer.body

    def flow_version(self, pk: str) -> int:
        """The version of the flow's pointer; 0 if there is none."""
        pointer = self._current.get(("flow", pk))
        return 0 if pointer is None else pointer.version

    def flows_of(self, designation: Designation) -> tuple[FlowBody, ...]:
        """The flows of a designation, ordered by slug: the order in which a default flow is looked for."""
        found = (flow for flow in self._all("flow", FlowBody) if flow.facts.designation == designation)
        return tuple(sorted(found, key=lambda flow: flow.facts.slug))

    def brands(self) -> tuple[BrandBody, ...]:
        """All brands, ordered by domain."""
        return tuple(sorted(self._all("brand", BrandBody), key=lambda brand: brand.domain))

    def stage_by_pk(self, pk: str) -> StageBody | None:
        """A stage as currently published: for stages that name other stages (`references.py`)."""
        return self._at(("stage", pk), StageBody)

    def stage_body(self, content: str) -> StageBody | None:
        """The stage body with this content hash, current or not."""
        return self._body(content, StageBody)

    def policy_body(self, content: str) -> PolicyBody | None:
        """The policy body with this content hash, current or not."""
        return self._body(content, PolicyBody)

    async def wait_for_body(self, content: str, timeout_s: float) -> bool:
        """Whether a body with this hash is here, or comes within the time (architecture §4.11)."""
        if content in self._bodies:
            return True
        arrival = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(content, []).append(arrival)
        done, _ = await asyncio.wait({arrival}, timeout=timeout_s)
        if not done:
            self._give_up(content, arrival)
        return bool(done)

    def _give_up(self, content: str, arrival: asyncio.Future[None]) -> None:
        left = [other for other in self._waiting.pop(content, []) if other is not arrival]
        if left:
            self._waiting[content] = left

    def _body(self, content: str, kind: type[V]) -> V | None:
        found = self._bodies.get(content)
        return found if isinstance(found, kind) else None

    def _at(self, what: _Object, kind: type[V]) -> V | None:
        pointer = self._current.get(what)
        return None if pointer is None else self._body(pointer.body, kind)

    def _all(self, which: Kind, kind: type[V]) -> list[V]:
        found = (self._at(what, kind) for what in self._current if what[0] == which)
        return [body for body in found if body is not None]

    def _keep(self, published: BodyPublished) -> None:
        if content_hash(published.kind, published.content) != published.hash:
            raise BadField("hash")
        if published.hash in self._bodies:
            return
        self._bodies[published.hash] = _parsed(published)
        for arrival in self._waiting.pop(published.hash, []):
            if not arrival.done():
                arrival.set_result(None)
        for what, pointer in list(self._pending.items()):
            if published.hash in pointer.needs and self._complete(pointer):
                del self._pending[what]
                self._take(what, pointer)

    def _offer(self, pointer: PointerMoved) -> None:
        if pointer.body not in pointer.needs:
            raise BadField("needs")
        what = (pointer.kind, pointer.pk)
        if pointer.version <= self._version(what):
            return
        if self._complete(pointer):
            self._pending.pop(what, None)
            self._take(what, pointer)
        else:
            self._pending[what] = pointer

    def _take(self, what: _Object, pointer: PointerMoved) -> None:
        self._unname(what)
        self._current[what] = pointer
        self._by_name[pointer.kind, pointer.name] = pointer.pk

    def _drop(self, removed: ObjectRemoved) -> None:
        what = (removed.kind, removed.pk)
        if removed.version <= self._version(what):
            return
        self._removed[what] = removed.version
        self._pending.pop(what, None)
        self._unname(what)
        self._current.pop(what, None)

    def _version(self, what: _Object) -> int:
        """The highest version known of an object: the relay may send records again, older ones included."""
        held = (self._current.get(what), self._pending.get(what))
        return max([self._removed.get(what, -1), *(pointer.version for pointer in held if pointer)])

    def _complete(self, pointer: PointerMoved) -> bool:
        return all(content in self._bodies for content in pointer.needs)

    def _unname(self, what: _Object) -> None:
        old = self._current.get(what)
        if old and self._by_name.get((old.kind, old.name)) == old.pk:
            del self._by_name[old.kind, old.name]

    def _forget(self, key: bytes | None) -> None:
        """A tombstone: compaction may drop the body, or what is left of a removed object."""
        match (key or b"").decode(errors="replace").split("/"):
            case ["body", content]:
                self._bodies.pop(content, None)
            case ["pointer", ("flow" | "stage" | "policy" | "brand") as kind, pk]:
                self._forget_object((_KINDS[kind], pk))
            case _:
                raise BadKey

    def _forget_object(self, what: _Object) -> None:
        self._removed.pop(what, None)
        self._pending.pop(what, None)
        self._unname(what)
        self._current.pop(what, None)


def _parsed(published: BodyPublished) -> Value:
    model: type[Value] = BODIES[published.kind]
    try:
        return model.model_validate(published.content)
    except ValueError:
        # The values may be an administrator's secrets; the names of kind and hash are enough to find the body.
        raise BadField(f"{published.kind} body {published.hash}") from None
