"""Secrets that somebody typed for the time being: long enough, and still the first that would be tried.

A secret drawn at random, in whatever alphabet (bytes, hexadecimal, base64), is never refused: a chance below one in a million
for the shortest that is taken, 32 characters.
"""

from collections import Counter
from itertools import pairwise
from typing import Final

DISTINCT: Final = 8
"""Of 32 random hexadecimal digits, 7 or fewer different ones are one case in 27 million."""


def why_guessable(secret: bytes) -> str:
    """What gives this secret away, as a clause; "" if nothing that is seen here does."""
    if len(set(secret)) < DISTINCT:
        return f"it has only {len(set(secret))} different characters"
    if _period(secret) <= len(secret) // 2:
        return f"it repeats the same {_period(secret)} characters"
    steps = Counter((after - before) % 256 for before, after in pairwise(secret))
    if max(steps.values()) * 2 >= len(secret):
        return "its characters stand in their order"
    return ""


def _period(secret: bytes) -> int:
    """After how many bytes it begins anew; its length if it does not. Linear (Knuth, Morris and Pratt's failure function)."""
    border = [0] * len(secret)
    matched = 0
    for place in range(1, len(secret)):
        while matched and secret[place] != secret[matched]:
            matched = border[matched - 1]
        matched += secret[place] == secret[matched]
        border[place] = matched
    return len(secret) - border[-1]
