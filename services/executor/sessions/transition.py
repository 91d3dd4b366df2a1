"""A transition ready to be written, made once of what was decided: its id, its bytes, and the session that it leaves."""

import hashlib
from dataclasses import dataclass

from services.executor.sessions.session import concluded, evolve, packed, too_large
from shared.contracts import wire
from shared.contracts.envelope import Envelope
from shared.contracts.sessions import SessionAdvanced
from shared.contracts.states import SessionState
from shared.kernel.ids import derived_id
from shared.telemetry.propagation import current_traceparent


@dataclass(frozen=True, slots=True)
class Transition:
    """A transition ready to be written: who says it, what, and the bytes of that, made once. `after` is the session that it leaves, and
    `packed` that one's bytes: for its size, to hold and to write. That the base of it still stands when it is accepted, its parent says."""

    envelope: Envelope
    body: SessionAdvanced
    value: bytes
    after: SessionState
    packed: bytes

    @property
    def too_large(self) -> bool:
        """Whether the session would outgrow what is held of one."""
        return too_large(self.after, len(self.packed))


def written(secret_key: bytes, on: SessionState, body: SessionAdvanced, applied: SessionState | None = None) -> Transition:
    """The transition that this content makes of a session. Its id covers its content, so that one id never stands for two
    decisions (ADR 3). `applied`: the session with the events applied, where the decision has done so."""
    value = wire.pack(body.model_dump())
    version, content = on.version + 1, hashlib.sha256(value).hexdigest()
    envelope = Envelope(
        id=derived_id(secret_key, body.session, version, on.head, content), type=body.wire_type, version=body.wire_version,
        source="executor", subject=body.session, time_us=body.at_us, subject_version=version, parent=on.head or None,
        causation=body.command, correlation=body.session, traceparent=current_traceparent(),
    )  # fmt: skip
    after = evolve(on, envelope, body) if applied is None else concluded(applied, envelope, body)
    return Transition(envelope, body, value, after, packed(after))
