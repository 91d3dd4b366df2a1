"""Revocations that the log lost are said again, as far back as an edge could still believe a login."""

import pytest

from services.executor.common.ports import OrderKey
from services.executor.directory.told_again import LATELY_US, revocations_again
from shared.contracts.directory import LoginRevoked
from shared.contracts.orders import LogOut
from tests.integration.directory.conftest import People


@pytest.mark.parametrize("ended", [0, 1, 3])
async def test_what_ended_lately_is_said_again_and_nothing_else(people: People, ended: int) -> None:
    alice = await people.make()
    for n in range(4):
        await people.log_in(alice.facts, f"login-{n}")
    out = [LogOut(login=f"login-{n}", user=alice.pk, at_us=people.clock.now_us()) for n in range(ended)]
    if out:
        await people.directory.perform(OrderKey("07.session", 800, "out"), out)
    await people.database.execute("DELETE FROM outbox")
    await revocations_again(people.database, people.clock)
    assert [(one.login, one.user, one.reason) for one in await people.said(LoginRevoked)] == [
        (f"login-{n}", alice.pk, "logout") for n in range(ended)
    ]


async def test_a_new_password_ends_logins_that_are_said_again_for_an_hour(people: People) -> None:
    alice = await people.make()
    await people.log_in(alice.facts)
    await people.users.set_password(alice.pk, "another one")
    for later_us, expected in ((0, 1), (LATELY_US - 1, 1), (1, 0)):
        people.clock.us += later_us
        await people.database.execute("DELETE FROM outbox")
        await revocations_again(people.database, people.clock)
        assert len(await people.said(LoginRevoked)) == expected
