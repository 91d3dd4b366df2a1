"""An administrator's text asks for memory, or looks into objects, on anybody's page view.

No text that is stored is ever a format: known placeholders are replaced as they stand, and everything else is a letter.
"""

import ast
import tracemalloc
from pathlib import Path

import pytest

from services.executor.sessions.session import MAX_BYTES
from services.executor.sessions.views import LONGEST_TITLE, denied_view, title_of
from tests.unit.executor.world import flow

GROWING = [
    "%(user)300000000s", "%(user)-300000000s", "%(user).300000000s", "%(user)0300000000s", "%(app)300000000s", "%(user) 300000000s",
    "%(user)+300000000d", "%(user)300000000c", "%(user)300000000r", "%(user)#300000000x", "%(app)300000000.300000000f", "%300000000s",
    "%(app)*s", "%(user)ls", "%(user)1s%(nobody)s", "{:>300000000}", "{user:>300000000}", "{0.__class__}", "{user.__init__}", "$user",
    "${user}", "%(user", "%(user)", "%()s", "%((user))s", "%(user)%", "%(USER)s",
]  # fmt: skip


@pytest.mark.parametrize("title", GROWING)
def test_a_title_that_is_a_format_is_shown_as_it_is(title: str) -> None:
    tracemalloc.start()
    try:
        shown = title_of(flow("f", title=title), "alice")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert shown == title
    assert peak < 1024 * 1024


@pytest.mark.parametrize(
    ("title", "person", "shown"),
    [
        ("Hi %(user)s", "%(app)s %(user)s %s %%", "Hi %(app)s %(user)s %s %%"),
        ("%(user)s", "\\1 \\g<name> \\g<0>", "\\1 \\g<name> \\g<0>"),
        ("%%(user)s", "alice", "%(user)s"),
        ("100%% %(user)s", "alice", "100% alice"),
        ("%(user)s of %d", "alice", "alice of %d"),
    ],
)
def test_what_is_put_in_is_not_read_again(title: str, person: str, shown: str) -> None:
    assert title_of(flow("f", title=title), person) == shown


def test_a_title_of_many_names_stays_a_title() -> None:
    tracemalloc.start()
    try:
        shown = title_of(flow("f", title="%(user)s" * 512), "x" * 512)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert shown == "x" * LONGEST_TITLE
    assert LONGEST_TITLE < MAX_BYTES
    assert peak < 2 * 1024 * 1024


def test_the_text_of_a_denial_is_no_format_either() -> None:
    for text in GROWING:
        assert denied_view(flow("f", title="t"), "alice", text).message == text


# What formats a text that is no constant of ours, and why it may.
ALLOWED = {
    "services/catalog/domain/blueprints/tags.py: text % tuple(values)": "refused before unless all its placeholders are %s",
}


def formats(source: Path) -> list[str]:
    """Where a text that is no literal of the program is used as a format: `%`, `format`, `format_map`, `Template`."""
    tree = ast.parse(source.read_text())
    constants = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id.isupper()
    }
    found = []
    for node in ast.walk(tree):
        match node:
            case (
                ast.BinOp(left=ast.Constant(), op=ast.Mod())
                | ast.BinOp(op=ast.Mod(), right=ast.Constant() | ast.Call(func=ast.Name("len")))
            ):
                continue  # a format of ours, or a division
            case ast.BinOp(left=ast.Call(func=ast.Name("len")) | ast.UnaryOp(), op=ast.Mod()):
                continue
            case ast.BinOp(op=ast.Mod()):
                found.append(ast.unparse(node))
            case ast.Call(func=ast.Attribute(attr="format" | "format_map" | "vformat" | "safe_substitute" | "from_string", value=on)):
                if not (
                    isinstance(on, ast.Constant) or (isinstance(on, ast.Name | ast.Attribute) and _constant(on) in constants | IMPORTED)
                ):
                    found.append(ast.unparse(node))
            case ast.Call(func=ast.Name(id="Template" | "format") | ast.Attribute(attr="Template")):
                found.append(ast.unparse(node))
            case _:
                continue
    return found


IMPORTED = {"NOT_UNIQUE_TOGETHER"}
DIVISIONS = {"self._count % len(self._members)"}


def _constant(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def test_nothing_but_a_literal_is_ever_a_format() -> None:
    found = {
        f"{path}: {text}"
        for folder in ("services", "shared", "sluice")
        for path in Path(folder).rglob("*.py")
        for text in formats(path)
        if text not in DIVISIONS
    }
    assert found - set(ALLOWED) == set()


def test_the_search_finds_what_it_is_for(tmp_path: Path) -> None:
    source = tmp_path / "seeded.py"
    source.write_text(
        "a = flow.title % {'user': x}\nb = title.format(user=x)\nc = Template(t)\nd = flow.title.format_map(y)\nf = environment.from_string(title)\ne = '%s' % z\n"
    )
    assert len(formats(source)) == 5
