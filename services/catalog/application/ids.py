"""New ids of definitions."""

import secrets
from uuid import UUID

from shared.kernel.ids import Entropy


def new_pk(entropy: Entropy = secrets.token_bytes) -> str:
    """A random UUID (RFC 9562 version 4), in lower case: what authentik's API calls a pk."""
    return str(UUID(bytes=entropy(16), version=4))
