"""What readers are told: the bodies and pointers that a catalog amounts to, and what must be said when it changes.

A flow's body names the bodies of its stages and policies by hash, so a changed stage gives every flow that binds it a
new body. A pointer lists every body that a reader must hold before it may take it (architecture §2).
"""

from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, cast

from services.catalog.domain.objects import Catalog, Definition, links
from shared.contracts import definitions as published
from shared.contracts.definitions import Body, Kind, content_hash, kind_of
from shared.contracts.model import Plain

PointerKey = tuple[Kind, str]
# A flow names stages and policies, a brand flows: who follows pointers rather than hashes finds what they name.
_ORDER: Final[Mapping[Kind, int]] = {"policy": 0, "stage": 1, "flow": 2, "brand": 3}


@dataclass(frozen=True, slots=True)
class Pointer:
    """An object's current body, by its hash, and all bodies that a reader needs with it."""

    kind: Kind
    pk: str
    name: str
    body: str
    needs: tuple[str, ...]

    @property
    def key(self) -> PointerKey:
        """Kind and pk."""
        return (self.kind, self.pk)


@dataclass(frozen=True, slots=True)
class Publication:
    """Everything that is to be known: bodies by hash, and pointers."""

    bodies: Mapping[str, Body]
    pointers: Mapping[PointerKey, Pointer]


@dataclass(frozen=True, slots=True)
class Held:
    """What readers have been told: the versions of pointers, and the hashes of the bodies in the topic. An object that
    was removed has a version and no pointer."""

    pointers: Mapping[PointerKey, tuple[int, Pointer | None]] = field(default_factory=dict)
    bodies: Set[str] = frozenset()
    runs_from: Mapping[PointerKey, int] = field(default_factory=dict)
    """The first version whose runs go on, where that is not the first of all."""

    def forgotten(self, standing: Mapping[PointerKey, "Standing"] = MappingProxyType({})) -> "Held":
        """The same of readers of whom nothing is known but what is `standing` in the log: versions go on from there, or from where they
        were, and what is there is to be said anew, or taken back."""
        pointers: dict[PointerKey, tuple[int, Pointer | None]] = {key: (version, None) for key, (version, _) in self.pointers.items()}
        for key, one in standing.items():
            before, _ = pointers.get(key, (0, None))
            pointers[key] = (max(one.version, before), Pointer(*key, "", "", ()) if one.there else None)
        return Held(pointers, runs_from=self.runs_from)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the log says of an object last: under which version, and whether it is there, or was removed."""

    version: int
    there: bool


@dataclass(frozen=True, slots=True)
class Move:
    """A pointer's new version; runs that were planned from versions before `runs_from` end at their next step."""

    version: int
    pointer: Pointer
    runs_from: int


@dataclass(frozen=True, slots=True)
class News:
    """What must be said, in this order: bodies, then pointers with their new versions, then removals with theirs."""

    bodies: tuple[tuple[str, Body], ...]
    pointers: tuple[Move, ...]
    removed: tuple[tuple[int, PointerKey], ...]
    needed: frozenset[str]


def publication(catalog: Catalog) -> Publication:
    """The bodies and pointers of this catalog."""
    building = _Building(catalog)
    for policy in catalog.of("policy"):
        building.point("policy", policy, building.policy(policy.pk), ())
    for stage in catalog.of("stage"):
        building.point("stage", stage, building.stage(stage.pk), ())
    for flow in catalog.of("flow"):
        building.flow(flow)
    for brand in catalog.of("brand"):
        building.point("brand", brand, building.keep(published.BrandBody(pk=brand.pk, **_config(brand))), ())
    return Publication(building.bodies, building.pointers)


def news(held: Held, now: Publication, *, end_runs: bool = False) -> News:
    """What readers must be told to get from what they hold to this. `end_runs`: no run of what changes goes on."""
    moved = []
    for key, pointer in sorted(now.pointers.items(), key=lambda one: (_ORDER[one[0][0]], one[0][1])):
        version, before = held.pointers.get(key, (0, None))
        if pointer != before:
            runs_from = version + 1 if end_runs and before else held.runs_from.get(key, 0)
            moved.append(Move(version + 1, pointer, runs_from))
    gone = sorted((version + 1, key) for key, (version, before) in held.pointers.items() if before and key not in now.pointers)
    fresh = sorted(set(now.bodies) - held.bodies, key=lambda content: (_ORDER[kind_of(now.bodies[content])], content))
    bodies = tuple((content, now.bodies[content]) for content in fresh)
    return News(bodies, tuple(moved), tuple(gone), frozenset(now.bodies))


