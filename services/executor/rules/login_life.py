"""How long a login lasts, whatever its flow says: without use, and at all (ASVS 5.0 7.3.1 and 7.3.2).

A flow's `session_duration` can only make it shorter. `seconds=0`, a login until the browser is closed, has no other end: browsers
that restore their tabs keep such cookies for ever, and so does who copied one.
"""

from dataclasses import dataclass
from typing import Final

MINUTE_US: Final = 60_000_000
DAY_US: Final = 24 * 60 * MINUTE_US


@dataclass(frozen=True, slots=True)
class LoginLife:
    """Both limits in microseconds. `idle_us`: since an edge last asked for it; `absolute_us`: since the log-in."""

    idle_us: int = DAY_US
    absolute_us: int = 30 * DAY_US

    def is_too_old(self, at_us: int, now_us: int) -> bool:
        """Whether a login of this time has reached its absolute end. What is from the future ends a life after now at the latest."""
        return now_us - at_us >= self.absolute_us

    @property
    def noted_every_us(self) -> int:
        """How old the note of its last use may get before a look-up writes it anew: by so much a login may end too early."""
        return min(MINUTE_US, self.idle_us // 4)

    @property
    def trusted_us(self) -> int:
        """For how long an edge may go by its last look-up: a quarter of an hour, less where logins end sooner (architecture §4.13)."""
        return min(15 * MINUTE_US, self.idle_us // 4)
