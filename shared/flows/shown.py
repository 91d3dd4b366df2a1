"""Whose name a visitor is shown: what was typed until somebody has proved to be whom it stands for (docs/security.md).

`pending_user_identifier` has authentik's meaning: what was typed is shown for good, as `show_matched_user` asks. `TYPED` is
ours and holds only until a proof: before it, the spelling of a stored name, the name behind an address, and whether there is
anybody at all, are nobody's business. Pages, denials and titles ask here.
"""

from collections.abc import Mapping
from typing import Any, Final

from shared.contracts.people import UserFacts

IDENTIFIER: Final = "pending_user_identifier"
TYPED: Final = "pending_user_typed"


def person_of(context: Mapping[str, Any], pending: UserFacts | None, visitor: UserFacts | None) -> str:
    """The name to show in a run with this context about this user, at a browser where that one is logged in; "" for nobody."""
    identifier, typed = context.get(IDENTIFIER), context.get(TYPED)
    if isinstance(identifier, str):
        return identifier
    if pending is None:
        return visitor.username if visitor else ""
    if isinstance(typed, str) and not pending.backend:
        return typed
    return pending.username
