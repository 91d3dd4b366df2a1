"""Whether this machine's clock and the broker's agree: deadlines, proofs and logins are judged by both.

The broker says its time in the answer to each append (LogAppendTime). It lies between sending and answer; what is outside of that is
the least by which the clocks differ, however long the answer took.
"""

import logging
from collections.abc import Callable
from typing import Final

WARNED_S: Final = 5.0
AGAIN_S: Final = 60.0

_log = logging.getLogger(__name__)


class ClockCheck:
    """Tells how far our clock is ahead of the broker's (seconds, at least; negative: behind), and warns of more than 5 s."""

    def __init__(self, told: Callable[[float], None]) -> None:
        self._told = told
        self._warned_us: int | None = None
        self._ahead_s: float | None = None

    def answered(self, sent_us: int, answered_us: int, broker_ms: int) -> None:
        """The broker stamped a record between these two times of ours."""
        low_us, high_us = broker_ms * 1000, broker_ms * 1000 + 999
        ahead_s = max(0, sent_us - high_us) / 1e6 - max(0, low_us - answered_us) / 1e6
        if ahead_s != self._ahead_s:  # nearly always nothing, as with the record before
            self._ahead_s = ahead_s
            self._told(ahead_s)
        if abs(ahead_s) <= WARNED_S:
            self._warned_us = None
        elif self._warned_us is None or abs(answered_us - self._warned_us) >= AGAIN_S * 1e6:
            self._warned_us = answered_us
            _log.warning(
                "E_CLOCK_SKEW: this machine's clock is %.1f s %s the broker's", abs(ahead_s), "ahead of" if ahead_s > 0 else "behind"
            )
