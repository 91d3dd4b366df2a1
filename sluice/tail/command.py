"""`sluice tail`, from its options to its exit code."""

import os
import sys
from collections import deque

from shared.messaging.log import Record
from shared.runtime import process
from shared.runtime.settings import CommonSettings
from sluice.configuration import read
from sluice.tail import sources
from sluice.tail.entries import Entries
from sluice.tail.lines import for_people, for_programs


def tail(topic: str, *, follow: bool, newest: int | None, as_json: bool) -> int:
    """Print the newest events of a topic (None: all), and go on if wanted. The exit code.

    Of a topic always all is read: which transitions count cannot be told from the middle of a session.
    """
    settings = read(CommonSettings)
    line = for_programs if as_json else for_people

    async def main() -> None:
        async with sources.opened(settings, topic) as log:
            entries = Entries(topic)

            def lines(record: Record) -> list[str]:
                return [line(entry) for entry in entries.of(record)]

            ends = await sources.ends_of(log, topic)
            kept: deque[str] = deque(maxlen=newest)
            async for record in sources.history(log, topic, ends):
                kept.extend(lines(record))
                if newest is None:
                    _write(kept)
            _write(kept)
            if follow:
                async for record in sources.following(log, topic, ends):
                    _write(deque(lines(record)))

    try:
        return process.run(main)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return process.STOPPED


def _write(lines: deque[str]) -> None:
    """Print the lines and forget them; at once, for `tail -f` is often read by another program."""
    if lines:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        lines.clear()
