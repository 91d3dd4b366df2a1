"""What a service says, as a record: `message`; and what it says because of another record: `say`."""

from shared.contracts.codec import Received, encode
from shared.contracts.envelope import Envelope
from shared.contracts.model import Contract
from shared.kernel.clock import Clock
from shared.messaging.log import Log, Message, TopicPartition


def message(place: TopicPartition, envelope: Envelope, body: Contract) -> Message:
    """The record that says this, under the key that its subject is."""
    headers, value = encode(envelope, body)
    return Message(*place, envelope.subject.encode(), value, headers, Received(envelope, body))


async def say(
    log: Log, clock: Clock, place: TopicPartition, cause: Envelope, source: str, identity: str, body: Contract, traceparent: str | None
) -> None:
    """Append `body`, which `cause` made `source` say, beside it and under its key. An `identity` derived from the cause's makes it the same when it is said again.

    Raises:
        LogUnavailable: it may or may not be in the log.
        Refused: it is too large for the topic.
    """
    envelope = Envelope(
        id=identity,
        type=body.wire_type,
        version=body.wire_version,
        source=source,
        subject=cause.subject,
        time_us=clock.now_us(),
        causation=cause.id,
        correlation=cause.correlation,
        traceparent=traceparent,
    )
    await log.append(message(place, envelope, body))
