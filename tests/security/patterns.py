"""Proves of a regular expression that matching takes at most a fixed number of steps a character.

`re` tries one way after the other, so a text costs as many steps as there are ways to read its beginnings. That number is bounded,
whatever the text, unless the pattern's automaton (Glushkov's, with how often each step can be taken) has, for some text:

* EDA: a position that leads back to itself in two ways: exponentially many readings; or
* IDA: a loop that leads into another one, both over the same text: as many readings as characters, so a quadratic cost
  (Weber and Seidl, "On the degree of ambiguity of finite automata", 1991).

`search`, `sub` and the like begin anew at each character: that is a loop over everything before the pattern. It does no harm
where what was read is kept: then the next beginning lies behind it. So there only loops count in which a match cannot end.

What the analysis does not see, it takes for the worse: possessive and atomic groups for ordinary ones, anchors for nothing; a
look-around over a text of any length and a back reference are always reported. A repeat with a bound counts as three at most.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Final

COPIES: Final = 3
Symbols = frozenset[int]


@dataclass
class Part:
    """A piece of the pattern: in how many ways it matches nothing, and the positions that it begins and ends with."""

    empty: int
    first: Counter[int] = field(default_factory=Counter)
    last: Counter[int] = field(default_factory=Counter)


class Automaton:
    """The positions of a pattern, what each takes, and in how many ways one follows another."""

    def __init__(self, pattern: str | bytes, flags: int = 0, *, searching: bool = False) -> None:
        self.symbols: list[Symbols] = []
        self.follow: dict[int, Counter[int]] = {}
        self.suspects: list[str] = []
        self._conditional = False
        parsed = _parser.parse(pattern, flags)
        self._flags = parsed.state.flags
        self._sample = _sample(parsed, isinstance(pattern, bytes))
        whole = self._sequence(list(parsed))
        self.accepting = frozenset() if self._conditional else frozenset(whole.last)
        self.everything = self._position(self._sample) if searching else None
        if self.everything is not None:
            self._lead({self.everything: 1}, {self.everything: 1})
            self._lead({self.everything: 1}, whole.first)

    # --- building ---

    def _position(self, symbols: Iterable[int]) -> int:
        self.symbols.append(frozenset(symbols))
        self.follow[len(self.symbols) - 1] = Counter()
        return len(self.symbols) - 1

    def _lead(self, last: "Counter[int] | dict[int, int]", first: "Counter[int] | dict[int, int]") -> None:
        for before, ways in last.items():
            for after, more in first.items():
                self.follow[before][after] = min(2, self.follow[before][after] + ways * more)

    def _then(self, one: Part, other: Part) -> Part:
        self._lead(one.last, other.first)
        return Part(
            min(2, one.empty * other.empty),
            one.first + _times(other.first, one.empty),
            other.last + _times(one.last, other.empty),
        )

    def _sequence(self, items: list[Any]) -> Part:
        done = Part(1)
        for item in items:
            done = self._then(done, self._item(item))
        return done

    def _item(self, item: Any) -> Part:
        kind, value = item
        if kind in (sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY, sre.RANGE, sre.CATEGORY):
            at = self._position(symbol for symbol in self._sample if _takes(item, symbol, self._flags))
            return Part(0, Counter({at: 1}), Counter({at: 1}))
        if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            return self._repeat(*value)
        if kind is sre.SUBPATTERN:
            return self._sequence(list(value[3]))
        if kind is sre.ATOMIC_GROUP:
            return self._sequence(list(value))
        if kind is sre.BRANCH:
            return self._either([self._sequence(list(branch)) for branch in value[1]])
        if kind is sre.AT:
            self._conditional = True
            return Part(1)
        if kind in (sre.ASSERT, sre.ASSERT_NOT):
            self._conditional = True
            if value[1].getwidth()[1] >= sre.MAXREPEAT:
                self.suspects.append("a look-around over a text of any length")
            return Part(1)
        self.suspects.append(f"{kind} is not understood")
        return Part(1)

    def _either(self, branches: list[Part]) -> Part:
        first: Counter[int] = Counter()
        last: Counter[int] = Counter()
        for branch in branches:
            first, last = first + branch.first, last + branch.last
        return Part(min(2, sum(branch.empty for branch in branches)), first, last)

    def _repeat(self, least: int, most: int, inner: Any) -> Part:
        items = list(inner)
        if most >= sre.MAXREPEAT:
            return self._then(self._copies(items, min(least, COPIES), min(least, COPIES)), self._loop(items))
        return self._copies(items, min(least, COPIES), min(most, COPIES))

    def _loop(self, items: list[Any]) -> Part:
        body = self._sequence(items)
        self._lead(body.last, body.first)
        return Part(1, body.first, body.last)

    def _copies(self, items: list[Any], least: int, most: int) -> Part:
        """`least` in a row, each further one only after the one before it."""
        if most == 0:
            return Part(1)
        one = self._sequence(items)
        rest = self._copies(items, max(0, least - 1), most - 1)
        whole = self._then(one, rest)
        return whole if least else Part(min(2, 1 + whole.empty), whole.first, whole.last)

    # --- judging ---

    def verdict(self) -> str:
        """Why matching may cost more than a fixed number of steps a character; "" if it cannot."""
        if self.suspects:
            return self.suspects[0]
        loops = self._loops()
        for loop in loops:
            if self._twice(loop):
                return "exponential: one text, two ways round a loop"
        for one in loops:
            for other in loops:
                for p in one:
                    for q in other:
                        if p != q and self._counts(p, q) and self._leads_over(p, q, one, other):
                            return "quadratic: one loop leads into another over the same text"
        return ""

    def _counts(self, p: int, q: int) -> bool:
        """Beginning anew matters only if what was read is given up: round a loop in which no match can end."""
        return p != self.everything or q in {at for loop in self._loops(without=self.accepting) for at in loop}

    def _loops(self, without: frozenset[int] = frozenset()) -> list[frozenset[int]]:
        """The sets of positions that can all be reached from one another, by at least one step."""
        reach = {at: _reached(lambda n: (m for m in self.follow[n] if m not in without), at) for at in self.follow if at not in without}
        found = {frozenset(other for other in reach[at] if at in reach[other]) for at in reach if at in reach[at]}
        return [loop for loop in found if loop]

    def _twice(self, loop: frozenset[int]) -> bool:
        if any(self.follow[p][q] > 1 for p in loop for q in loop):
            return True

        def pairs(both: tuple[int, int]) -> Iterator[tuple[int, int]]:
            for one in self.follow[both[0]]:
                for other in self.follow[both[1]]:
                    if one in loop and other in loop and self.symbols[one] & self.symbols[other]:
                        yield one, other

        for at in loop:
            reached = _reached(pairs, (at, at))
            if any(pair[0] != pair[1] and (at, at) in _reached(pairs, pair) for pair in reached):
                return True
        return False

    def _leads_over(self, p: int, q: int, one: frozenset[int], other: frozenset[int]) -> bool:
        """Whether some text leads from p to p, from p to q and from q to q."""

        def triples(three: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
            for a in self.follow[three[0]]:
                for b in self.follow[three[1]] if a in one else ():
                    common = self.symbols[a] & self.symbols[b]
                    for c in self.follow[three[2]] if common else ():
                        if c in other and common & self.symbols[c]:
                            yield a, b, c

        return (p, q, q) in _reached(triples, (p, p, q))


def why_slow(pattern: str | bytes, flags: int = 0, *, searching: bool = False) -> str:
    """Why this pattern may cost more than a fixed number of steps a character; "" if it cannot."""
    return Automaton(pattern, flags, searching=searching).verdict()


def _reached(steps: Callable[[Any], Iterable[Any]], start: Any) -> set[Any]:
    """All that can be reached by one step or more."""
    found: set[Any] = set()
    waiting = [start]
    while waiting:
        for after in steps(waiting.pop()):
            if after not in found:
                found.add(after)
                waiting.append(after)
    return found


def _times(counts: Counter[int], ways: int) -> Counter[int]:
    return Counter({at: min(2, count * ways) for at, count in counts.items() if ways})


# --- which characters ---


def _sample(parsed: Any, raw: bool) -> Symbols:
    """Characters of all the kinds that the pattern tells apart: one of each would do, and some more do no harm."""
    edges = {edge for low, high in _ranges(parsed) for edge in (low - 1, low, high, high + 1)}
    usual = {*map(ord, '\0\t\n\r !"%&/0159:;<=>?@AKSZ[\\]^_`akszaz{|}~\x7f')}
    other = set() if raw else {0x80, 0xA0, 0xB2, 0xE4, 0xC4, 0x130, 0x131, 0x17F, 0x212A, 0x2028, 0x660, 0x4E00, 0xD800, 0x1F600}
    return frozenset(one for one in edges | usual | other if 0 <= one < (256 if raw else 0x110000))


def _ranges(items: Any) -> Iterator[tuple[int, int]]:
    for node in _nodes(items):
        match node:
            case (sre.LITERAL | sre.NOT_LITERAL, int(code)):
                yield code, code
                yield ord(chr(code).swapcase()[0]), ord(chr(code).swapcase()[0])
            case (sre.RANGE, (int(low), int(high))):
                yield low, high
            case _:
                continue


def _nodes(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], sre._NamedIntConstant):
        yield value
    if isinstance(value, tuple | list | _parser.SubPattern):
        for inner in value:
            yield from _nodes(inner)


def _takes(item: Any, symbol: int, flags: int) -> bool:
    kind, value = item
    if flags & re.IGNORECASE and kind is not sre.ANY:
        forms = {symbol, *(ord(form[0]) for form in (chr(symbol).lower(), chr(symbol).upper()) if len(form) == 1)}
        return any(_takes(item, form, flags & ~re.IGNORECASE) for form in forms)
    match kind:
        case sre.LITERAL:
            return bool(symbol == value)
        case sre.NOT_LITERAL:
            return bool(symbol != value)
        case sre.ANY:
            return bool(flags & re.DOTALL) or symbol != 10
        case sre.RANGE:
            return bool(value[0] <= symbol <= value[1])
        case sre.CATEGORY:
            return _is_of(value, symbol, flags)
        case _:
            negated = value[0][0] is sre.NEGATE
            return negated != any(_takes(one, symbol, flags) for one in (value[1:] if negated else value))


_CATEGORIES: Final = {
    sre.CATEGORY_DIGIT: r"\d", sre.CATEGORY_NOT_DIGIT: r"\D", sre.CATEGORY_SPACE: r"\s", sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w", sre.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip


def _is_of(category: Any, symbol: int, flags: int) -> bool:
    return re.match(_CATEGORIES[category], chr(symbol), 0 if flags & re.UNICODE else re.ASCII) is not None
