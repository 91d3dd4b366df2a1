"""Events, read table, what readers were told and the outbox: all of a change or nothing, in an order readers rely on."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from services.catalog.adapters.postgres.published import KEEP_US
from services.catalog.adapters.postgres.store import PostgresStore
from services.catalog.application.applying import Applying, File, shipped_files
from services.catalog.application.editing import Editing
from services.catalog.application.ids import new_pk
from services.catalog.domain.blueprints.errors import BlueprintRefused
from services.catalog.domain.objects import Definition
from services.catalog.domain.problems import Invalid
from shared.contracts import catalog as events_contract
from shared.contracts.catalog import DefinitionChanged
from shared.contracts.codec import Codec
from shared.contracts.definitions import CODEC, PointerMoved, body_key
from shared.contracts.topics import CATALOG_EVENTS, DEFINITIONS
from shared.kernel.clock import FixedClock
from shared.messaging.definitions_projection import Definitions
from shared.messaging.log import Message
from shared.postgres.outbox import message_of
from shared.postgres.pool import Database

FLOW = {"name": "f", "slug": "f", "title": "t", "designation": "authentication"}


async def outbox(database: Database, topic: str = DEFINITIONS) -> list[Message]:
    rows = await database.fetch("SELECT * FROM outbox WHERE topic = $1 ORDER BY id", topic)
    return [message_of(row) for row in rows]


def read(messages: Sequence[Message]) -> Definitions:
    definitions = Definitions()
    for message in messages:
        definitions.apply(message)
    return definitions


def types(messages: Sequence[Message], codec: Codec = CODEC) -> list[str]:
    return ["tombstone" if one.value is None else codec.decode(one).envelope.type.rsplit(".", 1)[1] for one in messages]


@pytest.fixture
def editing(store: PostgresStore) -> Editing:
    return Editing(store, new_pk, 0)


@pytest.fixture
def applying(store: PostgresStore) -> Applying:
    return Applying(store, new_pk)


async def flow_with_stage(editing: Editing) -> tuple[Definition, Definition, Definition]:
    flow = await editing.create("ann", "flow", "", FLOW)
    stage = await editing.create("ann", "stage", "dummy", {"name": "s"})
    return flow, stage, await editing.create("ann", "flow_binding", "", {"target": flow.pk, "stage": stage.pk, "order": 0})


async def test_readers_see_what_was_written_and_bodies_come_before_their_pointers(database: Database, editing: Editing) -> None:
    flow, stage, binding = await flow_with_stage(editing)
    messages = await outbox(database)
    assert types(messages) == ["published", "moved"] * 3
    definitions = read(messages)
    found = definitions.flow_by_slug("f")
    assert found is not None
    assert [(one.pk, one.order) for one in found.bindings] == [(binding.pk, 0)]
    body = definitions.stage_body(found.bindings[0].stage)
    assert body is not None
    assert (body.pk, body.type, body.config) == (stage.pk, "dummy", {"throw_error": False})
    assert found.facts.pk == flow.pk


async def test_a_changed_stage_gives_its_flows_a_new_body(database: Database, editing: Editing, applying: Applying) -> None:
    await flow_with_stage(editing)
    before = read(await outbox(database)).flow_by_slug("f")
    raw = b"entries:\n- model: authentik_stages_dummy.dummystage\n  identifiers: {name: s}\n  attrs: {throw_error: true}\n"
    assert await applying.apply("ann", [File("x.yaml", raw)]) == ["changed stage s"]
    after = read(await outbox(database)).flow_by_slug("f")
    assert before is not None
    assert after is not None
    assert before.bindings[0].stage != after.bindings[0].stage
    assert types((await outbox(database))[6:]) == ["published", "published", "moved", "moved"]


async def test_every_event_is_told_with_before_after_and_the_version_of_its_stream(database: Database, editing: Editing) -> None:
    flow, _, binding = await flow_with_stage(editing)
    await editing.delete("bob", flow)
    told = [events_contract.CODEC.decode(one).body for one in await outbox(database, CATALOG_EVENTS)]
    assert all(isinstance(one, DefinitionChanged) for one in told)
    seen = [(one.what, one.kind, one.version, one.actor) for one in told if isinstance(one, DefinitionChanged)]
    assert seen == [
        ("created", "flow", 1, "ann"),
        ("created", "stage", 1, "ann"),
        ("created", "flow_binding", 1, "ann"),
        ("deleted", "flow_binding", 2, "bob"),
        ("deleted", "flow", 2, "bob"),
    ]
    last = told[-1]
    assert isinstance(last, DefinitionChanged)
    assert (last.before["slug"], last.after) == ("f", {})
    assert read(await outbox(database)).flow_by_slug("f") is None
    assert binding.key not in (await editing.catalog()).definitions


async def test_a_refused_change_leaves_no_trace(database: Database, editing: Editing, applying: Applying) -> None:
    await editing.create("ann", "flow", "", FLOW)
    with pytest.raises(Invalid):
        await editing.create("ann", "flow", "", FLOW)
    raw = b"entries:\n- model: authentik_stages_dummy.dummystage\n  identifiers: {name: s}\n- model: a.b\n"
    with pytest.raises(BlueprintRefused):
        await applying.apply("ann", [File("x.yaml", raw)])
    assert await database.fetch("SELECT * FROM definitions WHERE kind = 'stage'") == []
    assert [row["n"] for row in await database.fetch("SELECT count(*) AS n FROM events")] == [1]
    assert len(await outbox(database)) == 2


async def test_what_is_too_large_to_publish_is_refused_before_it_is_stored(database: Database, editing: Editing) -> None:
    with pytest.raises(Invalid, match="cannot be published"):
        await editing.create("ann", "stage", "deny", {"name": "d", "deny_message": "no" * 150_000})
    deep: dict[str, Any] = {}
    for _ in range(20):
        deep = {"a": deep}
    with pytest.raises(Invalid, match="cannot be published"):
        await editing.create("ann", "brand", "", {"domain": "d", "attributes": deep})
    assert (await editing.catalog()).definitions == {}
    assert await outbox(database) == []


async def test_events_are_append_only(database: Database, editing: Editing) -> None:
    await editing.create("ann", "flow", "", FLOW)
    for statement in ("UPDATE events SET actor = 'x'", "DELETE FROM events", "TRUNCATE events"):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await database.execute(statement)


async def test_changes_at_the_same_moment_do_not_make_two_of_one(editing: Editing) -> None:
    results = await asyncio.gather(*(editing.create("ann", "flow", "", FLOW) for _ in range(6)), return_exceptions=True)
    assert [type(one).__name__ for one in results].count("Definition") == 1
    assert [type(one).__name__ for one in results].count("Invalid") == 5


async def test_another_process_sees_what_this_one_wrote(database: Database, clock: FixedClock, store: PostgresStore) -> None:
    other = PostgresStore(database, clock, lambda: "id")
    assert (await other.catalog()).definitions == {}
    await Editing(store, new_pk, 0).create("ann", "flow", "", FLOW)
    assert [one["slug"] for one in (await other.catalog()).of("flow")] == ["f"]


async def test_hashes_do_not_depend_on_where_a_definition_was_read(database: Database, clock: FixedClock, applying: Applying) -> None:
    await applying.apply_shipped()
    before = len(await outbox(database))
    # A store that has only read PostgreSQL, whose JSON keeps no order of keys.
    await Editing(PostgresStore(database, clock, lambda: "id"), new_pk, 0).create("ann", "stage", "dummy", {"name": "s"})
    assert types((await outbox(database))[before:]) == ["published", "moved"]


async def test_shipped_files_are_applied_once_and_an_administrators_changes_stay(
    database: Database, editing: Editing, applying: Applying
) -> None:
    lines = await applying.apply_shipped()
    assert "created flow default-authentication-flow" in lines
    password = "default-authentication-flow #20 default-authentication-password"
    assert f"created flow_binding {password}" in lines
    assert f"created policy_binding {password} #10 default-authentication-flow-password-stage" in lines
    definitions = read(await outbox(database))
    flow = definitions.flow_by_slug("default-authentication-flow")
    assert flow is not None
    names = [(one.order, body.name) for one in flow.bindings if (body := definitions.stage_body(one.stage))]
    assert names == [
        (10, "default-authentication-identification"),
        (20, "default-authentication-password"),
        (30, "default-authentication-mfa-validation"),
        (100, "default-authentication-login"),
    ]
    [guard] = flow.bindings[1].guard.bindings
    assert (guard.policy_name, guard.failure_result, guard.order) == ("default-authentication-flow-password-stage", True, 10)
    [brand] = definitions.brands()
    logout = definitions.flow_by_slug("default-invalidation-flow")
    assert logout is not None
    assert (brand.domain, brand.default, brand.flow_authentication, brand.flow_invalidation) == (
        "authentik-default",
        True,
        flow.facts.pk,
        logout.facts.pk,
    )
    raw = b"entries:\n- model: authentik_flows.flow\n  identifiers: {slug: default-invalidation-flow}\n  attrs: {title: Bye}\n"
    await applying.apply("ann", [File("mine.yaml", raw)])
    [brand_row] = (await editing.catalog()).of("brand")
    await editing.delete("ann", brand_row)
    assert await applying.apply_shipped() == []
    catalog = await editing.catalog()
    assert [one["title"] for one in catalog.matching("flow", {"slug": "default-invalidation-flow"})] == ["Bye"]
    assert catalog.of("brand") == []


async def test_a_shipped_file_that_changed_is_applied_again(database: Database, applying: Applying) -> None:
    await applying.apply_shipped()
    await database.execute("UPDATE applied_files SET hash = 'older' WHERE name = 'default-invalidation-flow.yaml'")
    raw = b"entries:\n- model: authentik_flows.flow\n  identifiers: {slug: default-invalidation-flow}\n  attrs: {title: Bye}\n"
    await applying.apply("ann", [File("mine.yaml", raw)])
    assert await applying.apply_shipped() == ["changed flow default-invalidation-flow"]


async def test_applying_the_shipped_files_again_changes_nothing(applying: Applying) -> None:
    await applying.apply_shipped()
    assert await applying.apply("ann", shipped_files()) == []


async def test_bodies_are_taken_back_25_hours_after_their_last_pointer_moved(
    database: Database, clock: FixedClock, editing: Editing, applying: Applying, store: PostgresStore
) -> None:
    flow, _, _ = await flow_with_stage(editing)
    await database.execute("DELETE FROM outbox")
    await editing.delete("ann", flow)
    clock.us += KEEP_US - 1
    assert await store.sweep() == 0
    clock.us += 1
    assert await store.sweep() == 3  # the flow's two bodies, without and with the binding, and its pointer
    messages = await outbox(database)
    assert types(messages) == ["removed", "tombstone", "tombstone", "tombstone"]
    assert await store.sweep() == 0


async def test_a_body_that_comes_again_is_published_again(
    database: Database, clock: FixedClock, editing: Editing, applying: Applying, store: PostgresStore
) -> None:
    text = "entries:\n- model: authentik_stages_dummy.dummystage\n  identifiers: {name: s}\n  attrs: {throw_error: %s}\n"
    for value in ("false", "true"):
        await applying.apply("ann", [File("x.yaml", (text % value).encode())])
    clock.us += KEEP_US
    assert await store.sweep() == 1
    await applying.apply("ann", [File("x.yaml", (text % "false").encode())])
    [published] = [row["hash"] for row in await database.fetch("SELECT hash FROM bodies WHERE free_us IS NULL")]
    keys = [one.key for one in await outbox(database)]
    assert keys.count(body_key(published).encode()) == 3  # published, tombstone, published
    found = read(await outbox(database))
    assert found.stage_body(published) is not None


async def test_an_edit_may_end_runs_and_a_flow_that_is_made_anew_ends_those_of_before(database: Database, editing: Editing) -> None:
    flow, _, binding = await flow_with_stage(editing)
    again = await editing.create("ann", "stage", "deny", {"name": "d"})
    await editing.create("ann", "flow_binding", "", {"target": flow.pk, "stage": again.pk, "order": -1}, end_runs=True)
    await editing.delete("ann", binding)
    moved = [message for message in await outbox(database) if message.key == f"pointer/flow/{flow.pk}".encode()]
    told = [CODEC.decode(message).body for message in moved]
    assert [(one.version, one.runs_from) for one in told if isinstance(one, PointerMoved)] == [(1, 0), (2, 0), (3, 3), (4, 3)]
    await editing.delete("ann", flow)
    row = await database.fetchrow("SELECT version, runs_from FROM pointers WHERE kind = 'flow' AND pk = $1::text::uuid", flow.pk)
    assert row is not None
    assert (row["version"], row["runs_from"]) == (5, 5)
