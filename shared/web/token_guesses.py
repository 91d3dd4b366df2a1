"""Who guesses at bearer tokens: an address that sent as many wrong ones as it may send wrong passwords gets 429 for the next.

A good token is good from every address, whoever else guesses there: nobody's program is shut out by a neighbour. What keeps a
token from being guessed is its length (60 random characters; one that an administrator chooses has 32 at least); the limit
keeps guesses from being free, and has them told. Counted by one process, in bounded memory.
"""

from typing import Final

from shared.kernel.clock import Clock
from shared.web.errors import Refusal
from shared.web.misses import Misses

WINDOW_S: Final = 3600.0
PER_ADDRESS: Final = 1000


class TokenGuesses:
    """Wrong tokens by network, within an hour that begins with the first."""

    def __init__(self, clock: Clock, limit: int = PER_ADDRESS) -> None:
        self._misses = Misses(clock, limit, WINDOW_S)

    def __len__(self) -> int:
        return len(self._misses)

    def missed(self, address: str) -> None:
        """Count a wrong one; `Refusal` 429 if the address has had its share."""
        left_s = self._misses.wait_s(address)
        if left_s:
            raise Refusal(429, "token_guessing", headers={"Retry-After": str(left_s)})
        self._misses.add(address)
