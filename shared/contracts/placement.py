"""Whether a record of a session-keyed topic lies where its session belongs."""

from shared.contracts.errors import BadKey
from shared.kernel.ids import partition_of


def check_session(session: str, subject: str, partition: int) -> None:
    """`BadKey` unless key, body and partition agree: `session` is the body's, `subject` the envelope's (and the key)."""
    if session != subject:
        raise BadKey("the key is of another session")
    try:
        home = partition_of(session)
    except ValueError:
        raise BadKey("not a session id") from None
    if home != partition:
        raise BadKey(f"belongs to partition {home}")
