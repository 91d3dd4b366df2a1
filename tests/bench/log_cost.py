"""What a record costs on the embedded log: CPU of the whole process per record, written and delivered to one group.

`python -m tests.bench.log_cost` prints a Markdown table. A record is 600 bytes with ten headers, as a transition's are.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.contracts.topics import SESSIONS, STEPS, TOPICS
from shared.messaging.embedded.log import EmbeddedLog
from shared.messaging.log import Message, Record

RECORDS = 6_000
HEADERS = tuple((f"ce_header{n}", b"0123456789abcdef") for n in range(10))
WRITERS = (1, 16, 64)


@dataclass
class Counter:
    """A member that only counts."""

    wanted: int
    seen: int = 0

    def __post_init__(self) -> None:
        self.complete = asyncio.Event()

    async def halted(self) -> None:
        pass

    async def kept(self, partitions: frozenset[int]) -> None:
        pass

    async def assigned(self, partitions: frozenset[int]) -> None:
        pass

    async def handle(self, records: Sequence[Record]) -> None:
        self.seen += len(records)
        if self.seen == self.wanted:
            self.complete.set()


async def measure(path: Path | None, topic: str, writers: int) -> tuple[float, float]:
    """CPU and elapsed microseconds per record."""
    log = await EmbeddedLog.open(TOPICS, path)
    member = Counter(RECORDS // writers * writers)
    membership = await log.join("bench", [topic], member)
    await asyncio.sleep(0.05)

    async def write(number: int) -> None:
        for n in range(RECORDS // writers):
            await log.append(Message(topic, (number + n) % 12, b"07.3q2-7wAAAAAAAAAAAAAAAA", b"v" * 600, HEADERS))

    cpu, wall = time.process_time(), time.monotonic()
    await asyncio.gather(*map(write, range(writers)))
    await member.complete.wait()
    spent = ((time.process_time() - cpu) / member.wanted * 1e6, (time.monotonic() - wall) / member.wanted * 1e6)
    await membership.leave()
    await log.close()
    return spent


async def main() -> None:
    """Every log and number of writers, the best of three: other processes only ever add."""
    print("| log | topic | writers | CPU us a record | elapsed us a record |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, topic, stored in (("memory", SESSIONS, False), ("SQLite, kept <= 1 h", STEPS, True), ("SQLite, stored", SESSIONS, True)):
            for writers in WRITERS:
                runs = [await measure(Path(folder, f"{writers}-{topic}-{run}.db") if stored else None, topic, writers) for run in range(3)]
                cpu, wall = min(runs)
                print(f"| {name} | {topic} | {writers} | {cpu:.0f} | {wall:.0f} |")


if __name__ == "__main__":
    asyncio.run(main())
