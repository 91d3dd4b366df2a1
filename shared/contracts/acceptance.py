"""The version-and-parent rule for whoever reads `executor.sessions`: which transitions count (architecture §4.2).

A transition is accepted only if it follows the last accepted one by version **and** names it as its parent. The
version alone is not enough: a paused former owner and its successor could splice two histories. What does not decode is no
transition: decode first, then ask.
"""

from shared.contracts.envelope import Envelope


def follows(version: int, head: str, envelope: Envelope) -> bool:
    """The rule itself: does this transition continue a session that stands at this version, with this head?"""
    return envelope.subject_version == version + 1 and (envelope.parent or "") == head


class AcceptedTransitions:
    """The rule, kept up for every session of a partition that is read from some offset on, in order.

    A session that is met in its middle (retention took its beginning) counts from the first transition that is seen.
    """

    def __init__(self) -> None:
        self._heads: dict[str, tuple[int, str]] = {}

    def accepts(self, envelope: Envelope) -> bool:
        """Whether this transition, the next one read, counts."""
        version, head = self._heads.get(envelope.subject) or self._before(envelope)
        if not follows(version, head, envelope):
            return False
        self._heads[envelope.subject] = (version + 1, envelope.id)
        return True

    @staticmethod
    def _before(envelope: Envelope) -> tuple[int, str]:
        return (envelope.subject_version or 1) - 1, envelope.parent or ""
