"""Who a stage was about, for its evidence: a stage completes only with a record that names a subject (architecture §4.8)."""

from typing import Final

from shared.flows.stage import Run

ANONYMOUS: Final = "anonymous"


def subject_of(run: Run) -> str:
    """The uid of the pending user, else of the visitor; `anonymous` for nobody and for a pretended user."""
    user = run.pending_user or run.visitor.user
    return user.uid if user and user.uid else ANONYMOUS
