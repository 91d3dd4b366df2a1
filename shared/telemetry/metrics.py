"""The numbers that every service gives, and the one place that writes them; without `use` they go nowhere."""

from collections.abc import Iterable, Iterator

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, NoOpMeter, Observation
from opentelemetry.metrics import _Gauge as Gauge  # public in all but its name

from shared.telemetry import names


class Metrics:
    """The instruments. Label values come from closed sets (types, topics, codes, flows), never from visitors."""

    def __init__(self, meter: Meter) -> None:
        self._step_duration = _seconds(meter, names.STEP_DURATION)
        self._queue_wait = _seconds(meter, names.QUEUE_WAIT)
        self._hash_wait = _seconds(meter, names.HASH_WAIT)
        name, unit, text = names.DEAD_LETTERS
        self._dead_letters = meter.create_counter(name, unit, text)
        name, unit, text = names.LATE_STATES
        self._late_states = meter.create_counter(name, unit, text)
        name, unit, text = names.LOG_LOST
        self._log_lost = meter.create_counter(name, unit, text)
        name, unit, text = names.OPEN_RUNS
        self._open_runs = meter.create_up_down_counter(name, unit, text)
        name, unit, text = names.CONSUMER_LAG
        meter.create_observable_gauge(name, [self._lags], unit, text)
        self._lag: dict[tuple[str, str, int], int] = {}
        name, unit, text = names.SET_ASIDE
        meter.create_observable_gauge(name, [self._asides], unit, text)
        self._aside: dict[tuple[str, int], int] = {}
        self._clock_skew = _gauge(meter, names.CLOCK_SKEW)
        self._outbox_age = _gauge(meter, names.OUTBOX_AGE)
        self._epoch_key_age = _gauge(meter, names.EPOCH_KEY_AGE)

    def step(self, stage: str, outcome: str, seconds: float) -> None:
        """A step was replied to. `stage` is the type of the stage that it met ("" for none), `outcome` the reply's."""
        self._step_duration.record(seconds, {names.STAGE_TYPE: stage, names.STEP_OUTCOME: outcome})

    def queue_wait(self, topic: str, seconds: float) -> None:
        """A record of this topic lay so long before anybody worked on it (two machines' clocks: never below zero)."""
        self._queue_wait.record(max(seconds, 0.0), {names.DESTINATION: topic})

    def hash_wait(self, seconds: float) -> None:
        """A password waited so long for a free hash worker."""
        self._hash_wait.record(seconds)

    def dead_letter(self, topic: str, reason: str) -> None:
        """A record of this topic could not be handled; `reason` is an error's code."""
        self._dead_letters.add(1, {names.DESTINATION: topic, names.DEAD_LETTER_REASON: reason})

    def late_state(self) -> None:
        """A record of a session's state stands behind a newer one."""
        self._late_states.add(1)

    def open_run(self, flow: str, change: int) -> None:
        """So many more runs of this flow (its slug, which administrators chose) are open."""
        self._open_runs.add(change, {names.FLOW: flow})

    def clock_skew(self, ahead_s: float) -> None:
        """This machine's clock is so far ahead of the broker's, at least; negative: behind."""
        self._clock_skew.set(ahead_s)

    def outbox_age(self, schema: str, seconds: float) -> None:
        """The oldest record in this schema's outbox waits for so long."""
        self._outbox_age.set(seconds, {names.SCHEMA: schema})

    def epoch_key_age(self, role: str, seconds: float) -> None:
        """The newest epoch key that this role (`edge`, `worker`) knows is so old."""
        self._epoch_key_age.set(seconds, {names.ROLE: role})

    def lag(self, group: str, topic: str, partition: int, records: int) -> None:
        """So many records of this partition are not done yet."""
        self._lag[group, topic, partition] = records

    def forget_lag(self, group: str, partitions: Iterable[int]) -> None:
        """These partitions are somebody else's now: a number that nobody keeps up would lie."""
        gone = frozenset(partitions)
        self._lag = {place: records for place, records in self._lag.items() if place[0] != group or place[2] not in gone}

    def log_lost(self, topic: str, partition: int) -> None:
        """This partition does not reach as far any more as it did."""
        self._log_lost.add(1, {names.DESTINATION: topic, names.PARTITION: str(partition)})

    def set_aside(self, topic: str, partition: int, offset: int | None) -> None:
        """This partition is set aside, for what was known of it at this offset; None: not any more, or not here."""
        if offset is None:
            self._aside.pop((topic, partition), None)
        else:
            self._aside[topic, partition] = offset

    def _asides(self, _: CallbackOptions) -> Iterator[Observation]:
        for (topic, partition), offset in list(self._aside.items()):
            yield Observation(1, {names.DESTINATION: topic, names.PARTITION: str(partition), names.OFFSET: offset})

    def _lags(self, _: CallbackOptions) -> Iterator[Observation]:
        for (group, topic, partition), records in list(self._lag.items()):
            yield Observation(records, {names.GROUP: group, names.DESTINATION: topic, names.PARTITION: str(partition)})


def _gauge(meter: Meter, what: tuple[str, str, str]) -> Gauge:
    name, unit, text = what
    return meter.create_gauge(name, unit, text)


def _seconds(meter: Meter, what: tuple[str, str, str]) -> Histogram:
    name, unit, text = what
    return meter.create_histogram(name, unit, text, explicit_bucket_boundaries_advisory=names.DURATION_BUCKETS)


_metrics = Metrics(NoOpMeter("none"))


def metrics() -> Metrics:
    """The instruments of this process."""
    return _metrics


def count_dead_letter(topic: str, reason: str) -> None:
    """For `DeadLetters(counted=...)`: counts with the instruments of the moment, whenever telemetry was set up."""
    _metrics.dead_letter(topic, reason)


def count_log_lost(topic: str, partition: int) -> None:
    """For `LogEnds(told=...)`, as above."""
    _metrics.log_lost(topic, partition)


def use(meter: Meter | None) -> None:
    """Record with this meter from now on; None: nowhere."""
    global _metrics
    _metrics = Metrics(meter or NoOpMeter("none"))
