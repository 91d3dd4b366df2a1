"""The files: `golden/<name>.bin` has a history's records, `golden/<name>.txt` what a reader is told of it (`sluice tail`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from shared.contracts import topics, wire
from shared.messaging.log import Record
from sluice.tail.entries import Entries
from sluice.tail.lines import for_people

FOLDER: Final = Path(__file__).parent / "golden"
_LIMIT: Final = 4 * 1024 * 1024


def names() -> list[str]:
    """The histories that are kept."""
    return sorted(path.stem for path in FOLDER.glob("*.bin"))


def save(name: str, records: Sequence[Record]) -> None:
    """Keep a history."""
    FOLDER.mkdir(exist_ok=True)
    kept = tuple(
        {"topic": one.topic, "time": one.timestamp_ms, "key": one.key, "value": one.value, "headers": tuple(one.headers)} for one in records
    )
    (FOLDER / f"{name}.bin").write_bytes(wire.pack({"records": kept}))
    (FOLDER / f"{name}.txt").write_text(told(records))


def load(name: str) -> list[Record]:
    """The records of a history."""
    kept = cast("dict[str, Any]", wire.unpack((FOLDER / f"{name}.bin").read_bytes(), _LIMIT))["records"]
    return [Record(one["topic"], 3, number, one["time"], one["key"], one["value"], one["headers"]) for number, one in enumerate(kept)]


def told(records: Sequence[Record]) -> str:
    """What `sluice tail executor.sessions` says of it."""
    entries = Entries(topics.SESSIONS)
    return "".join(f"{for_people(entry)}\n" for record in records if record.topic == topics.SESSIONS for entry in entries.of(record))
