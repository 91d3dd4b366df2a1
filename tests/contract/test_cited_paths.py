"""Every file, folder and module that a page, a comment or a docstring names in backticks is there."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("deploy", "docs", "services", "shared", "sluice", "tests", ".ci")
PACKAGES = ("services", "shared", "sluice", "tests")
PAGES = [
    path for path in (*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md")))
    if "crashers" not in path.parts and path.name != "CHANGELOG.md"
]  # fmt: skip
SOURCES = [path for folder in ("deploy", *PACKAGES) for path in (ROOT / folder).rglob("*.py") if path != Path(__file__)]
FILE = re.compile(r"[\w.<>*{},-]+(?:/[\w.<>*{},-]+)*\.(?:py|md|ya?ml|toml|sql|html|sh|bin|cfg|conf|txt|json)\b")
FOLDER = re.compile(r"(?<![\w/.:~$-])(?:[\w-]+/)+(?![\w/<{*.])")
MODULE = re.compile(r"\b(?:services|shared|tests)(?:\.[A-Za-z_]\w*)+\b")
MADE = re.compile(r"data/|\.venv/|/(?:etc|var|tmp|dev|proc|sys|opt|usr)/|<|\{|NNNN|FOLDER|\bkafka-[\w-]+\.sh|\bkeys\.json")
"""What a run of Sluice makes, or a machine has; and what stands for a name. `sluice.` is how metrics begin, too."""
ELSEWHERE = frozenset({"remove.yaml", "export.yaml", "stages/all/", "flows/instances/", "flows/bindings/"})
"""What an example calls a file of its own; routes of the REST API."""


@cache
def there() -> tuple[frozenset[str], frozenset[str]]:
    """Files and folders of the repository, by their paths from its top."""
    files = {path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()}
    files |= {path.name for path in ROOT.iterdir() if path.is_file()}
    folders = {parent.as_posix() for one in files for parent in PurePosixPath(one).parents if parent.name}
    return frozenset(files), frozenset(folders)


@cache
def ends(which: int) -> frozenset[str]:
    """Every end of such a path: a reader finds `sessions/worker.py` and `worker.py` too."""
    return frozenset("/".join(parts[n:]) for one in there()[which] if (parts := one.split("/")) for n in range(len(parts)))


def missing(text: str) -> Iterator[str]:
    """What it names and is not there."""
    for quoted in re.findall(r"`([^`\n]+)`", text):
        if "://" in quoted or MADE.search(quoted):
            continue
        yield from (one for one in FILE.findall(quoted) if one not in ELSEWHERE and not _is_file(one.removeprefix("./")))
        yield from (one for one in FOLDER.findall(quoted) if one not in ELSEWHERE and one.strip("/") not in ends(1))
        yield from (one for one in MODULE.findall(quoted) if not _is_module(one))


def _is_file(name: str) -> bool:
    if name.startswith("../"):
        name = name.rpartition("../")[2]
    return name in ends(0) or ("*" in name and any(fnmatch(one, name) for one in ends(0)))


def _is_module(name: str) -> bool:
    """A module, or something that is defined in one."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        path = "/".join(parts[:n])
        if f"{path}.py" in there()[0]:
            return n == len(parts) or _defines(f"{path}.py", parts[n])
        if path in there()[1]:
            return n == len(parts) or (f"{path}/__init__.py" in there()[0] and _defines(f"{path}/__init__.py", parts[n]))
    return False


@cache
def _defines(path: str, name: str) -> bool:
    """Whether the module has it made there or imported."""
    tree = ast.parse((ROOT / path).read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}
    return name in names | {
        alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }


def _told(source: Path) -> str:
    """Comments and docstrings."""
    text = source.read_text()
    if "`" not in text:
        return ""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    strings = [
        node.value.value for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]  # fmt: skip
    return "\n".join((*comments, *strings))


@pytest.mark.parametrize(
    "text",
    ["`services/executor/sessions/opening.py`", "`advance.py`", "see `services.executor.application.owner`", "`services/executor/adapters/`",
     "`shared.contracts.steps.Nothing`", "`tests/unit/nowhere/*.py`", "run `python -m tests.bench.nothing --short`"],
)  # fmt: skip
def test_what_is_gone_is_found(text: str) -> None:
    assert list(missing(text))


@pytest.mark.parametrize(
    "text",
    ["`worker.py`", "`sessions/worker.py`", "`services/executor/edge/`", "`shared.contracts.steps.View`", "`python -m tests.bench.takeover`",
     "`tests/unit/decisions/stages/test_<type>.py`", "`data/cluster/*.log`", "`/if/flow/login/`", "`services.executor.bootstrap`"],
)  # fmt: skip
def test_what_is_there_is_found(text: str) -> None:
    assert list(missing(text)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    assert list(missing(page.read_text())) == []


def test_what_comments_and_docstrings_name_is_there() -> None:
    assert {(str(path.relative_to(ROOT)), one) for path in SOURCES for one in missing(_told(path))} == set()
