"""The projection of the catalog: readers see a change whole or not at all."""

import asyncio
from dataclasses import dataclass

import pytest

from shared.contracts import definitions as d
from shared.contracts.codec import encode
from shared.contracts.envelope import Envelope, Headers
from shared.contracts.errors import BadField, BadKey, BadRecord
from shared.contracts.model import Contract
from shared.messaging.definitions_projection import Definitions


@dataclass(frozen=True)
class Record:
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def record(key: str, message: Contract) -> Record:
    headers, value = encode(Envelope("1", message.wire_type, 1, "catalog", key, 1), message)
    return Record(key.encode(), value, headers)


def stage(name: str, pk: str = "s1", **config: object) -> d.StageBody:
    return d.StageBody(pk=pk, name=name, type="dummy", config=dict(config))


def flow(
    stage_hash: str, slug: str = "login", pk: str = "f1", title: str = "t", designation: d.Designation = "authentication"
) -> d.FlowBody:
    return d.FlowBody(
        facts=d.FlowFacts(pk=pk, slug=slug, name=slug, title=title, designation=designation),
        guard=d.Guard(target=pk + "-target"),
        bindings=(d.StageBinding(pk="b1", order=0, stage=stage_hash, guard=d.Guard(target="b1-target")),),
    )


KINDS: dict[type, d.Kind] = {d.FlowBody: "flow", d.StageBody: "stage", d.PolicyBody: "policy", d.BrandBody: "brand"}


def published(body: d.Body) -> tuple[str, Record]:
    kind, content = KINDS[type(body)], body.model_dump()
    name = d.content_hash(kind, content)
    return name, record(d.body_key(name), d.BodyPublished(hash=name, kind=kind, content=content))


def pointed(kind: d.Kind, pk: str, name: str, version: int, body: str, *needs: str) -> Record:
    key = d.pointer_key(kind, pk)
    return record(key, d.PointerMoved(kind=kind, pk=pk, name=name, version=version, body=body, needs=(body, *needs)))


def removed(kind: d.Kind, pk: str, version: int) -> Record:
    return record(d.pointer_key(kind, pk), d.ObjectRemoved(kind=kind, pk=pk, version=version))


STAGE, STAGE_RECORD = published(stage("first"))
FLOW, FLOW_RECORD = published(flow(STAGE))
POINTER = pointed("flow", "f1", "login", 1, FLOW, STAGE)


def given(*records: Record) -> Definitions:
    definitions = Definitions()
    for one in records:
        definitions.apply(one)
    return definitions


def test_a_pointer_is_taken_once_all_its_bodies_are_here() -> None:
    definitions = given(FLOW_RECORD, POINTER)
    assert definitions.flow_by_slug("login") is None
    assert definitions.pending == 1
    definitions.apply(STAGE_RECORD)
    assert definitions.flow_by_slug("login") == flow(STAGE)
    assert (definitions.pending, definitions.flow_hash("f1")) == (0, FLOW)


def test_the_old_version_stands_until_the_new_one_is_complete() -> None:
    changed, changed_record = published(stage("second"))
    after, after_record = published(flow(changed, title="new"))
    definitions = given(STAGE_RECORD, FLOW_RECORD, POINTER, after_record, pointed("flow", "f1", "login", 2, after, changed))
    seen = definitions.flow_by_slug("login")
    assert seen is not None
    assert seen.facts.title == "t"
    definitions.apply(changed_record)
    seen = definitions.flow_by_slug("login")
    assert seen is not None
    assert seen.facts.title == "new"


def test_bodies_stay_resolvable_by_hash_after_their_pointer_moved_on() -> None:
    changed, changed_record = published(stage("second"))
    after, after_record = published(flow(changed))
    pointer = pointed("flow", "f1", "login", 2, after, changed)
    definitions = given(STAGE_RECORD, FLOW_RECORD, POINTER, changed_record, after_record, pointer)
    assert definitions.stage_body(STAGE) == stage("first")
    definitions.apply(Record(d.body_key(STAGE).encode(), None))
    assert definitions.stage_body(STAGE) is None
    assert definitions.flow_by_slug("login") == flow(changed)