class _Building:
    """Bodies and pointers so far; a body is made once however often it is named."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.bodies: dict[str, Body] = {}
        self.pointers: dict[PointerKey, Pointer] = {}
        self._made: dict[PointerKey, str] = {}
        self._bound: dict[tuple[str, str], list[Definition]] = defaultdict(list)
        for one in sorted(catalog.definitions.values(), key=lambda found: (found.fields.get("order", 0), found.pk)):
            if one.kind in ("flow_binding", "policy_binding"):
                self._bound[one.kind, one["target"]].append(one)

    def keep(self, body: Body) -> str:
        name = content_hash(kind_of(body), body.model_dump())
        self.bodies[name] = body
        return name

    def point(self, kind: Kind, definition: Definition, body: str, needs: tuple[str, ...]) -> None:
        pointer = Pointer(kind, definition.pk, definition.name, body, tuple(dict.fromkeys((body, *needs))))
        self.pointers[pointer.key] = pointer

    def policy(self, pk: str) -> str:
        if ("policy", pk) not in self._made:
            one = self.catalog.definitions["policy", pk]
            logging, config = one["execution_logging"], _config(one, "name", "execution_logging")
            body = published.PolicyBody(pk=pk, name=one["name"], type=one.type, execution_logging=logging, config=config)
            self._made["policy", pk] = self.keep(body)
        return self._made["policy", pk]

    def stage(self, pk: str) -> str:
        if ("stage", pk) not in self._made:
            one = self.catalog.definitions["stage", pk]
            body = published.StageBody(pk=pk, name=one["name"], type=one.type, config=_config(one, "name"))
            self._made["stage", pk] = self.keep(body)
        return self._made["stage", pk]

    def flow(self, flow: Definition) -> None:
        facts = {name: value for name, value in flow.fields.items() if name != "policy_engine_mode"}
        bound = self._bound["flow_binding", flow.pk]
        guards = [self.guard(one) for one in (flow, *bound)]
        bindings = tuple(self.binding(one, guard) for one, guard in zip(bound, guards[1:], strict=True))
        body = published.FlowBody(facts=published.FlowFacts(pk=flow.pk, **facts), guard=guards[0], bindings=bindings)
        stages = self._reachable([str(one["stage"]) for one in bound])
        policies = [one.policy for guard in guards for one in guard.bindings if one.policy]
        self.point("flow", flow, self.keep(body), (*sorted(map(self.stage, stages)), *sorted(policies)))

    def binding(self, one: Definition, guard: published.Guard) -> published.StageBinding:
        names = ("order", "evaluate_on_plan", "re_evaluate_policies", "invalid_response_action")
        fields = {name: one[name] for name in names}
        return published.StageBinding(pk=one.pk, stage=self.stage(one["stage"]), guard=guard, **fields)

    def guard(self, target: Definition) -> published.Guard:
        bound = [one for one in self._bound["policy_binding", target.pk] if one["enabled"]]
        bindings = tuple(self._guarding(one) for one in bound)
        return published.Guard(target=target.pk, mode=target["policy_engine_mode"], bindings=bindings)

    def _guarding(self, one: Definition) -> published.PolicyBinding:
        policy = self.catalog.get("policy", one["policy"]) if one["policy"] else None
        return published.PolicyBinding(
            pk=one.pk,
            order=one["order"],
            negate=one["negate"],
            timeout_s=one["timeout"],
            failure_result=one["failure_result"],
            policy=self.policy(policy.pk) if policy else None,
            policy_name=policy.name if policy else "",
            group=one["group"],
            user=one["user"],
        )

    def _reachable(self, stages: list[str]) -> set[str]:
        """These stages and those that they refer to, for instance the password stage on an identification page."""
        found: set[str] = set()
        while stages:
            pk = stages.pop()
            if pk in found:
                continue
            found.add(pk)
            stage = self.catalog.definitions["stage", pk]
            for name, link in links("stage", stage.type).items():
                if "stage" in link.kinds:
                    value = stage[name]
                    stages.extend(cast("list[str]", value) if link.many else [value] if value else [])
        return found


def _config(one: Definition, *without: str) -> Plain:
    return {name: _ordered(one[name]) for name in sorted(one.fields) if name not in without}


def _ordered(value: Any) -> Any:
    """The value with sorted keys: a store keeps no order, and the hash of a body must not depend on where it came from."""
    if isinstance(value, Mapping):
        return {name: _ordered(value[name]) for name in sorted(value)}
    if isinstance(value, list | tuple):
        return tuple(map(_ordered, value))
    return value
