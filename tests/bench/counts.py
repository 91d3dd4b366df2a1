"""What a login makes the services do, counted: `python -m tests.bench.counts` (`--write`: into docs/performance.md), and at the end of `make bench`.

CPU changes with the machine and the minute; these figures change with the code alone. The four services run in this process
on a log in memory, signed as on Kafka, so that everything that crosses the border between two of them is seen.
"""

import asyncio
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import msgpack
from pydantic import BaseModel

from shared.contracts.model import Value
from tests.bench import report
from tests.signed_services import SignedServices, signed_services

DOCUMENT: Final = Path("docs/performance.md")
BEGIN: Final = "<!-- counts: begin -->"
END: Final = "<!-- counts: end -->"
LOGINS: Final = 20
BUILT, VALIDATED, DUMPED, COPIED = "models built", "models validated", "models dumped", "models copied"
PACKS, UNPACKS, RECORDS = "msgpack packs", "msgpack unpacks", "records"
SHOWN: Final = (BUILT, VALIDATED, DUMPED, COPIED, PACKS, UNPACKS, "signatures", "verifications", "MACs", RECORDS)
PAUSE_S: Final = 1.0
"""Longer than the worker puts off what it need not write at once."""


@contextmanager
def counted(seen: Counter[str]) -> Iterator[None]:
    """Count what goes through pydantic's doors and msgpack's; a model inside a model counts with the outer one."""
    doors = (
        (BaseModel, "__init__", BUILT), (BaseModel, "model_dump", DUMPED), (Value, "model_copy", COPIED),
        (msgpack, "packb", PACKS), (msgpack, "unpackb", UNPACKS),
    )  # fmt: skip
    validate: Any = BaseModel.model_validate.__func__  # type: ignore[attr-defined]
    with ExitStack() as stack:
        for owner, name, what in doors:
            stack.enter_context(patch.object(owner, name, _counting(getattr(owner, name), seen, what)))
        stack.enter_context(patch.object(BaseModel, "model_validate", classmethod(_counting(validate, seen, VALIDATED))))
        yield


def _counting(function: Callable[..., Any], seen: Counter[str], what: str) -> Callable[..., Any]:
    def through(*args: Any, **named: Any) -> Any:
        seen[what] += 1
        return function(*args, **named)

    return through


async def measured(services: SignedServices, logins: int = LOGINS) -> Mapping[str, float]:
    """By what is counted, so many a login; of records by topic, and all together."""
    await services.log_in()
    await asyncio.sleep(PAUSE_S)
    with counted(services.seen):
        services.seen.clear()
        for _ in range(logins):
            if (came := await services.log_in()) != "xak-flow-redirect":
                raise SystemExit(f"a login ended at {came}")
        await asyncio.sleep(PAUSE_S)
        found = {what: count / logins for what, count in services.seen.items()}
    return found | {RECORDS: sum(count for what, count in found.items() if what.startswith("records of "))}


def table(found: Mapping[str, float]) -> str:
    """The figures as a table for people."""
    cells = [f"{found.get(what, 0):.0f}" for what in SHOWN]
    return f"| {' | '.join(SHOWN)} |\n|{' --- |' * len(SHOWN)}\n| {' | '.join(cells)} |"


def by_topic(found: Mapping[str, float]) -> str:
    """How many records go to which topic."""
    named = {what.removeprefix("records of "): count for what, count in sorted(found.items()) if what.startswith("records of ")}
    return "Records: " + ", ".join(f"{topic} {count:.1f}" for topic, count in named.items() if count >= 0.05) + "."


async def _measured() -> Mapping[str, float]:
    with patch.dict(os.environ, {"SLUICE_TEST": "1"}), tempfile.TemporaryDirectory(prefix="sluice-counts") as folder:
        async with signed_services(Path(folder)) as services:
            return await measured(services)


def main(*, write: bool = False) -> None:
    """Count and print; `write`: into docs/performance.md as well."""
    found = asyncio.run(_measured())
    told = f"{table(found)}\n\n{by_topic(found)}"
    print(told, flush=True)
    if write:
        report.put(DOCUMENT, BEGIN, END, f"{BEGIN}\n{told}\n{END}")


if __name__ == "__main__":
    main(write="--write" in sys.argv[1:])