def test_a_relay_that_sends_again_does_not_take_readers_back() -> None:
    after, after_record = published(flow(STAGE, title="new"))
    definitions = given(STAGE_RECORD, FLOW_RECORD, after_record, pointed("flow", "f1", "login", 2, after, STAGE), POINTER)
    assert definitions.flow_hash("f1") == after
    definitions.apply(removed("flow", "f1", 3))
    definitions.apply(POINTER)
    assert definitions.flow_by_slug("login") is None
    assert definitions.flow_by_pk("f1") is None


def test_a_removal_also_ends_what_was_pending() -> None:
    definitions = given(FLOW_RECORD, POINTER, removed("flow", "f1", 2), STAGE_RECORD)
    assert definitions.flow_by_slug("login") is None
    assert definitions.pending == 0


def test_a_renamed_flow_is_found_by_its_new_slug_only() -> None:
    renamed, renamed_record = published(flow(STAGE, slug="other"))
    definitions = given(STAGE_RECORD, FLOW_RECORD, POINTER, renamed_record, pointed("flow", "f1", "other", 2, renamed, STAGE))
    assert definitions.flow_by_slug("login") is None
    assert definitions.flow_by_slug("other") is not None


def test_flows_of_a_designation_come_by_slug_and_stages_and_brands_by_their_keys() -> None:
    other, other_record = published(flow(STAGE, slug="a-flow", pk="f2"))
    third, third_record = published(flow(STAGE, slug="0", pk="f3", designation="recovery"))
    brand, brand_record = published(d.BrandBody(pk="b", domain="authentik-default", default=True))
    rule = d.PolicyBody(pk="p", name="n", type="expression", config={"expression": "return True"})
    policy, policy_record = published(rule)
    definitions = given(
        STAGE_RECORD, FLOW_RECORD, POINTER, other_record, pointed("flow", "f2", "a-flow", 1, other, STAGE),
        third_record, pointed("flow", "f3", "0", 1, third, STAGE), pointed("stage", "s1", "first", 1, STAGE),
        brand_record, pointed("brand", "b", "authentik-default", 1, brand), policy_record, pointed("policy", "p", "n", 1, policy),
    )  # fmt: skip
    assert [found.facts.slug for found in definitions.flows_of("authentication")] == ["a-flow", "login"]
    assert definitions.stage_by_pk("s1") == definitions.stage_body(STAGE) == stage("first")
    assert [found.domain for found in definitions.brands()] == ["authentik-default"]
    assert definitions.policy_body(policy) == rule
    assert definitions.stage_body(FLOW) is None


async def test_waiting_for_a_body_ends_with_its_arrival_or_the_time() -> None:
    definitions = Definitions()
    waiting = asyncio.create_task(definitions.wait_for_body(STAGE, 60))
    await asyncio.sleep(0)
    assert not await definitions.wait_for_body(STAGE, 0.01)
    definitions.apply(STAGE_RECORD)
    assert await waiting
    assert await definitions.wait_for_body(STAGE, 0)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (record(d.body_key("0" * 64), d.BodyPublished(hash="0" * 64, kind="stage", content=stage("x").model_dump())), BadField),
        (record(d.body_key(STAGE), d.BodyPublished(hash=FLOW, kind="stage", content={})), BadKey),
        (record(d.pointer_key("flow", "f2"), d.PointerMoved(kind="flow", pk="f1", name="n", version=1, body=FLOW, needs=(FLOW,))), BadKey),
        (record(d.pointer_key("flow", "f1"), d.PointerMoved(kind="flow", pk="f1", name="n", version=1, body=FLOW, needs=())), BadField),
        (Record(b"nonsense", None), BadKey),
        (Record(None, None), BadKey),
        (Record(b"pointer/flow/f1", b"\xc1", POINTER.headers), BadRecord),
    ],
)
def test_what_is_no_definition_is_refused_and_changes_nothing(bad: Record, error: type[Exception]) -> None:
    definitions = given(STAGE_RECORD, FLOW_RECORD, POINTER)
    with pytest.raises(error):
        definitions.apply(bad)
    assert definitions.flow_hash("f1") == FLOW


def test_a_body_that_is_not_of_its_kind_is_refused() -> None:
    content = {"pk": "s1"}
    name = d.content_hash("stage", content)
    with pytest.raises(BadField):
        given(record(d.body_key(name), d.BodyPublished(hash=name, kind="stage", content=content)))
