"""What the edge has to be told from outside; `services/executor/settings.py` reads it from the environment."""

from dataclasses import dataclass, field
from typing import Literal

from services.executor.rules.login_life import LoginLife

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """`secrets` is the key ring of `SLUICE_SECRET_KEY`: the first signs, all verify.

    `host_cookies` gives `authentik_session` the prefix `__Host-`: over HTTPS (None), always and `authentik_csrf` too, or never;
    `same_site` "None" is authentik's choice over TLS, for flows in foreign frames. Times in seconds, sizes in bytes.
    """

    secrets: tuple[bytes, ...]
    host_cookies: bool | None = None
    same_site: Literal["Lax", "None"] = "Lax"
    reply_wait_s: float = 2.0
    step_deadline_s: float = 15.0
    waiting_steps: int = 4096
    cached_views: int = 20_000
    cached_views_size: int = 32 * MIB
    cached_facts: int = 5_000
    checked_logins: int = 50_000
    login_life: LoginLife = field(default_factory=LoginLife)
