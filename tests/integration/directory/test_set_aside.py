"""What PostgreSQL remembers of partitions: which are set aside, and the furthest transition of each that had orders."""

import pytest

from services.executor.common.ports import Aside, Noted, OrderKey, Remembered
from services.executor.directory.set_aside_rows import PostgresSetAside
from services.executor.repair_requests import Mending
from shared.contracts.orders import LogOut
from shared.contracts.topics import TOPICS
from shared.kernel.ids import new_session_id
from shared.messaging.embedded.log import EmbeddedLog
from tests.integration.directory.conftest import People

ASIDE = Aside(3, 17, 15, "committed", 1_000)


async def test_a_partition_is_set_aside_once_asked_for_and_repaired(people: People) -> None:
    rows = PostgresSetAside(people.database)
    assert await rows.rows() == {}
    await rows.put(ASIDE)
    await rows.put(Aside(3, 18, 16, "end", 2_000))
    await rows.put(Aside(11, 1, 0, "order", 3_000))
    assert await rows.rows() == {3: ASIDE, 11: Aside(11, 1, 0, "order", 3_000)}
    await rows.ask_for_repair([3])
    assert [one.repair for one in (await rows.rows()).values()] == [True, False]
    await rows.repaired(3)
    assert list(await rows.rows()) == [11]


@pytest.mark.parametrize("alone", [True, False])
async def test_the_furthest_order_of_a_partition_is_known_until_it_is_repaired(people: People, alone: bool) -> None:
    """`alone`: a log-in by itself, which is written in one statement; with other orders it takes a transaction."""
    rows, alice = PostgresSetAside(people.database), await people.make()
    for n, (partition, offset) in enumerate([(7, 40), (7, 39), (8, 99), (7, None)]):
        more = [] if alone else [LogOut(login=f"login-{n}", user=alice.pk, at_us=people.clock.now_us(), reason="logout")]
        key = OrderKey("07.session", 900 + n, f"transition-{n}", partition, offset)
        await people.directory.perform(key, [people.order(alice.facts, f"login-{n}"), *more])
    assert await rows.remembered(7) == Remembered(Noted(40, "transition-0"))
    assert await rows.remembered(9) == Remembered()
    await people.database.execute(
        "INSERT INTO log_ends VALUES ('executor.state', 9, 12), ('executor.state', 8, 7), ('executor.keys', 9, 1)"
    )
    assert await rows.remembered(9) == Remembered(None, 0, 12)
    for end in (3, 5):
        await rows.reached({9: end, 10: 1})
    assert await rows.remembered(9) == Remembered(None, 5, 12)
    await rows.repaired(9)
    assert await rows.remembered(9) == Remembered(None, 0, 12)
    assert await rows.remembered(10) == Remembered(None, 1, 0)
    found = await rows.ordered(7, people.clock.now_us())
    assert sorted((key.transition, key.offset or 0) for key in found) == [("transition-0", 40), ("transition-1", 39), ("transition-3", 0)]
    assert await rows.ordered(7, people.clock.now_us() + 1) == []
    await rows.repaired(7)
    assert await rows.remembered(7) == Remembered()
    assert await rows.remembered(8) == Remembered(Noted(99, "transition-2"), 0, 7)


async def test_what_is_damaged_is_shown_and_a_repair_is_asked_for_whoever_holds_the_partition(people: People) -> None:
    rows, alice = PostgresSetAside(people.database), await people.make()
    session = new_session_id(3)
    key = OrderKey(session, 1, "lost", 3, 0)
    order = people.order(alice.facts)
    await people.directory.perform(key, [order.model_copy(update={"session": session})])
    await rows.put(ASIDE)
    await rows.put(Aside(5, 1, 0, "end", 1))
    log = await EmbeddedLog.open(TOPICS)
    try:
        mend = Mending(rows, log, people.clock)
        (damage,) = await mend.damages([3])
        assert damage.aside == ASIDE
        refused = [one for one in damage.differing if one.session == session]
        assert [(one.version, one.lost, one.head.id) for one in refused] == [(1, ("lost",), "lost")]
        assert [one.aside.partition for one in await mend.damages([])] == [3, 5]
        assert await mend.repair([3], patience_s=-1.0) == [3], "nobody holds it"
        assert [one.repair for one in (await rows.rows()).values()] == [True, False]
        await rows.repaired(3)
        assert await mend.repair([3], patience_s=-1.0) == []
    finally:
        await log.close()
