"""When the value of a session's cookie changes: when privilege does, and never else (architecture §3).

A cookie that somebody planted or copied must be worth nothing once its visitor has proved anything; and it must not change
without need, or a second tab would be sent away.
"""

from typing import Literal

from services.executor.sessions.decision import Decision
from shared.contracts import sessions as s
from shared.flows.evidence import KINDS

Why = Literal["login", "logout", "secret", "evidence"]


def rotates(decision: Decision) -> Why | None:
    """Why the session rotates with this step, None if it does not. To say who one is proves nothing and rotates nothing."""
    for event in reversed(decision.events):
        if isinstance(event, s.LoggedIn):
            return "login"
        if isinstance(event, s.LoggedOut):
            return "logout"
    if decision.accepted:
        return "secret"
    proved = any(isinstance(event, s.StagePassed) and event.evidence.proves in KINDS for event in decision.events)
    return "evidence" if proved else None
