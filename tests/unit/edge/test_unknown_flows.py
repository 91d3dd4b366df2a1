"""Guesses at flows: an address has its share, what exists goes on for everybody."""

import pytest

from services.executor.edge.unknown_flows import MISSES, WINDOW_S, UnknownFlows
from shared.kernel.clock import FixedClock
from shared.web.errors import Refusal

ADDRESS = "192.0.2.1"


def guessed(unknown: UnknownFlows, address: str = ADDRESS, times: int = MISSES) -> None:
    for n in range(times):
        unknown.check(address, f"guess-{n}")
        unknown.missed(address, f"guess-{n}")


def test_the_share_is_not_refused_and_the_next_guess_is_with_the_time_to_wait() -> None:
    unknown = UnknownFlows(FixedClock())
    guessed(unknown)
    with pytest.raises(Refusal) as refused:
        unknown.check(ADDRESS, "one-more")
    assert (refused.value.status, refused.value.error, refused.value.headers) == (429, "flow_guessing", {"Retry-After": "21"})
    unknown.check("192.0.2.2", "one-more")


def test_a_flow_that_was_shown_goes_on_for_all_until_it_is_gone() -> None:
    unknown = UnknownFlows(FixedClock())
    unknown.found("login")
    guessed(unknown)
    unknown.check(ADDRESS, "login")
    unknown.missed("192.0.2.9", "login")
    with pytest.raises(Refusal):
        unknown.check(ADDRESS, "login")


def test_a_while_later_one_may_ask_again() -> None:
    clock = FixedClock()
    unknown = UnknownFlows(clock)
    guessed(unknown)
    clock.advance(WINDOW_S)
    guessed(unknown, times=MISSES)
    with pytest.raises(Refusal):
        unknown.check(ADDRESS, "one-more")


def test_all_addresses_of_one_ipv6_network_are_one_guesser() -> None:
    unknown = UnknownFlows(FixedClock())
    for n in range(MISSES):
        unknown.missed(f"2001:db8::{n + 1:x}", f"guess-{n}")
    with pytest.raises(Refusal):
        unknown.check("2001:db8::ffff", "one-more")
    unknown.check("2001:db8:0:1::1", "one-more")


def test_guessers_by_the_thousand_cost_bounded_memory() -> None:
    unknown = UnknownFlows(FixedClock())
    for n in range(5000):
        unknown.missed(f"10.0.{n // 256}.{n % 256}", "x")
        unknown.found(f"flow-{n}")
    assert (len(unknown._misses), len(unknown._known)) == (4096, 1024)
