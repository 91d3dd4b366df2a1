"""Every way out of every stage type is told in a sentence: a new type, or a new way, without one fails here.

The sentences of a type stand in `stages/test_<type>.py`. They are run while Python says which lines of the type's file are
reached, and each `return` and `raise` in what the type decides has to be among these.
"""

import ast
import importlib
import inspect
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any, cast

import pytest

from shared.flows.registry import registry
from shared.flows.stage import Stage

TYPES = registry().stages
NOT_OF_A_RUN = {"can_prove", "spoils"}
"""What a type tells the catalog when a flow is edited."""


def source_of(kind: Stage[Any]) -> Path:
    return Path(cast("str", inspect.getsourcefile(type(kind))))


def ways_out(kind: Stage[Any]) -> dict[int, str]:
    """The lines of the type's file on which something that it decides ends, and what stands there; its configuration's checks are none."""
    text = source_of(kind).read_text()
    lines = text.splitlines()
    return {node.lineno: lines[node.lineno - 1].strip() for node in _decides(ast.parse(text).body, kind)}


def _decides(body: list[ast.stmt], kind: Stage[Any]) -> Iterator[ast.Return | ast.Raise]:
    for node in body:
        match node:
            case ast.ClassDef(name=name) if name == type(kind).__name__:
                yield from _decides(node.body, kind)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name not in NOT_OF_A_RUN:
                yield from (inner for inner in ast.walk(node) if isinstance(inner, ast.Return | ast.Raise))
            case _:
                continue


def sentences(module: ModuleType) -> Iterator[tuple[FunctionType, dict[str, Any]]]:
    """The tests of a module, each with the arguments of each of its cases."""
    for name, test in vars(module).items():
        if name.startswith("test_"):
            tables = [mark.args for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
            for rows in itertools.product(*(values for _, values in tables)):
                arguments: dict[str, Any] = {}
                for (names, _), row in zip(tables, rows, strict=True):
                    arguments |= {names: row} if isinstance(names, str) else dict(zip(names, row, strict=True))
                yield test, arguments


def reached(file: Path, module: ModuleType) -> set[int]:
    """The lines of a file that the sentences of a module come to."""
    lines: set[int] = set()

    def inside(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            lines.add(frame.f_lineno)
        return inside

    def entered(frame: FrameType, event: str, _: Any) -> Any:
        return inside if frame.f_code.co_filename == str(file) else None

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        for test, arguments in sentences(module):
            test(**arguments)
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize("name", TYPES)
def test_every_way_out_of_a_stage_type_is_told(name: str) -> None:
    module = importlib.import_module(f"tests.unit.decisions.stages.test_{name}")
    found, ways = reached(source_of(TYPES[name]), module), ways_out(TYPES[name])
    assert ways
    assert {line: way for line, way in ways.items() if line not in found} == {}


def test_there_are_sentences_of_no_other_type() -> None:
    told = {path.stem.removeprefix("test_") for path in (Path(__file__).parent / "stages").glob("test_*.py")}
    assert told == set(TYPES)
