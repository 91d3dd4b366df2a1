"""What docs/ says is what the code says: every code, setting and name is there, nothing is there that is gone, links lead somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.acceptance import AcceptedTransitions
from shared.contracts.envelope import Envelope, to_headers
from shared.contracts.topics import TOPICS
from shared.telemetry import names
from sluice import reference

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCES = [path for folder in ("shared", "services", "sluice") for path in sorted((ROOT / folder).rglob("*.py"))]
CODE = re.compile(r"\b(?:E_[A-Z]+(?:_[A-Z]+)*|LOG_DIVERGED)\b")
# Where a word of ours becomes the `error` of an answer, a reply's reason or the class of a security record: the argument's place.
SAID_BY = {"Refusal": 1, "later": 0, "FlowError": 0, "suspect": 1, "security": 0, "record": 0, "Stopped": 1}
WORD = re.compile(r"[a-z][a-z_]+\Z")
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "deploy" / "README.md"]


def test_for_every_topic_it_is_said_what_who_may_write_it_could_do_and_can() -> None:
    section = (DOCS / "security.md").read_text().partition("| who may write | could, before | can now |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines()[2:]]
    assert [row[0].strip("`") for row in rows] == list(TOPICS)
    assert all(len(row) == 3 and all(row) for row in rows)


def told(page: str) -> set[str]:
    """The first column of a page's tables: what is in backticks there."""
    rows = [line for line in (DOCS / page).read_text().splitlines() if line.startswith("| `")]
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row.split(" | ")[0])}


def codes() -> Iterator[str]:
    """Every stable code and word in the source."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Constant(value=str(text)) if not _is_pattern(text):
                    yield from CODE.findall(text)
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments) if name in SAID_BY:
                    yield from _word(arguments[SAID_BY[name] : SAID_BY[name] + 1])
                case ast.FunctionDef(name="reason"):
                    yield from (word for inner in ast.walk(node) if isinstance(inner, ast.Constant) for word in _word([inner]))
                case ast.ClassDef(body=body):
                    yield from _class_code(body)
                case _:
                    continue


def _is_pattern(text: str) -> bool:
    return "(?:" in text


def _word(arguments: list[ast.expr]) -> Iterator[str]:
    match arguments:
        case [ast.Constant(value=str(word))] if WORD.match(word):
            yield word


def _class_code(body: list[ast.stmt]) -> Iterator[str]:
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="code")], value=ast.Constant(value=str(word))):
                yield word
            case _:
                continue


def test_every_code_in_the_source_is_explained_and_no_other() -> None:
    assert told("errors.md") == set(codes())


def test_the_settings_are_current() -> None:
    assert (DOCS / "settings.md").read_text() == reference.rendered(), "make docs"


def test_every_metric_span_attribute_and_logger_is_explained() -> None:
    page = (DOCS / "telemetry.md").read_text()
    metrics = [value[0] for value in vars(names).values() if isinstance(value, tuple) and isinstance(value[0], str)]
    texts = [
        value for name, value in vars(names).items() if name.isupper() and isinstance(value, str) and name not in ("SCHEMA_URL", "SCOPE")
    ]
    assert [name for name in [*metrics, *texts] if f"`{name}" not in page and f" {name}`" not in page] == []


def test_every_topic_is_in_the_table_of_what_is_in_topics() -> None:
    assert told("security.md") >= set(TOPICS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())]
    assert [link for link in links if link and "://" not in link and not (page.parent / link).exists()] == []


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    assert [path.name for path in sorted(DOCS.iterdir()) if path.name != "README.md" and f"({path.name}" not in index] == []


def test_the_rule_for_readers_accepts_what_ours_accepts() -> None:
    block = re.search(r"```python\n(def counts.*?)```", (DOCS / "history.md").read_text(), re.DOTALL)
    assert block
    scope: dict[str, Any] = {}
    exec(block[1], scope)  # noqa: S102 -- the page's own code
    places = [(1, "", "a"), (1, "", "b"), (2, "b", "c"), (2, "a", "d"), (2, "a", "d"), (3, "c", "e"), (3, "d", "f"), (5, "f", "g")]
    envelopes = [
        Envelope(ident, "t", 1, "s", subject, 0, version, parent or None)
        for subject, skipped in (("whole", 0), ("beginning is gone", 3))
        for version, parent, ident in places[skipped:]
    ]
    heads: dict[str, Any] = {}
    theirs = [scope["counts"](heads, {name: value.decode() for name, value in to_headers(one)}) for one in envelopes]
    ours = AcceptedTransitions()
    assert theirs == [ours.accepts(one) for one in envelopes]
    assert theirs[: len(places)] == [True, False, False, True, False, False, True, False]
