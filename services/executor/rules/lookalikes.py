"""What a name looks like, so that nobody gets one that looks like somebody else's (Unicode TR39 §4).

Characters that are easily mistaken for each other stand for one of them; which they are is Unicode's data, as the package
confusable-homoglyphs carries it. Among themselves names in ASCII are not compared: `paul1` and `paull` are two people
wherever there are accounts.
"""

import json
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Final

from services.executor.rules.identifiers import canonical

ASCII: Final[dict[str, str]] = {"`": "'", "|": "1", "I": "1", "i": "1", "l": "1", "O": "0"}
"""Those of ASCII; a migration has them too, for the names that were there. `i` is ours: what Unicode likens to it (the Cyrillic
palochka) is an `l` to the eye."""


def looks_of(shown: str) -> tuple[str, ...]:
    """How a name may be seen: as it is shown, and in the spelling in which it is compared. Two names that have one of these in
    common look alike."""
    return tuple(dict.fromkeys((canonical(_skeleton(shown)), _skeleton(canonical(shown)))))


def _skeleton(name: str) -> str:
    alike = ASCII if name.isascii() else _alike()
    plain = unicodedata.normalize("NFD", name).replace("i\u0307", "i").replace("j\u0307", "j")  # whose dot is there already
    return unicodedata.normalize("NFC", "".join(alike.get(character, character) for character in plain))


@lru_cache(maxsize=1)
def _alike() -> Mapping[str, str]:
    """Each character that is like others, and which of them stands for all: one of ASCII if there is one, else the first."""
    data = json.loads(files("confusable_homoglyphs").joinpath("confusables.json").read_text(encoding="utf-8"))
    group: dict[str, list[str]] = {}
    for one, others in data.items():
        for other in others:
            mine, theirs = group.setdefault(one, [one]), group.setdefault(other["c"], [other["c"]])
            if mine is not theirs:
                small, large = sorted((mine, theirs), key=len)
                large += small
                for member in small:
                    group[member] = large
    stand_in = {one: min((m for m in members if len(m) == 1), default=one) for one, members in group.items() if len(one) == 1}
    return ASCII | {one: ASCII.get(other, other) for one, other in stand_in.items()}
