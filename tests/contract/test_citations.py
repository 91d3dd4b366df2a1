"""What a comment, a docstring or a page cites can be opened: a section of docs/, a public document; nobody's own notes."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("deploy", "docs", "services", "shared", "sluice", "tests", ".ci")
ENDINGS = {".py", ".md", ".yaml", ".yml", ".toml", ".sql", ".html", ".sh", ".cfg", ".conf", ""}
FILES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "pyproject.toml", "docker-compose.yml")),
    *sorted(
        path for folder in FOLDERS for path in (ROOT / folder).rglob("*")
        if path.suffix in ENDINGS and path.is_file() and "crashers" not in path.parts and path != Path(__file__)
    ),
]  # fmt: skip

CHAPTER = re.compile(
    r"\b(?:flow[- ]engine|stages?|security|conditional[- ]policies|blueprints|gateways?|behaviou?r|ecosystem)(?:-and-\w+)?"
    r"(?: reference)? (?:§ ?)?[0-9A-Z]*[0-9]+(?:[.-][0-9]+)*\b"
    r"|\b(?:flow[- ]engine|stages?|security) (?:reference|test)\b|\b(?:observed-behaviou?r|library-facts|security-and-reliability|model-codebases)\b",
    re.IGNORECASE,
)
"""A chapter of somebody's notes: `flow-engine 4.2`, `security reference R11`, `observed-behaviour 45`."""
ROW = re.compile(r"(?<![\w.$%\\+*/=-])[A-Z][0-9]{1,2}\b(?![\w=(%*]|\.\d)")
"""A row of somebody's table: `H42`. What is called so in public is no such row."""
PUBLIC = {"C0", "C1", "C4", "C90", "T20", "H1", "H2", "L2", "M2"}
"""Control characters, the linter's rules, and the findings of a published audit."""
OF_A_PUBLIC_DOCUMENT = re.compile(
    r"(?:RFC \d+(?:bis)?|Unicode TR\d+|NIST SP 800-63B-4|CSP 3|Trace Context|Kafka protocol binding|[Aa]rchitecture)\s+"
    r"(?:§[\d.]+(?:-[\d.]+)?(?:, | and )?)+"
)
HEADING = re.compile(r"docs/compat\.md, ([A-Z][\w -]*?)(?=[):;.`,]|$)", re.MULTILINE)


@cache
def told(path: Path) -> tuple[str, ...]:
    """What a file tells its reader: of a Python file its comments and docstrings, else all of it."""
    text = path.read_text(errors="replace")
    return (text,) if path.suffix != ".py" else tuple(_told(text))


def _told(text: str) -> Iterator[str]:
    if not cited(text) and "architecture §" not in text and "docs/compat.md" not in text:
        return  # to take it apart would take longer
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def cited(text: str) -> list[str]:
    """The citations in it that nobody else can open."""
    found = [match[0] for match in CHAPTER.finditer(text)]
    found += [match[0] for match in ROW.finditer(text) if match[0] not in PUBLIC]
    return found + re.findall(r".{,20}§.{,4}", OF_A_PUBLIC_DOCUMENT.sub("", text))


@pytest.mark.parametrize(
    "text",
    ["(security reference 7.1, H37)", "see flow-engine 4.2", "as observed-behaviour 45 says", "(row U18)", "rows E4-E14", "library-facts F8",
     "(stages reference 3.2)", "(§4.11)", "security-and-reliability §7.1", "R14: once", "flow-engine test 43", "G1"],
)  # fmt: skip
def test_what_cites_somebodys_notes_is_found(text: str) -> None:
    assert cited(text)


@pytest.mark.parametrize(
    "text",
    ["RFC 9110 §5.3", "(RFC 6265bis §4.1.3.2)", "NIST SP 800-63B-4 §3.2.2", "Unicode TR39 §5.2", "architecture §4.2, §4.3", "C0, DEL, C1",
     "CSP 3 §6.4.1", "RFC 6454 §4-6", "SHA-1, MD5", "the security records", "of 3 stages", "Trace Context §3.2"],
)  # fmt: skip
def test_public_documents_and_our_own_may_be_cited(text: str) -> None:
    assert cited(text) == []


def test_nothing_cites_what_a_reader_does_not_have() -> None:
    rows_of_standards = {ROOT / "docs" / "asvs.md"}
    wrong = {
        (str(path.relative_to(ROOT)), one) for path in FILES if path not in rows_of_standards for text in told(path) for one in cited(text)
    }
    assert wrong == set()


def test_every_section_of_the_architecture_that_is_cited_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rules = (f"4.{rule}" for rule in re.findall(r"^(\d+)\. \*\*", page, re.MULTILINE))
    sections = {*re.findall(r"^## (\d+)\.", page, re.MULTILINE), *rules}
    lists = [found for path in FILES for text in told(path) for found in re.findall(r"architecture ((?:§[\d.]+(?:, )?)+)", text)]
    assert lists
    assert {number.strip(".") for found in lists for number in re.findall(r"§([\d.]+)", found)} - sections == set()


def test_every_heading_of_what_is_kept_that_is_cited_is_there() -> None:
    headings = set(re.findall(r"^## (.+)$", (ROOT / "docs" / "compat.md").read_text(), re.MULTILINE))
    found = {name for path in FILES if path.name != "compat.md" for text in told(path) for name in HEADING.findall(" ".join(text.split()))}
    assert found
    assert found - headings == set()
