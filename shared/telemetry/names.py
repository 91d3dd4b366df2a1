"""Every span, metric, attribute and logger name that leaves a Sluice process, in one file, because the messaging
conventions of OpenTelemetry still move (semantic conventions 1.44, messaging: Development).

Span names are `{operation} {destination}`: `send executor.steps`, `process executor.steps`. Prometheus shows metric
names with `_` for `.` and with the unit: `sluice_step_duration_seconds`.
"""

from typing import Final

from opentelemetry.semconv._incubating.attributes import messaging_attributes as messaging
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.semconv.schemas import Schemas

SCHEMA_URL: Final = Schemas.V1_44_0.value
SCOPE: Final = "sluice"

# Operations of messaging spans.
SEND: Final = "send"
PROCESS: Final = "process"
KAFKA: Final = "kafka"

# Attributes of messaging spans. Keys and ids only: never a body, never a name that somebody typed.
SYSTEM: Final = messaging.MESSAGING_SYSTEM
OPERATION_NAME: Final = messaging.MESSAGING_OPERATION_NAME
OPERATION_TYPE: Final = messaging.MESSAGING_OPERATION_TYPE
DESTINATION: Final = messaging.MESSAGING_DESTINATION_NAME
PARTITION: Final = messaging.MESSAGING_DESTINATION_PARTITION_ID
GROUP: Final = messaging.MESSAGING_CONSUMER_GROUP_NAME
OFFSET: Final = messaging.MESSAGING_KAFKA_OFFSET
KEY: Final = messaging.MESSAGING_KAFKA_MESSAGE_KEY
MESSAGE_ID: Final = messaging.MESSAGING_MESSAGE_ID
CONVERSATION: Final = messaging.MESSAGING_MESSAGE_CONVERSATION_ID
ERROR_TYPE: Final = error_attributes.ERROR_TYPE

# Our own attributes.
MESSAGE_TYPE: Final = "sluice.message.type"
STAGE_TYPE: Final = "sluice.stage.type"
FLOW: Final = "sluice.flow"
SCHEMA: Final = "sluice.schema"
ROLE: Final = "sluice.role"
STEP_OUTCOME: Final = "sluice.step.outcome"
DEAD_LETTER_REASON: Final = "sluice.dead_letter.reason"

# Metrics: name, unit (UCUM), what it says.
STEP_DURATION: Final = ("sluice.step.duration", "s", "From taking a step to its reply, by type of the stage and outcome")
QUEUE_WAIT: Final = ("sluice.queue.wait", "s", "From writing a record to working on it, by topic")
HASH_WAIT: Final = ("sluice.hash.wait", "s", "From asking for a password's hash to its start")
CONSUMER_LAG: Final = ("sluice.consumer.lag", "{record}", "Records of a partition that are not done yet, by group and topic")
OPEN_RUNS: Final = ("sluice.runs.open", "{run}", "Runs that are open in this worker's sessions, by flow")
CLOCK_SKEW: Final = ("sluice.clock.skew", "s", "How far this machine's clock is ahead of the broker's, at least; negative: behind")
LATE_STATES: Final = ("sluice.states.late", "{record}", "States that an owner wrote after its successor's newer one, found at a takeover")
DEAD_LETTERS: Final = ("sluice.dead_letters", "{record}", "Records that could not be handled, by topic and reason")
SET_ASIDE: Final = ("sluice.partitions.set_aside", "{partition}", "1 for each partition that this worker holds set aside, by its offset")
LOG_LOST: Final = ("sluice.log.lost", "{loss}", "Partitions of the log that were found to have lost records, by topic and partition")

OUTBOX_AGE: Final = ("sluice.outbox.age", "s", "Since the oldest record that waits in PostgreSQL to be published was committed, at most")
EPOCH_KEY_AGE: Final = ("sluice.epoch_key.age", "s", "Since the newest key that answers are sealed to was made, as this role knows it")

DURATION_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
"""Seconds: the goals of a step (p50 15 ms, p99 60 ms), the time-outs (1, 1.5, 2 s) and a step's deadline are inside."""

# Loggers: ordinary ones are module names.
SECURITY_LOGGER: Final = "security"
SPAN_LOGGER: Final = "telemetry.span"
