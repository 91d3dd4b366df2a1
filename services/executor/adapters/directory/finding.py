"""Look-ups of users: one statement each, by an index on the canonical form."""

from typing import Final

from services.executor.adapters.directory.rows import FACTS, facts_of
from services.executor.domain.identifiers import canonical, looked_for, looked_for_email
from shared.contracts.people import UserFacts
from shared.flows.asks import FindUser, UserFound
from shared.postgres.pool import Database

# $1 canonical name, $2 canonical address, $3 as typed, $4 whether case counts, $5 the fields in their order. Several people
# may share an address; the one who has it longest is found, as in authentik.
_FIND: Final = f"""
SELECT {FACTS} FROM users AS u WHERE u.pk = (
    SELECT pk FROM (
        SELECT pk, array_position($5::text[], 'username') AS place FROM users
        WHERE 'username' = ANY ($5) AND username_canonical = $1::text AND (NOT $4::boolean OR username = $3::text)
        UNION ALL
        SELECT pk, array_position($5, 'email') FROM users
        WHERE 'email' = ANY ($5) AND email_canonical = $2::text AND (NOT $4 OR email = $3)
        UNION ALL
        SELECT pk, array_position($5, 'upn') FROM users
        WHERE 'upn' = ANY ($5) AND upn_canonical = $1 AND (NOT $4 OR attributes ->> 'upn' = $3)
    ) AS found ORDER BY place, pk LIMIT 1
)"""  # noqa: S608 -- constants only
_GET: Final = f"SELECT {FACTS} FROM users AS u WHERE u.pk = $1"  # noqa: S608 -- constants only
_MAX_PK: Final = 2**31 - 1


async def find_user(database: Database, ask: FindUser) -> UserFound:
    """Answer `FindUser`; a text that nobody can be called is answered without PostgreSQL."""
    name = looked_for(ask.value)
    if name is None or not ask.fields:
        return UserFound(user=None, identifier=canonical(ask.value)[:512])
    row = await database.fetchrow(
        _FIND, name, looked_for_email(ask.value), ask.value.strip(" "), not ask.case_insensitive, list(ask.fields)
    )
    return UserFound(user=facts_of(row) if row else None, identifier=name)


async def get_user(database: Database, user: int) -> UserFacts | None:
    """The user as they are now, None if gone."""
    if user > _MAX_PK:
        return None
    row = await database.fetchrow(_GET, user)
    return facts_of(row) if row else None
