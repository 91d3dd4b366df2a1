"""The pool of worker processes, its limits, and what their deaths and refusals mean.

A thread per worker drives it: the library's asynchronous side costs three times the CPU, and this is on the login path
(0.3 ms with it, 0.1 without). Every evaluation gets a fresh session, so nothing is carried from one to the next.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic_monty import (
    CollectString,
    Monty,
    MontyConversionError,
    MontyCrashedError,
    MontyError,
    MontySyntaxError,
    OSPolicy,
    ResourceLimits,
)

from services.policy.adapters.sandbox import second_wall
from services.policy.adapters.sandbox.facts import address, inputs, network
from services.policy.adapters.sandbox.program import Program, compiled
from services.policy.adapters.sandbox.scope import FLOOD, MAX_MESSAGES, OUTPUT_BYTES
from services.policy.adapters.sandbox.walls.process import keep_others_out
from services.policy.application.ports import Moment
from shared.contracts.policy import Facts
from shared.flows.expression import BadExpression
from shared.flows.policy import Decision, PolicyError

MAX_DEPTH: Final = 64
MAX_HOST_CALLS: Final = 8
CHECKOUT_S: Final = 1.0
"""How long an evaluation may wait for a worker: one that was killed is being replaced."""
GRACE_S: Final = 0.1
"""How long after its limit a worker that does not stop by itself is killed."""
STARVED_S: Final = 2.0
"""How much longer a worker may take for one exchange on a machine that gives it no time, before it counts as dead."""
RECYCLED_AFTER: Final = 5_000
"""Evaluations after which a worker is replaced: what it may have lost of its memory comes back, and its CPU is not used up."""
_log = logging.getLogger(__name__)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LOOK_UPS: Final = {"sluice_ip": address, "sluice_net": network}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one evaluation may take: seconds of a worker, bytes of its heap."""

    seconds: float = 0.1
    memory: int = 16 * 1024 * 1024


class Workers:
    """See `Sandbox`."""

    def __init__(self, processes: int, limits: Limits) -> None:
        self._processes = processes
        self._limits = limits
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="policy-sandbox")
        self._pool: Monty | None = None

    async def start(self) -> None:
        """Start the processes and have each work once, so that the first visitor does not wait for them.

        This process itself becomes one that no other of its user can look into: it holds keys beside such neighbours.

        Raises:
            NoSandbox: the processes cannot be confined here at all, or do not work.
        """
        keep_others_out()
        loop = asyncio.get_running_loop()
        try:
            self._pool = await loop.run_in_executor(self._threads, self._opened)
            await asyncio.gather(*(loop.run_in_executor(self._threads, self._warm_up) for _ in range(self._processes)))
        except (PolicyError, RuntimeError) as failure:
            await self.stop()
            raise second_wall.NoSandbox(f"the sandbox's workers do not run behind their walls: {failure}") from None

    async def stop(self) -> None:
        """End the processes, those at work too."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.get_running_loop().run_in_executor(self._threads, pool.__exit__, None, None, None)
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def ready(self) -> bool:
        """Whether the processes are there."""
        return self._pool is not None

    async def evaluate(self, expression: str, facts: Facts, moment: Moment, timeout_s: float) -> Decision:
        """See `Sandbox.evaluate`."""
        try:
            program = compiled(expression)
        except BadExpression as refused:
            raise PolicyError("syntax", str(refused)) from None
        given = inputs(facts, program)
        limit_s = max(min(self._limits.seconds, timeout_s), 0.001)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, program, given, moment, limit_s)

    def _opened(self) -> Monty:
        pool = Monty(
            binary_path=second_wall.checked(),
            min_processes=self._processes,
            max_processes=self._processes,
            checkout_timeout=CHECKOUT_S,
            request_timeout=self._limits.seconds + STARVED_S,
            feed_duration_limit_grace=GRACE_S,
            turn_duration_limit_grace=GRACE_S,
            max_checkouts_per_worker=RECYCLED_AFTER,
        )
        return pool.__enter__()

    def _warm_up(self) -> None:
        self._run(compiled("return True"), {}, Moment(0, "warm"), STARVED_S)

    def _run(self, program: Program, given: dict[str, Any], moment: Moment, limit_s: float) -> Decision:
        if self._pool is None:
            raise PolicyError("unavailable", "the workers are not running")
        try:
            with self._pool.checkout(limits=self._resources(limit_s), os_policy=_world(moment)) as session:
                value = session.feed_run(program.text, inputs=given, external_lookup=_LOOK_UPS, print_callback=CollectString(OUTPUT_BYTES))
        except MontyError as failure:
            raise _reason(failure) from None
        except TimeoutError:
            raise PolicyError("unavailable", "no worker was free") from None
        except BaseException as failure:  # noqa: BLE001 -- a panic of the library is none of Exception, and must cost this verdict alone
            _log.exception("the sandbox's library failed")
            raise PolicyError("crash", type(failure).__name__) from None
        return _decision(value)

    def _resources(self, limit_s: float) -> ResourceLimits:
        return ResourceLimits(
            max_feed_duration_secs=limit_s,
            max_memory=self._limits.memory,
            max_recursion_depth=MAX_DEPTH,
            max_suspensions=MAX_HOST_CALLS,
            max_total_sleep_secs=0.0,
        )


def _world(moment: Moment) -> OSPolicy:
    """A clock that stands still and a die that is cast: the same question comes to the same verdict."""
    return OSPolicy(
        datetime=_EPOCH + timedelta(microseconds=moment.at_us), timezone="utc", sleep="zero", random_start={"seed": moment.seed}
    )


def _reason(failure: MontyError) -> PolicyError:
    text = str(failure)
    if isinstance(failure, MontyCrashedError):
        return PolicyError("timeout" if failure.timed_out else "crash", text)
    if isinstance(failure, MontySyntaxError):
        return PolicyError("syntax", text)
    if isinstance(failure, MontyConversionError):
        return PolicyError("invalid_result", text)
    match failure.exception():
        case TimeoutError():
            return PolicyError("timeout", text)
        case MemoryError():
            return PolicyError("output" if text.endswith(FLOOD) else "memory", text)
        case _:
            return PolicyError("exception", text)


def _decision(value: Any) -> Decision:
    match value:
        case (bool(), list(said)) if None in said:
            raise PolicyError("output", FLOOD)
        case (bool(passing), list(said)) if all(isinstance(text, str) for text in said):
            pass
        case _:
            raise PolicyError("invalid_result", "the program did not end as it was written")
    if sum(len(text.encode(errors="replace")) for text in said) > OUTPUT_BYTES or len(said) > MAX_MESSAGES:
        raise PolicyError("output", f"more than {OUTPUT_BYTES} bytes of messages")
    return Decision(passing, tuple(_shown(text) for text in said))


def _shown(text: str) -> str:
    # What the wire refuses in a text would lose the whole verdict.
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")[:4096]
