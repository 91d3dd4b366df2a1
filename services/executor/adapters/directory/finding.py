"""Look-ups of users: one statement each, by an index on the canonical form.

An identifier that leads to two people (an address or a UPN need not be unique) leads to neither: the visitor is answered as
for one that nobody has. The history says so, and administrators are told (`shared_identifiers`).
"""

import unicodedata
from typing import Final

from services.executor.adapters.directory.rows import FACTS, facts_of
from services.executor.domain.identifiers import canonical, looked_for, looked_for_email
from shared.contracts.people import UserFacts
from shared.flows.asks import FindUser, UserFound
from shared.postgres.pool import Database

# $1 canonical name, $2 canonical address, $3 the fields, $4 whether case counts, and then $5 as typed and $6 in the form of names.
_FIND: Final = f"""
WITH found AS MATERIALIZED (
    SELECT pk FROM users WHERE 'username' = ANY ($3::text[]) AND username_canonical = $1::text AND (NOT $4::boolean OR username IN ($5, $6))
    UNION (SELECT pk FROM users WHERE 'email' = ANY ($3) AND email_canonical = $2::text AND (NOT $4 OR email = $5::text) LIMIT 2)
    UNION (SELECT pk FROM users WHERE 'upn' = ANY ($3) AND upn_canonical = $1 AND (NOT $4 OR attributes ->> 'upn' IN ($5, $6::text)) LIMIT 2)
), one AS (
    SELECT count(*) AS people, CASE WHEN count(*) = 1 THEN min(pk) END AS pk FROM found
)
SELECT one.people, {FACTS} FROM one LEFT JOIN users AS u ON u.pk = one.pk"""  # noqa: S608 -- constants only
_GET: Final = f"SELECT {FACTS} FROM users AS u WHERE u.pk = $1"  # noqa: S608 -- constants only
_MAX_PK: Final = 2**31 - 1


async def find_user(database: Database, ask: FindUser) -> UserFound:
    """Answer `FindUser`; a text that nobody can be called is answered without PostgreSQL."""
    name = looked_for(ask.value)
    if name is None or not ask.fields:
        return UserFound(user=None, identifier=canonical(ask.value)[:512])
    typed = ask.value.strip(" ")
    forms = (unicodedata.normalize("NFC", typed), unicodedata.normalize("NFKC", typed).strip(" "))
    row = await database.fetchrow(_FIND, name, looked_for_email(ask.value), list(ask.fields), not ask.case_insensitive, *forms)
    found = row is not None and row["pk"] is not None
    return UserFound(user=facts_of(row) if row and found else None, identifier=name, ambiguous=row is not None and row["people"] > 1)


async def get_user(database: Database, user: int) -> UserFacts | None:
    """The user as they are now, None if gone."""
    if user > _MAX_PK:
        return None
    row = await database.fetchrow(_GET, user)
    return facts_of(row) if row else None
