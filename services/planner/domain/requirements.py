"""A flow's `authentication` requirement (docs/compat.md, Who may begin a flow)."""

from collections.abc import Mapping
from typing import Any, assert_never

from shared.contracts.definitions import Requirement
from shared.contracts.people import Visitor


def is_met(requirement: Requirement, visitor: Visitor, context: Mapping[str, Any]) -> bool:
    """Whether this visitor may start such a flow.

    Always asked about the visitor, never about the pending user, and never skipped because there is one (2024 did).
    `require_outpost` is met by nobody: this release knows no outposts.
    """
    match requirement:
        case "none":
            return True
        case "require_authenticated":
            return visitor.user is not None
        case "require_unauthenticated":
            return visitor.user is None
        case "require_superuser":
            return visitor.user is not None and visitor.user.is_superuser
        case "require_redirect":
            return context.get("is_redirected") is not None
        case "require_token":
            return context.get("is_restored") is not None
        case "require_outpost":
            return False
        case _:
            assert_never(requirement)
