"""What a worker takes from the catalog's pointers: which versions of which flows are over."""

from collections.abc import AsyncIterator

import pytest

from services.executor.sessions.retirements import DefinitionsUnread, Retirements
from shared.contracts.codec import encode
from shared.contracts.definitions import ObjectRemoved, PointerMoved, pointer_key
from shared.contracts.envelope import Envelope
from shared.contracts.topics import DEFINITIONS, TOPICS
from shared.kernel.clock import FixedClock
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Message


class Told:
    def __init__(self, log: EmbeddedLog) -> None:
        self.log = log
        self.clock = FixedClock()

    async def say(self, *bodies: PointerMoved | ObjectRemoved) -> None:
        for body in bodies:
            key = pointer_key(body.kind, body.pk)
            headers, value = encode(Envelope("id", body.wire_type, body.wire_version, "catalog", key, 1), body)
            await self.log.append(Message(DEFINITIONS, 0, key.encode(), value, headers))

    async def read(self) -> Retirements:
        found = Retirements(self.log, DeadLetters(self.log, "executor", self.clock), self.clock)
        await found.start()
        await found._projection.ready.wait()
        await found.stop()
        return found


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    log = await EmbeddedLog.open(TOPICS)
    yield Told(log)
    await log.close()


def moved(version: int, runs_from: int = 0, pk: str = "f", kind: str = "flow") -> PointerMoved:
    return PointerMoved.model_validate(
        {"kind": kind, "pk": pk, "name": "n", "version": version, "body": "h", "needs": ("h",), "runs_from": runs_from}
    )


async def test_runs_go_on_until_an_edit_says_that_they_end(told: Told) -> None:
    await told.say(moved(1), moved(2))
    assert not (await told.read()).is_retired("f", 1)
    await told.say(moved(3, 3))
    found = await told.read()
    assert [found.is_retired("f", version) for version in (1, 2, 3, 4)] == [True, True, False, False]


async def test_a_flow_that_is_gone_has_no_runs_until_it_comes_again(told: Told) -> None:
    await told.say(moved(1), ObjectRemoved(kind="flow", pk="f", version=2))
    assert (await told.read()).is_retired("f", 1)
    await told.say(moved(3, 2))
    found = await told.read()
    assert (found.is_retired("f", 1), found.is_retired("f", 3)) == (True, False)


async def test_older_records_that_come_again_change_nothing(told: Told) -> None:
    await told.say(moved(2, 2), moved(1), ObjectRemoved(kind="flow", pk="f", version=1), moved(2))
    found = await told.read()
    assert (found.is_retired("f", 1), found.is_retired("f", 2)) == (True, False)


async def test_of_what_it_never_heard_a_planner_is_ahead_and_other_objects_are_nothing_to_it(told: Told) -> None:
    await told.say(moved(9, 9, pk="s", kind="stage"), moved(5, 5, pk="other"))
    found = await told.read()
    assert not found.is_retired("f", 1)
    assert not found.is_retired("s", 1)


async def test_before_it_has_read_to_the_end_it_says_nothing(told: Told) -> None:
    with pytest.raises(DefinitionsUnread):
        Retirements(told.log, DeadLetters(told.log, "executor", told.clock), told.clock).is_retired("f", 1)
