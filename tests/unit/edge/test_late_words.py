"""What an edge hears late, or twice, or not at all, is no reason to believe that it knows everything (architecture §4.13)."""

import pytest

from services.executor.edge.login_check import TAIL_AGE_S
from services.executor.edge.revocations import Word
from shared.contracts.topics import TOPICS
from shared.kernel.clock import FixedClock
from shared.kernel.errors import Unavailable
from shared.messaging.dead_letters import DeadLetters
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.projection import Projection
from shared.web.token_projection import TokenProjection

HOUR_S = 3600.0


class Told:
    """An edge that hears a word each second, of a PostgreSQL whose clock is so far ahead of ours."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self.clock = FixedClock()
        self.ahead_s = ahead_s
        self.word = Word(self.clock)
        for _ in range(5):
            self.clock.advance(1)
            self.word.heard(self.now_us())

    def now_us(self) -> int:
        return self.clock.now_us() + round(self.ahead_s * 1e6)

    def knows(self) -> bool:
        return self.word.age() <= TAIL_AGE_S


@pytest.mark.parametrize("ahead_s", [0.0, 3.0, -3.0, 20.0, -20.0, HOUR_S, -HOUR_S])
def test_the_clock_of_postgres_need_not_be_ours(ahead_s: float) -> None:
    told = Told(ahead_s)
    assert told.knows()
    told.clock.advance(TAIL_AGE_S + 1)
    assert not told.knows()
    told.word.heard(told.now_us())
    assert told.knows()


@pytest.mark.parametrize("asleep_s", [7, 10, 40, 600, HOUR_S])
@pytest.mark.parametrize("ahead_s", [0.0, -20.0, HOUR_S])
def test_a_word_that_waited_while_we_stood_still_says_nothing_of_that_time(asleep_s: float, ahead_s: float) -> None:
    told = Told(ahead_s)
    waiting = told.now_us() + 500_000  # said, and then nobody led any more
    told.clock.advance(asleep_s)
    told.word.heard(waiting)
    assert not told.knows()
    told.word.heard(told.now_us())
    assert told.knows()


@pytest.mark.parametrize("times", [1, 20])
@pytest.mark.parametrize("back_us", [0, 1, 1_000_000, 4_000_000])
def test_a_word_that_somebody_says_again_is_none(times: int, back_us: int) -> None:
    told = Told()
    said = told.now_us() - back_us
    for _ in range(times):
        told.clock.advance(TAIL_AGE_S + 1)
        told.word.heard(said)
        assert not told.knows()


def test_who_begins_reads_the_words_of_an_hour_and_knows_at_their_end() -> None:
    told = Told()
    late = Word(told.clock)
    for ago_s in range(3600, 0, -1):
        late.heard(told.now_us() - ago_s * 1_000_000)
    assert late.age() <= TAIL_AGE_S


@pytest.mark.parametrize("step_s", [HOUR_S, 20.0, -1.0, -3.0])
def test_a_clock_that_is_set_costs_nothing_but_look_ups(step_s: float) -> None:
    told = Told()
    told.ahead_s += step_s
    for _ in range(5):
        told.clock.advance(1)
        told.word.heard(told.now_us())
    assert told.knows()


def test_after_a_standby_that_is_behind_took_over_words_count_again() -> None:
    told = Told()
    told.ahead_s -= 12.0
    for _ in range(900):
        told.clock.advance(1)
        told.word.heard(told.now_us())
    assert told.knows()
    waiting = told.now_us() + 1
    told.clock.advance(40)
    told.word.heard(waiting)
    assert not told.knows()


@pytest.mark.parametrize("silent_s", [5.1, 6.0, 29.0, 40.0])
async def test_a_token_of_a_log_that_is_not_heard_lets_nobody_in(silent_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    log, clock = await EmbeddedLog.open(TOPICS, None), FixedClock()
    tokens = TokenProjection(log, DeadLetters(log, "catalog", clock), clock)
    tokens._projection.ready.set()
    for age_s, knows in ((0.0, True), (4.9, True), (silent_s, False), (0.1, True)):
        monkeypatch.setattr(Projection, "fetched_age", lambda _, age_s=age_s: age_s)
        if knows:
            assert tokens.owner("a token") is None
        else:
            with pytest.raises(Unavailable):
                tokens.owner("a token")
    await log.close()
