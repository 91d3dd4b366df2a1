"""Who shares an identifier with somebody else: by it nobody can log in, and administrators are told.

Names are unique, addresses and UPNs need not be: two people may have one mailbox. What leads to two of them leads to neither. What
is of two kinds (a UPN that is a name) is refused now, yet may be there from before.
"""

from collections.abc import Sequence
from typing import Final

from services.executor.directory.events import user_changed
from shared.messaging.log import Message
from shared.postgres.pool import Connection

TOLD_MAX: Final = 10

# $1 the user. One row for each identifier of theirs that is somebody else's too.
_OF_USER: Final = """
SELECT u.username, mine.field, mine.identifier, array_agg(DISTINCT o.pk ORDER BY o.pk) AS others
FROM users AS u
CROSS JOIN LATERAL (VALUES ('username', username_canonical), ('email', email_canonical), ('upn', upn_canonical)) AS mine (field, identifier)
CROSS JOIN LATERAL (
    SELECT pk FROM users WHERE username_canonical = mine.identifier
    UNION ALL (SELECT pk FROM users WHERE email_canonical = mine.identifier LIMIT 50)
    UNION ALL (SELECT pk FROM users WHERE upn_canonical = mine.identifier LIMIT 50)
) AS o
WHERE u.pk = $1 AND o.pk <> u.pk GROUP BY u.username, mine.field, mine.identifier ORDER BY mine.field"""

SHARING: Final = """(
    SELECT unnest(array_agg(pk)) FROM users WHERE email_canonical IS NOT NULL GROUP BY email_canonical HAVING count(*) > 1
    UNION SELECT unnest(array_agg(pk)) FROM users WHERE upn_canonical IS NOT NULL GROUP BY upn_canonical HAVING count(*) > 1
    UNION SELECT unnest(ARRAY[a.pk, b.pk]) FROM users AS a JOIN users AS b ON a.username_canonical = b.email_canonical AND a.pk <> b.pk
    UNION SELECT unnest(ARRAY[a.pk, b.pk]) FROM users AS a JOIN users AS b ON a.username_canonical = b.upn_canonical AND a.pk <> b.pk
    UNION SELECT unnest(ARRAY[a.pk, b.pk]) FROM users AS a JOIN users AS b ON a.email_canonical = b.upn_canonical AND a.pk <> b.pk
)"""
"""The numbers of all who do; each part goes along an index."""


async def told_shared(connection: Connection, user: int, at_us: int) -> Sequence[Message]:
    """What to say of a user who was made or changed: an event for each identifier that leads to others as well."""
    rows = await connection.fetch(_OF_USER, user)
    return [
        user_changed(
            user, "identifier_shared", at_us,
            facts={"username": row["username"], "field": row["field"], "identifier": row["identifier"], "users": tuple(row["others"][:TOLD_MAX])},
        )
        for row in rows
    ]  # fmt: skip
