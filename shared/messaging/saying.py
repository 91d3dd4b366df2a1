"""What a service says because of a record: in the partition, and under the key, of what caused it."""

from shared.contracts.codec import encode
from shared.contracts.envelope import Envelope
from shared.contracts.model import Contract
from shared.kernel.clock import Clock
from shared.messaging.log import Log, Message, TopicPartition


async def say(
    log: Log, clock: Clock, place: TopicPartition, cause: Envelope, source: str, identity: str, body: Contract, traceparent: str | None
) -> None:
    """Append `body`, which `cause` made `source` say. An `identity` derived from the cause's makes it the same when it is said again.

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
    headers, value = encode(envelope, body)
    await log.append(Message(*place, cause.subject.encode(), value, headers))
