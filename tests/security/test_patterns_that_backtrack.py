"""An attacker looks for a regular expression that can be made to try for ever: every one in the tree is proved linear."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.security.patterns import why_slow

FOLDERS = ("shared", "services", "sluice", "deploy")
ANYWHERE = {"search", "sub", "subn", "split", "findall", "finditer"}
FROM_HERE = {"match", "fullmatch"}
# What cannot be proved, and why it may stay. (Patterns in administrators' expressions run in the sandbox, within its limit of time.)
EXEMPT = {
    "services/executor/rules/identifiers.py: _DOMAIN": "its first look-ahead admits 253 characters at most",
}


@dataclass(frozen=True)
class Found:
    """A regular expression in the tree. `pattern` None: not a literal."""

    place: str
    name: str
    pattern: str | bytes | None
    flags: int
    method: str


def trees() -> Iterator[tuple[str, ast.Module]]:
    for folder in FOLDERS:
        for path in sorted(Path(folder).rglob("*.py")):
            yield str(path), ast.parse(path.read_text())


def found_in(place: str, tree: ast.Module) -> Iterator[Found]:
    texts: dict[str, str | bytes] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value and (text := _literal(statement.value, texts)) is not None:
            texts[_target(statement)] = text
    names = {id(node.value): _target(node) for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.AnnAssign) and node.value}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=method), args=[pattern, *rest], keywords=keywords) if (
                method in {"compile"} | ANYWHERE | FROM_HERE
            ):
                after = rest[{"compile": 0, "match": 1, "fullmatch": 1, "search": 1, "findall": 1, "finditer": 1}.get(method, 2) :]
                flags = [word.value for word in keywords if word.arg == "flags"] + after
                name = names.get(id(node), "") or ast.unparse(pattern)
                yield Found(place, name, _literal(pattern, texts), _flags(flags[0]) if flags else 0, method)
            case _:
                continue


def _literal(node: ast.expr, texts: Mapping[str, str | bytes]) -> str | bytes | None:
    """The text that this is, where it is put together of nothing but literals of the module."""
    match node:
        case ast.Constant(value=str() | bytes() as text):
            return text
        case ast.Name(id=name):
            return texts.get(name)
        case ast.FormattedValue(value=ast.Name(id=name)):
            return texts.get(name)
        case ast.JoinedStr(values=values):
            parts = [_literal(value, texts) for value in values]
            return "".join(part for part in parts if isinstance(part, str)) if all(isinstance(part, str) for part in parts) else None
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            one, other = _literal(left, texts), _literal(right, texts)
            return one + other if isinstance(one, str) and isinstance(other, str) else None
        case _:
            return None


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    return target.id if isinstance(target, ast.Name) else ""


def _flags(node: ast.expr) -> int:
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _flags(left) | _flags(right)
        case ast.Attribute(value=ast.Name(id="re"), attr=name):
            return int(getattr(re, name))
        case _:
            raise AssertionError(f"flags that are no literal: {ast.unparse(node)}")


def uses() -> dict[str, set[str]]:
    """The methods that are called on each name anywhere."""
    called: dict[str, set[str]] = defaultdict(set)
    for _, tree in trees():
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name), attr=method) if method in ANYWHERE | FROM_HERE:
                    called[name].add(method)
                case _:
                    continue
    return called


CALLED = uses()
FOUND = [one for place, tree in trees() for one in found_in(place, tree)]


def complaint(one: Found) -> str:
    if one.pattern is None:
        return "is no literal"
    methods = CALLED[one.name] if one.method == "compile" else {one.method}
    searching = not methods or bool(methods & ANYWHERE)
    return why_slow(one.pattern, one.flags, searching=searching)


@pytest.mark.parametrize("one", FOUND, ids=lambda one: f"{one.place}: {one.name[:30]}")
def test_every_pattern_takes_a_fixed_number_of_steps_a_character(one: Found) -> None:
    excused = f"{one.place}: {one.name}" in EXEMPT
    why = complaint(one)
    assert bool(why) == excused, why or "is proved: it needs no exemption"


def test_every_exemption_is_of_a_pattern_that_there_is() -> None:
    assert set(EXEMPT) <= {f"{one.place}: {one.name}" for one in FOUND}
    assert len(FOUND) >= 25


def test_validation_by_pydantic_stays_on_the_engine_that_does_not_backtrack() -> None:
    assert not [place for place, tree in trees() if "python-re" in ast.dump(tree)]


BACKTRACKING = [
    (r"(a+)+b", "match"), (r"(a*)*b", "match"), (r"(a*b*)*c", "match"), (r"(x+x+)+y", "match"), (r"a*a*b", "match"), (r".*.*x", "match"),
    (r"\s+\s*$", "match"), (r"^(([a-z])+.)+[A-Z]([a-z])+$", "match"), (r"([a-z]+[0-9a-z]*)*-", "match"), (r"(?:a?){30}a*a*", "match"),
    (r'(?:[^"\\]|\\.|\\")*"', "match"), (r"(?=.*a)b", "match"), (r"(a)\1*", "match"), (r"(?i:[a-z]|K)+(?i:[a-z]|k)+!", "match"),
    # Searching alone makes these slow: they begin anew at each character.
    (r'"(?:[^"\\]|\\.)*"', "search"), (r'"(?:[^"\\]|\\.)*+"', "sub"), (r"\s+$", "sub"), (r"a+b", "search"), (r"<[^>]*>", "sub"),
    (r"[^@]+@", "findall"), (r"a(a*c)?", "finditer"), (r"\bx.*y", "split"),
]  # fmt: skip
LINEAR = [
    (r'"(?:[^"\\]|\\.)*+"?', "sub"), (r"[-\s]+", "sub"), (r"[^\w\s-]", "sub"), (r"\w+", "findall"), (r"<[^<>]{0,10}>", "sub"),
    (r"a*b*c*", "match"), (r"[a-z]+(?:\.[a-z]+)*\Z", "match"), (r"/(?:[A-Za-z]|%[0-9A-Fa-f]{2})*\Z", "match"), (r"a+b", "match"),
    (r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]\Z", "match"),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "method"), BACKTRACKING)
def test_the_proof_fails_for_patterns_that_are_known_to_be_slow(pattern: str, method: str) -> None:
    assert complaint(Found("", "", pattern, re.DOTALL, method))


@pytest.mark.parametrize(("pattern", "method"), LINEAR)
def test_the_proof_holds_for_patterns_that_are_known_to_be_linear(pattern: str, method: str) -> None:
    assert complaint(Found("", "", pattern, re.DOTALL, method)) == ""


def test_the_search_of_the_tree_sees_every_way_to_make_a_pattern() -> None:
    source = 'import re\nA = re.compile(r"(a+)+b", re.I)\nx = re.sub("a+b", "", y)\nz = re.compile(made)\nq = re.search(f"{a}", b)\n'
    found = list(found_in("seeded.py", ast.parse(source)))
    assert [bool(complaint(one)) for one in found] == [True, True, True, True]
