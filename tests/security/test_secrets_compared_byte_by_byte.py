"""Nothing secret is compared by `==`: that takes the longer, the further a guess agrees (CVE-2024-52307 and its kind).

Looking a digest up in a table or in SQL is no such comparison: who does not know what was hashed cannot steer how far it agrees.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.executor.directory import hashing
from services.executor.edge import csrf
from services.executor.sessions import repeats
from shared.messaging.proof import Proofs
from shared.web.keyring import KeyRing

FOLDERS = ("services", "shared", "sluice")
SECRET = re.compile(r"(?:^|_)(?:mac|proof|signature|secret|token|csrf|password)\Z")
ALLOWED = {
    "old['hash'] != digest_of(token)": "an administrator's own command, on digests of long random values",
    "row['hash'] == digest_of(token)": "which row of one user is meant",
    "normalised(password) == password": "whether a password is in its one form; told to nobody",
}
COMPARE: tuple[Callable[..., object], ...] = (csrf.same, KeyRing.holds, Proofs._is_keyed, repeats._same, hashing.verify_password)
"""Where something that a stranger sent is held against something that they must not know."""


def compared(tree: ast.AST) -> Iterator[str]:
    """Every `==` and `!=` one of whose sides is something secret by its name, or made of such."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(isinstance(one, ast.Eq | ast.NotEq) for one in node.ops):
            sides = (node.left, *node.comparators)
            if any(map(_is_secret, sides)) and not any(isinstance(side, ast.Constant) for side in sides):
                yield ast.unparse(node)


def _is_secret(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return bool(SECRET.search(name))
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args):
            return bool(SECRET.search(name)) or any(map(_is_secret, args))
        case _:
            return False


def test_no_secret_is_compared_but_in_constant_time() -> None:
    found = {text for folder in FOLDERS for path in Path(folder).rglob("*.py") for text in compared(ast.parse(path.read_text()))}
    assert sorted(found - set(ALLOWED)) == []


@pytest.mark.parametrize("text", ["sent.mac == mac", "_mac(key, parts) != proof", "token == other", "sha256(password) == stored"])
def test_the_search_finds_what_it_is_for(text: str) -> None:
    assert list(compared(ast.parse(text))) == [text]


@pytest.mark.parametrize("compare", COMPARE, ids=lambda compare: compare.__qualname__)
def test_what_a_stranger_sent_is_compared_in_constant_time(compare: Callable[..., object]) -> None:
    tree = ast.parse(textwrap.dedent(inspect.getsource(compare)))
    assert "hmac.compare_digest" in {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Eq | ast.NotEq)]
