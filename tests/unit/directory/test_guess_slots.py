"""Slots of guesses, on values: what no order of attempts gets around, whoever comes from wherever."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.executor.rules.guess_limits import (
    Crowded,
    Full,
    GuessLimits,
    Origin,
    Slot,
    Slots,
    admit,
    counter_of_name,
    counter_of_user,
    digest_of_name,
    failed,
    locked_by,
    locks,
    succeeded,
)

LIMITS = GuessLimits(account=6, network=3, known=4)
HOUR = LIMITS.window_us
STRANGER, OTHER = Origin("192.0.2.1"), Origin("198.51.100.1")
HOME, BROWSER = Origin("203.0.113.1", known=True), Origin("192.0.2.1", browser="login-1")


def key(n: int) -> bytes:
    return n.to_bytes(8, "big")


def guessed(slots: Slots, n: int, origin: Origin, now: int = 0) -> Slots | Full | Crowded:
    """One wrong guess, from begin to end."""
    taken = admit(slots, key(n), origin, LIMITS, now)
    return failed(taken, key(n)) if isinstance(taken, tuple) else taken


def after(*origins: Origin, now: int = 0) -> Slots:
    slots: Slots = ()
    for n, origin in enumerate(origins):
        came = guessed(slots, n, origin, now)
        assert isinstance(came, tuple)
        slots = came
    return slots


def test_a_network_has_a_share_and_all_strangers_have_a_sum() -> None:
    slots = after(STRANGER, STRANGER, STRANGER)
    assert guessed(slots, 99, STRANGER) == Full("network")
    slots = after(STRANGER, STRANGER, STRANGER, OTHER, OTHER, OTHER)
    assert guessed(slots, 99, Origin("192.0.2.77")) == Full("account")
    assert locks(slots, LIMITS, 0) == ("account", "network")


@pytest.mark.parametrize("origin", [HOME, BROWSER])
def test_who_logged_in_before_has_slots_that_strangers_cannot_use_up(origin: Origin) -> None:
    slots = after(STRANGER, STRANGER, STRANGER, OTHER, OTHER, OTHER)
    for n in range(4):
        came = guessed(slots, 100 + n, origin)
        assert isinstance(came, tuple)
        slots = came
    assert guessed(slots, 200, origin) == Full("account")


def test_a_browser_that_is_known_at_a_network_that_is_known_has_both_and_then_a_strangers() -> None:
    both = Origin("203.0.113.1", known=True, browser="login-1")
    slots = after(*[both] * 11)
    assert sorted(slot.pool[0] for slot in slots) == ["b"] * 4 + ["n"] * 4 + ["s"] * 3
    assert guessed(slots, 99, both) == Full("network")


def test_what_is_no_address_is_known_to_nobody() -> None:
    slots = after(*[Origin("unknown", known=True)] * 3)
    assert guessed(slots, 99, Origin("unknown", known=True)) == Full("network")


def test_so_many_browsers_and_networks_have_slots_of_their_own_and_the_next_is_a_stranger() -> None:
    slots = after(*(Origin(f"203.0.113.{n}", known=True) for n in range(LIMITS.places)))
    came = guessed(slots, 99, Origin("203.0.113.200", known=True))
    assert isinstance(came, tuple)
    assert came[-1].pool == "s|203.0.113.200"


def test_attempts_under_way_fill_a_pool_and_it_is_said_that_they_may_be_given_back() -> None:
    slots: Slots = ()
    for n in range(3):
        taken = admit(slots, key(n), STRANGER, LIMITS, 0)
        assert isinstance(taken, tuple)
        slots = taken
    assert isinstance(admit(slots, key(3), STRANGER, LIMITS, 0), Crowded)
    assert isinstance(admit(succeeded(slots, key(1)), key(3), STRANGER, LIMITS, 0), tuple)
    spent = slots
    for n in range(3):
        spent = failed(spent, key(n))
    assert admit(spent, key(3), STRANGER, LIMITS, 0) == Full("network")


def test_an_attempt_that_is_done_again_has_its_slot() -> None:
    slots = after(STRANGER, STRANGER, STRANGER)
    assert admit(slots, key(1), STRANGER, LIMITS, 0) == slots


def test_an_attempt_whose_worker_died_counts_as_failed_and_locks_nobody_for_ever() -> None:
    dead = tuple(Slot(key(n), "s|192.0.2.1", 0) for n in range(3))
    assert isinstance(admit(dead, key(9), STRANGER, LIMITS, LIMITS.pending_us - 1), Crowded)
    assert admit(dead, key(9), STRANGER, LIMITS, LIMITS.pending_us) == Full("network")
    assert isinstance(admit(dead, key(9), STRANGER, LIMITS, HOUR), tuple)


def test_the_owner_in_a_browser_of_theirs_is_forgiven_and_strangers_are_not() -> None:
    slots = after(BROWSER, BROWSER, STRANGER, OTHER)
    taken = admit(slots, key(9), BROWSER, LIMITS, 0)
    assert isinstance(taken, tuple)
    assert [slot.pool for slot in succeeded(taken, key(9))] == ["s|192.0.2.1", "s|198.51.100.1"]
    taken = admit(slots, key(9), OTHER, LIMITS, 0)
    assert isinstance(taken, tuple)
    assert succeeded(taken, key(9)) == slots


def test_the_failure_that_uses_up_the_last_slot_is_told_once() -> None:
    told: list[object] = []
    slots: Slots = ()
    for n, origin in enumerate([STRANGER] * 3 + [OTHER] * 2 + [Origin("192.0.2.9")] * 2):
        taken = admit(slots, key(n), origin, LIMITS, 0)
        if not isinstance(taken, tuple):
            told.append(taken)
            continue
        told.append(locked_by(taken, key(n), LIMITS, 0))
        slots = failed(taken, key(n))
        assert locked_by(slots, key(n), LIMITS, 0) is None
    assert told == [None, None, "network", None, None, "account", Full("account")]


@pytest.mark.parametrize("account", [1, 2, 5])
def test_an_account_that_may_be_guessed_at_less_is_so_for_everybody(account: int) -> None:
    limits = GuessLimits(account=account)
    for origin in (STRANGER, HOME, BROWSER):
        slots: Slots = ()
        for n in range(100):
            taken = admit(slots, key(n), origin, limits, 0)
            slots = failed(taken, key(n)) if isinstance(taken, tuple) else slots
        per_pool = {pool: sum(slot.pool == pool for slot in slots) for pool in {slot.pool for slot in slots}}
        assert set(per_pool.values()) == {account}


ATTEMPTS = st.lists(
    st.tuples(
        st.integers(0, HOUR // 4),
        st.sampled_from([STRANGER, OTHER, Origin("192.0.2.8"), Origin("192.0.2.9"), HOME, BROWSER]),
        st.sampled_from(["fails", "is right", "is given up"]),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(ATTEMPTS)
def test_no_order_of_attempts_gets_strangers_more_than_the_limit_in_any_hour(attempts: list[tuple[int, Origin, str]]) -> None:
    slots: Slots = ()
    now, looked_at = 0, []
    for n, (pause, origin, end) in enumerate(attempts):
        now += pause
        taken = admit(slots, key(n), origin, LIMITS, now)
        if not isinstance(taken, tuple):
            continue
        pool = next(slot.pool for slot in taken if slot.key == key(n))
        slots = taken
        if end == "is right":
            slots = succeeded(taken, key(n))
            continue
        if end == "fails":
            slots = failed(taken, key(n))
        looked_at.append((now, pool))
    for begin, _ in looked_at:
        hour = [pool for at, pool in looked_at if begin <= at < begin + HOUR]
        assert sum(pool.startswith("s|") for pool in hour) <= LIMITS.account
        assert all(hour.count(pool) <= LIMITS.network for pool in hour if pool.startswith("s|"))
    assert len(slots) <= LIMITS.account + LIMITS.places * LIMITS.known


def test_made_up_names_share_a_million_counters_and_none_with_an_account() -> None:
    secret = b"k" * 32
    counters = {counter_of_name(secret, f"name{n}") for n in range(3000)}
    assert {len(counter) for counter in counters} == {3}
    assert all(int.from_bytes(counter, "big") < 2**20 for counter in counters)
    assert len(counters) > 2900
    assert len(counter_of_user(2**31 - 1)) == 8


def test_without_the_key_nobody_tells_a_name_by_its_counter_or_its_digest() -> None:
    assert counter_of_name(b"k" * 32, "alice") != counter_of_name(b"l" * 32, "alice")
    assert digest_of_name(b"k" * 32, "alice") != digest_of_name(b"l" * 32, "alice")
    assert digest_of_name(b"k" * 32, "alice") == digest_of_name(b"k" * 32, " ALICE ")
    assert counter_of_name(b"k" * 32, "\ud800") == counter_of_name(b"k" * 32, "\ud800")
