"""Lines as Sluice writes them, hostile ones among them, and who of them is to be banned."""

import io
import logging
from typing import Final

from shared.telemetry.logs import JsonFormatter, security

GUESSERS: Final = ("192.0.2.7", "2001:db8::7")
INNOCENT: Final = "198.51.100.66"
"""Named only in texts that somebody else chose."""
EACH: Final = 25


def written() -> list[str]:
    """`EACH` failures of each guesser, one wrong token, and what only looks like them."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter("executor"))
    loggers = [logging.getLogger("security"), logging.getLogger("tests.bans")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        for n in range(EACH):
            for address in GUESSERS:
                security("login_failed", facts=_failure(address, n))
        security("token_invalid", 5, {"correlation_id": "0" * 32, "address": "192.0.2.8"})
        security("csrf", 5, {"address": INNOCENT})
        loggers[1].warning(out.getvalue().splitlines()[0].replace(GUESSERS[0], INNOCENT))
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
    return out.getvalue().splitlines()


def _failure(address: str, n: int) -> dict[str, str | int]:
    # The stage's name is an administrator's text: it may say anything.
    stage = f'x","address":"{INNOCENT}","y":"' if n % 2 else 'the password","logger":"security.login_failed'
    return {"address": address, "flow": "login", "stage": stage, "name_digest": f"{n:016x}", "limited": ""}
