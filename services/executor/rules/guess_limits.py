"""How often a password may be guessed, decided on values: slots in, slots out. Keeping them is PostgreSQL's.

An attempt takes a slot before its hash and gives it back if it was right; so no race gets more guesses than there are
slots, and no attempt counts as failed that did not fail. Slots are in pools, so that who guesses from elsewhere does not use up
those of the account's owner (docs/adr: slots of a guess). All of it holds for names that nobody has as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from services.executor.rules.identifiers import counter_of
from shared.kernel.ids import derived_bytes
from shared.kernel.networks import UNREADABLE

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
NAME_BITS: Final = 20
_STRANGERS: Final = "s|"
_NETWORK: Final = "n|"
_BROWSER: Final = "b|"

Lock = Literal["account", "network", "browser"]
"""Which slots are used up: strangers' of the account, those of one network, those of one browser."""


@dataclass(frozen=True, slots=True)
class GuessLimits:
    """So many attempts may fail within any `window_us`, an hour.

    `account`: strangers' at one account or name, over all networks (NIST SP 800-63B-4 §3.2.2: at most 100); `network`: of
    these, from one network. `known`: from one browser, or one network, that logged in to the account before, apart from
    strangers'. `address`: from one network at whatever accounts, in a window that begins with its first. A slot that
    nobody has given back or used up after `pending_us` is used up: the attempt may have been looked at.
    """

    account: int = 100
    network: int = 10
    known: int = 20
    address: int = 1000
    window_us: int = 60 * MINUTE_US
    pending_us: int = 30 * SECOND_US
    places: int = 16
    """So many browsers and networks have slots of their own at a time; who comes after them is a stranger."""

    def of_network(self) -> int:
        """A stranger's share: never more than all strangers have."""
        return min(self.network, self.account)

    def of_known(self) -> int:
        """What a known browser or network has: an account that may be guessed at less is so for everybody."""
        return min(self.known, self.account)


@dataclass(frozen=True, slots=True)
class Slot:
    """An attempt under way, or one that failed. `key` names the attempt, `pool` where it was counted."""

    key: bytes
    pool: str
    at_us: int
    failed: bool = False


Slots = tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an attempt comes from: its network (`network_of`), whether the account has logged in from there, and the browser
    if the account has logged in with it (else empty)."""

    network: str
    known: bool = False
    browser: str = ""


@dataclass(frozen=True, slots=True)
class Full:
    """No slot is left: the attempt is not looked at."""

    lock: Lock


class Crowded:
    """No slot is free, and one may be given back in a moment: the attempt is neither right nor wrong yet."""


@dataclass(frozen=True, slots=True)
class _Pool:
    name: str
    lock: Lock
    limit: int

    def used(self, slots: Slots) -> int:
        return sum(map(self._holds, slots))

    def is_spent(self, slots: Slots) -> bool:
        return sum(slot.failed and self._holds(slot) for slot in slots) >= self.limit

    def _holds(self, slot: Slot) -> bool:
        return slot.pool == self.name or (self.lock == "account" and slot.pool.startswith(_STRANGERS))


def counted(slots: Slots, limits: GuessLimits, now_us: int) -> Slots:
    """The slots that count now: of the window, and what was under way for too long as failed."""
    return tuple(
        replace(slot, failed=True) if not slot.failed and now_us - slot.at_us >= limits.pending_us else slot
        for slot in slots
        if now_us - slot.at_us < limits.window_us
    )


def admit(slots: Slots, key: bytes, origin: Origin, limits: GuessLimits, now_us: int) -> Slots | Full | Crowded:
    """Take a slot for this attempt: the slots with it, or why there is none.

    The first pool with a free one counts: the browser's, the known network's, strangers'. An attempt that has a slot
    keeps it: it is being done again by another worker.
    """
    now = counted(slots, limits, now_us)
    if any(slot.key == key for slot in now):
        return now
    crowded, spent = False, list[Lock]()
    for levels in _ways(now, origin, limits):
        if all(level.used(now) < level.limit for level in levels):
            return (*now, Slot(key, levels[0].name, now_us))
        spent = [level.lock for level in levels if level.is_spent(now)]
        crowded = crowded or not spent
    return Crowded() if crowded else Full(spent[-1])


def succeeded(slots: Slots, key: bytes) -> Slots:
    """Give the slot back; who proved to be the owner in a browser of theirs has mistyped there before."""
    mine = next((slot.pool for slot in slots if slot.key == key), "")
    forgiven = mine if mine.startswith(_BROWSER) else ""
    return tuple(slot for slot in slots if slot.key != key and slot.pool != forgiven)


def failed(slots: Slots, key: bytes) -> Slots:
    """Use the slot up."""
    return tuple(replace(slot, failed=True) if slot.key == key else slot for slot in slots)


def locked_by(before: Slots, key: bytes, limits: GuessLimits, now_us: int) -> Lock | None:
    """Which slots this failure used up; the widest."""
    now = counted(before, limits, now_us)
    mine = next((slot for slot in now if slot.key == key and not slot.failed), None)
    if mine is None:
        return None
    after = failed(now, key)
    levels = _levels(mine.pool, limits)
    return next((level.lock for level in reversed(levels) if level.is_spent(after) and not level.is_spent(now)), None)


def locks(slots: Slots, limits: GuessLimits, now_us: int) -> tuple[Lock, ...]:
    """What is used up now, by kind."""
    now = counted(slots, limits, now_us)
    spent = {level.lock for pool in {slot.pool for slot in now} for level in _levels(pool, limits) if level.is_spent(now)}
    return tuple(sorted(spent))


def _ways(slots: Slots, origin: Origin, limits: GuessLimits) -> Iterator[tuple[_Pool, ...]]:
    """The pools that take an attempt from there, in their order, each with the pools around it."""
    own = {slot.pool for slot in slots if not slot.pool.startswith(_STRANGERS)}
    known = [_BROWSER + origin.browser] if origin.browser else []
    if origin.known and origin.network != UNREADABLE:
        known.append(_NETWORK + origin.network)
    for name in known:
        if name in own or len(own) < limits.places:
            yield _levels(name, limits)
    yield _levels(_STRANGERS + origin.network, limits)


def _levels(pool: str, limits: GuessLimits) -> tuple[_Pool, ...]:
    if not pool.startswith(_STRANGERS):
        return (_Pool(pool, "browser" if pool.startswith(_BROWSER) else "network", limits.of_known()),)
    return (_Pool(pool, "network", limits.of_network()), _Pool(_STRANGERS, "account", limits.account))


def counter_of_user(user: int) -> bytes:
    """Under what guesses at an account are counted: by whatever it is called, there is one counter."""
    return user.to_bytes(8, "big")


def counter_of_name(secret: bytes, typed: str) -> bytes:
    """Under what guesses at a name that nobody has are counted.

    One of 2^20 counters by a keyed digest of the canonical form: made-up names cannot fill the table, and which names
    share one nobody can foretell.
    """
    digest = int.from_bytes(derived_bytes(secret, "counter", counter_of(typed).hex())[:4], "big")
    return (digest >> (32 - NAME_BITS)).to_bytes(3, "big")


def digest_of_name(secret: bytes, typed: str) -> str:
    """What the log calls a name: 16 hex digits, the same for all spellings, from which nobody gets back to it."""
    return derived_bytes(secret, "logged", counter_of(typed).hex())[:8].hex()
