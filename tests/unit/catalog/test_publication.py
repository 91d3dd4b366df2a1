"""What readers are told: whole, in an order in which they can take it, and nothing when nothing changed."""

from itertools import count, permutations
from typing import Any
from uuid import UUID

from services.catalog.application.records import Occasion, definition_records
from services.catalog.domain.decisions import change, create, delete
from services.catalog.domain.objects import Catalog, Definition, evolve
from services.catalog.domain.publication import Held, News, news, publication
from shared.contracts.catalog import ObjectKind
from shared.messaging.definitions_projection import Definitions
from shared.messaging.log import Message


class Publishing:
    def __init__(self) -> None:
        self.catalog = Catalog()
        self.held = Held()
        self._numbers = count(1)

    def a(self, kind: ObjectKind, type_name: str = "", **body: Any) -> Definition:
        created = create(self.catalog, kind, type_name, body, lambda: str(UUID(int=next(self._numbers))))
        self.catalog = evolve(self.catalog, [created])
        return created.definition

    def change(self, one: Definition, **body: Any) -> None:
        changed = change(self.catalog, one, body)
        assert changed is not None
        self.catalog = evolve(self.catalog, [changed])

    def told(self, *, end_runs: bool = False) -> News:
        now = publication(self.catalog)
        out = news(self.held, now, end_runs=end_runs)
        pointers = {move.pointer.key: (move.version, move.pointer) for move in out.pointers}
        removed = {key: (version, None) for version, key in out.removed}
        runs_from = {move.pointer.key: move.runs_from for move in out.pointers} | {key: version for version, key in out.removed}
        self.held = Held(
            {**self.held.pointers, **pointers, **removed}, self.held.bodies | set(now.bodies), {**self.held.runs_from, **runs_from}
        )
        return out


def flow_with_stages(publishing: Publishing) -> tuple[Definition, Definition, Definition]:
    flow = publishing.a("flow", name="f", slug="f", title="t", designation="authentication")
    password = publishing.a("stage", "password", name="p", backends=[])
    stage = publishing.a("stage", "identification", name="i", user_fields=["email"], password_stage=password.pk)
    binding = publishing.a("flow_binding", target=flow.pk, stage=stage.pk, order=0)
    policy = publishing.a("policy", "dummy", name="d")
    publishing.a("policy_binding", policy=policy.pk, target=binding.pk, order=0)
    return flow, password, policy


def messages(told: News) -> list[Message]:
    return definition_records(told, Occasion(1, lambda: "id"))


def test_nothing_is_told_twice() -> None:
    publishing = Publishing()
    flow_with_stages(publishing)
    first = publishing.told()
    assert (len(first.bodies), len(first.pointers)) == (4, 4)
    second = publishing.told()
    assert (second.bodies, second.pointers, second.removed) == ((), (), ())


def test_a_pointer_needs_stages_policies_and_the_stages_that_stages_refer_to() -> None:
    publishing = Publishing()
    flow, _, _ = flow_with_stages(publishing)
    told = publishing.told()
    [needs] = [move.pointer.needs for move in told.pointers if move.pointer.key == ("flow", flow.pk)]
    assert set(needs) == {name for name, _ in told.bodies}


def test_a_change_of_a_stage_or_policy_moves_the_flow_and_the_version_grows_by_one() -> None:
    publishing = Publishing()
    flow, password, policy = flow_with_stages(publishing)
    publishing.told()
    publishing.change(policy, result=True)
    moved = [(move.version, move.pointer.kind) for move in publishing.told().pointers]
    assert moved == [(2, "policy"), (2, "flow")]
    publishing.change(password, failed_attempts_before_cancel=1)
    moved = [(move.version, move.pointer.kind) for move in publishing.told().pointers]
    # The referring stage's body is the same; the flow moves, because a reader needs the new body with it.
    assert moved == [(2, "stage"), (3, "flow")]
    assert flow.key in publishing.catalog.definitions


def test_a_reader_never_sees_half_a_change_in_whatever_order_bodies_come() -> None:
    publishing = Publishing()
    flow_with_stages(publishing)
    told = messages(publishing.told())
    bodies, pointers = told[:4], told[4:]
    for order in permutations(bodies):
        reader = Definitions()
        for message in [*pointers, *order]:
            reader.apply(message)
            found = reader.flow_by_slug("f")
            assert found is None or all(reader.stage_body(one.stage) for one in found.bindings)
        assert reader.flow_by_slug("f") is not None
        assert reader.pending == 0


def test_disabled_policy_bindings_are_not_told() -> None:
    publishing = Publishing()
    flow = publishing.a("flow", name="f", slug="f", title="t", designation="authentication")
    policy = publishing.a("policy", "dummy", name="d")
    publishing.a("policy_binding", policy=policy.pk, target=flow.pk, order=0, enabled=False)
    reader = Definitions()
    for message in messages(publishing.told()):
        reader.apply(message)
    found = reader.flow_by_slug("f")
    assert found is not None
    assert found.guard.bindings == ()


def test_an_object_that_went_and_came_again_goes_on_with_its_versions() -> None:
    publishing = Publishing()
    stage = publishing.a("stage", "dummy", name="s")
    publishing.told()
    gone = delete(publishing.catalog, stage)
    before, publishing.catalog = publishing.catalog, evolve(publishing.catalog, gone)
    assert publishing.told().removed == ((2, ("stage", stage.pk)),)
    assert publishing.told().removed == ()
    publishing.catalog = before
    assert [move.version for move in publishing.told().pointers] == [3]


def runs_from(told: News, flow: Definition) -> list[tuple[int, int]]:
    return [(move.version, move.runs_from) for move in told.pointers if move.pointer.key == ("flow", flow.pk)]


def test_runs_go_on_over_an_edit_unless_it_says_that_they_end() -> None:
    publishing = Publishing()
    flow, password, policy = flow_with_stages(publishing)
    assert runs_from(publishing.told(), flow) == [(1, 0)]
    publishing.change(policy, result=True)
    assert runs_from(publishing.told(), flow) == [(2, 0)]
    publishing.change(password, failed_attempts_before_cancel=1)
    assert runs_from(publishing.told(end_runs=True), flow) == [(3, 3)]
    publishing.change(policy, wait_max=40)
    assert runs_from(publishing.told(), flow) == [(4, 3)], "what was retired stays so"


def test_an_edit_that_ends_runs_leaves_other_flows_alone() -> None:
    publishing = Publishing()
    flow, password, _ = flow_with_stages(publishing)
    other = publishing.a("flow", name="o", slug="o", title="t", designation="recovery")
    publishing.told()
    publishing.change(password, failed_attempts_before_cancel=1)
    told = publishing.told(end_runs=True)
    assert runs_from(told, flow) == [(2, 2)]
    assert runs_from(told, other) == []


def test_a_flow_that_went_and_came_again_ends_the_runs_of_before_and_a_log_that_is_told_again_ends_none() -> None:
    publishing = Publishing()
    flow = publishing.a("flow", name="f", slug="f", title="t", designation="authentication")
    publishing.told()
    before, publishing.catalog = publishing.catalog, evolve(publishing.catalog, delete(publishing.catalog, flow))
    publishing.told()
    publishing.catalog = before
    assert runs_from(publishing.told(), flow) == [(3, 2)]
    publishing.held = publishing.held.forgotten()
    assert runs_from(publishing.told(), flow) == [(4, 2)]
