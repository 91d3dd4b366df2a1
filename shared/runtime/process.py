"""A process from its first line to its exit code: signals, what is started in order and stopped in the reverse one.

`run` turns SIGINT and SIGTERM into one cancellation, whatever is being done then, start included; everything on the
`AsyncExitStack` is then let go of. A service or server that ends by itself ends the process, with code 1.
"""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, Protocol

import uvloop

from shared.kernel.errors import SluiceError, told
from shared.kernel.service import Service
from shared.kernel.terminal import shown_lines
from shared.kernel.variables import Misconfigured

STOPPED: Final = 0
FAILED: Final = 1
REFUSED: Final = 2
WATCH_S: Final = 0.25
STOP_S: Final = 15.0  # for each part; PostgreSQL itself needs up to 10

_log = logging.getLogger(__name__)

Main = Callable[[], Coroutine[Any, Any, None]]


class ServiceEnded(SluiceError):
    """A part of the process stopped by itself, which it never should."""

    code = "E_SERVICE_ENDED"


class Part(Protocol):
    """Something that is started and stopped with the process."""

    async def start(self) -> None: ...  # noqa: D102
    async def stop(self) -> None: ...  # noqa: D102


def run(main: Main) -> int:
    """Run until it returns or a signal comes; the exit code: 0 stopped, 1 failed, 2 refused to start.

    An error of ours is told in one line on standard error; any other is a mistake and keeps its traceback.
    """
    try:
        uvloop.run(_until_signalled(main))  # an eighth less CPU a login than asyncio's own loop, measured
    except SluiceError as error:
        say(told(error))
        return REFUSED if isinstance(error, Misconfigured) else FAILED
    return STOPPED


def say(text: str) -> None:
    """A line for people on standard error."""
    sys.stderr.write(f"{shown_lines(text)}\n")
    sys.stderr.flush()


async def _until_signalled(main: Main) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(main(), name="main")
    signalled = False

    def stop(number: signal.Signals) -> None:
        nonlocal signalled
        if not signalled:  # a second Ctrl-C must not cut the stopping short: PostgreSQL would be left behind
            signalled = True
            say(f"sluice: stopping ({number.name})")
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not signalled:
            raise


async def started(stack: AsyncExitStack, part: Part) -> None:
    """Start a part and see to it that it is stopped with the stack, also when its start fails half-way."""
    stopped_with(stack, part)
    await part.start()


def stopped_with(stack: AsyncExitStack, part: Part) -> None:
    """See to it that a part that is started later, or never, is stopped with the stack."""
    stack.push_async_callback(_bounded, part.stop)


def drained_with(stack: AsyncExitStack, drain: Callable[[], Awaitable[None]]) -> None:
    """See to it that a signal is followed by this before anything is stopped; what ends by itself has nothing to wait for."""

    async def drained(kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, asyncio.CancelledError):
            await _bounded(drain)

    stack.push_async_exit(drained)


async def _bounded(stop: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(STOP_S):
        await stop()


def settle() -> None:
    """Once everything is started: what lives now lives to the end, so the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


async def until_failure(services: Sequence[Service], servers: Iterable[Awaitable[object]] = ()) -> None:
    """Wait for ever; `ServiceEnded` as soon as a service has failed or one of the servers has ended."""
    waits = [asyncio.ensure_future(server) for server in servers]
    try:
        while True:
            refuse_failed(services)
            if any(wait.done() for wait in waits):
                raise ServiceEnded("PostgreSQL ended by itself")
            await asyncio.sleep(WATCH_S)
    finally:
        for wait in waits:
            wait.cancel()


def refuse_failed(services: Sequence[Service]) -> None:
    """`ServiceEnded` if one of the services has failed."""
    for service in services:
        if service.failure is not None:
            # The whole of it goes to the log, whose formatter leaves out texts that quote visitors.
            _log.critical("%s ended by itself", service.name, exc_info=service.failure)
            raise ServiceEnded(f"{service.name} ended by itself: {type(service.failure).__qualname__}")
