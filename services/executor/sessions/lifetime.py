"""When a session is over by age, and how long its end is held (architecture §3)."""

from typing import Final

from shared.contracts.states import SessionState

SECOND: Final = 1_000_000
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR
REACH: Final = DAY + HOUR
"""No session lives longer, and its written state no longer than that: what is older is nobody's any more."""
BEGINS_FOR: Final = HOUR
"""How long after its first cookie was made a session may begin."""
HELD_SINCE_START: Final = BEGINS_FOR + 300 * SECOND
HELD_SINCE_END: Final = 600 * SECOND
UNPROVEN: Final = HOUR // 2
"""How long a session in which nobody has proved anything may be left alone."""


def is_unproven(state: SessionState) -> bool:
    """Whether nobody has proved anything in it: its rotation has never risen, and no run of it is somebody's."""
    return not state.rotation and not any(run.login for run in state.runs)


def ends_us(state: SessionState) -> int:
    """When it is over by age: an hour after its last step, a day with an open run, half an hour if nobody has proved anything
    in it, 24 h in any case (architecture §3)."""
    idle = UNPROVEN if is_unproven(state) else DAY if any(not r.over for r in state.runs) else HOUR
    return min(state.last_us + idle, state.started_us + DAY)


def expired(state: SessionState, now_us: int) -> bool:
    """Whether it is over by age."""
    return bool(state.version) and now_us > ends_us(state)


def held_until_us(state: SessionState) -> int:
    """How long an ended session is held: beyond a step's deadline, and until none of its cookies could begin it anew."""
    return max(state.started_us + HELD_SINCE_START, state.last_us + HELD_SINCE_END)
