"""One service as a process of its own, on Kafka: what production runs (architecture §7)."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar, cast

from shared.contracts.topics import TOPICS
from shared.contracts.writers import Service as Writer
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.errors import told
from shared.kernel.service import Service, StartOver
from shared.kernel.variables import Misconfigured, variable
from shared.messaging.kafka.brokers import Brokers
from shared.messaging.log import Log
from shared.messaging.proved import ProvedLog
from shared.runtime import process
from shared.runtime.addresses import refuse_taken
from shared.runtime.environment import load, unknown_variables
from shared.runtime.listener import Listener
from shared.runtime.own_key import OwnKey
from shared.runtime.proving import proofs_of
from shared.runtime.settings import CommonSettings
from shared.runtime.telemetry import ProcessTelemetry
from shared.runtime.waiting import Waiting
from shared.telemetry.metrics import metrics

S = TypeVar("S", bound=CommonSettings)
Build = Callable[[S, Log, Clock], Awaitable[Service]]


def main(name: str, model: type[S], build: Build[S]) -> int:
    """Run the service with the settings of the environment; the exit code, 2 if they are wrong.

    Variables that this service does not know may be another's (one environment for all), so they are only warned
    about; `sluice run`, which knows all services, refuses what none of them has.
    """
    try:
        settings = load(model)
    except Misconfigured as error:
        process.say(told(error))
        return process.REFUSED
    for warning in unknown_variables([model]):
        process.say(f"{warning} ({name} ignores it)")
    return run(name, settings, build)


def run(name: str, settings: S, build: Build[S]) -> int:
    """Run the service until a signal comes or it fails; the exit code."""
    brokers = settings.brokers()
    if brokers is None:
        return refused(name)
    return process.run(lambda: _serve(name, settings, brokers, build))


def refused(name: str) -> int:
    """Say that the service does not run without Kafka; the exit code."""
    process.say(f"{variable('kafka')} is not set: {name} runs on Kafka; on a machine without it, `sluice up` starts everything")
    return process.REFUSED


async def _serve(name: str, settings: S, brokers: Brokers, build: Build[S]) -> None:
    proofs_of(name, settings, SystemClock())  # what is wrong with keys is said before anything else
    refuse_taken(settings)
    async with AsyncExitStack() as stack:
        await process.started(stack, ProcessTelemetry(name, settings))
        while True:
            try:
                return await _serve_with(name, settings, brokers, build)
            except StartOver as over:
                settings = over.settings


async def _serve_with(name: str, settings: S, brokers: Brokers, build: Build[S]) -> None:
    from shared.messaging.kafka.log import KafkaLog  # aiokafka costs a third of a second, which settings errors need not wait for

    clock = SystemClock()
    proofs = proofs_of(name, settings, clock)
    async with AsyncExitStack() as stack:
        kafka = KafkaLog(brokers, TOPICS, clock, lambda ahead_s: metrics().clock_skew(ahead_s))
        stack.push_async_callback(kafka.close)
        service = await build(settings, ProvedLog(kafka, proofs), clock)
        process.stopped_with(stack, service)
        own_key = OwnKey(cast("Writer", name), proofs, clock)
        await process.started(stack, own_key)
        waiting = Waiting({"kafka": kafka.reach, **service.needs()})
        listener = Listener([service, own_key], settings, clock, waiting.readiness)
        await process.started(stack, listener)  # from here on it tells what it waits for
        process.drained_with(stack, listener.drain)
        await waiting.until_there()
        await service.start()
        process.settle()
        await process.until_failure([service, own_key])
