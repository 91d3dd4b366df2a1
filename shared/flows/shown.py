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


def person_of(context: Mapping[str, Any], visitor: UserFacts | None) -> str:
    """The name to show in a run with this context, at a browser where this user is logged in; "" for nobody."""
    identifier, typed, pending = context.get(IDENTIFIER), context.get(TYPED), context.get("pending_user")
    if isinstance(identifier, str):
        return identifier
    if not isinstance(pending, Mapping):
        return visitor.username if visitor else ""
    if isinstance(typed, str) and not pending.get("backend"):
        return typed
    return str(pending.get("username", ""))
