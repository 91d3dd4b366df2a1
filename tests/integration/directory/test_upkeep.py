"""What workers do by the clock: unclaimed logins end, what nobody asks for any more goes, what still counts stays."""

from services.executor.directory.upkeep import Upkeep
from services.executor.rules.guess_limits import GuessLimits
from services.executor.rules.login_life import LoginLife
from shared.contracts.directory import LoginRevoked
from tests.integration.directory.conftest import People


async def count(people: People, table: str) -> int:
    return int((await people.database.fetch(f"SELECT count(*) AS n FROM {table}"))[0]["n"])  # noqa: S608


async def test_a_login_that_nobody_claimed_in_ten_minutes_ends(people: People) -> None:
    alice = await people.make()
    for login in ("claimed", "unclaimed"):
        await people.log_in(alice.facts, login)
    await people.logins.look_up("claimed", alice.pk, 0)
    upkeep = Upkeep(people.database, people.clock, GuessLimits(), LoginLife())
    people.clock.advance(599)
    await people.log_in(alice.facts, "young")
    await upkeep.once()
    assert await people.said(LoginRevoked) == []
    people.clock.advance(2)
    await upkeep.once()
    assert [(revoked.login, revoked.reason) for revoked in await people.said(LoginRevoked)] == [("unclaimed", "unclaimed")]
    assert not await people.logins.look_up("unclaimed", alice.pk, 0)
    assert await people.logins.look_up("claimed", alice.pk, 0)
    assert await people.logins.look_up("young", alice.pk, 0)


async def test_answers_are_kept_an_hour_results_of_orders_two_days_and_slots_while_they_count(people: People) -> None:
    alice = await people.make()
    await people.guess(alice.pk, "wrong")
    await people.guess(None, "wrong", identifier="nobody")
    await people.log_in(alice.facts)
    upkeep = Upkeep(people.database, people.clock, GuessLimits(), LoginLife())
    people.clock.advance(3599)
    await upkeep.once()
    assert (await count(people, "ask_results"), await count(people, "account_guesses")) == (2, 2)
    people.clock.advance(2)
    await upkeep.once()
    assert (await count(people, "ask_results"), await count(people, "account_guesses")) == (0, 0)
    assert (await count(people, "address_guesses"), await count(people, "order_results")) == (0, 1)
    people.clock.advance(2 * 86400)
    await upkeep.once()
    assert await count(people, "order_results") == 0


async def test_ended_logins_go_after_a_month(people: People) -> None:
    alice = await people.make()
    await people.log_in(alice.facts, "old")
    await people.log_in(alice.facts, "new", replaces="old")
    await people.logins.look_up("new", alice.pk, 0)
    people.clock.advance(31 * 86400)
    await Upkeep(people.database, people.clock, GuessLimits(), LoginLife()).once()
    assert await count(people, "logins") == 1
