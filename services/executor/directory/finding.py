"""Look-ups of users: one statement each, by an index on the canonical form.

An identifier that leads to two people (an address or a UPN need not be unique) leads to neither: the visitor is answered as
for one that nobody has. The history says so, and administrators are told (`shared_identifiers`). A user's name is theirs alone: who
had it as a UPN before such were refused is not found by it, or they could shut its owner out.
"""

import unicodedata
from typing import Final

from services.executor.directory.rows import FACTS, facts_of
from services.executor.rules.identifiers import canonical, looked_for, looked_for_email
from shared.contracts.asks import FindUser, UserFound
from shared.contracts.people import UserFacts
from shared.postgres.pool import Database

# $1 canonical name, $2 canonical address, $3 the fields, $4 whether case counts, then $5 as typed and $6 in the form of names; $7 whose row is
# read where it leads to nobody.
_FIND: Final = f"""
WITH found AS MATERIALIZED (
    SELECT pk, 'username' AS field FROM users WHERE 'username' = ANY ($3::text[]) AND username_canonical = $1::text AND (NOT $4::boolean OR username IN ($5, $6))
    UNION ALL (SELECT pk, 'email' FROM users WHERE 'email' = ANY ($3) AND email_canonical = $2::text AND (NOT $4 OR email = $5::text) LIMIT 2)
    UNION ALL (SELECT pk, 'upn' FROM users WHERE 'upn' = ANY ($3) AND upn_canonical = $1 AND (NOT $4 OR attributes ->> 'upn' IN ($5, $6::text)) LIMIT 2)
), one AS (
    SELECT count(DISTINCT pk) AS people, CASE WHEN count(DISTINCT pk) = 1 THEN min(pk) END AS pk FROM found
    WHERE field <> 'upn' OR NOT EXISTS (SELECT FROM found WHERE field = 'username')
)
SELECT one.people, {FACTS} FROM one LEFT JOIN users AS u ON u.pk = coalesce(one.pk, $7::integer)"""  # noqa: S608 -- constants only
_GET: Final = f"SELECT {FACTS} FROM users AS u WHERE u.pk = $1"  # noqa: S608 -- constants only
_NOBODY: Final = -1
_MAX_PK: Final = 2**31 - 1


class Finding:
    """Answers `FindUser`. What it does for somebody it does for nobody too: a row of whom it found last is read along with a name
    that leads nowhere, and dropped, so that this work does not tell the two apart."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last = _NOBODY

    async def find(self, ask: FindUser) -> UserFound:
        """The user, if it is one; a text that nobody can be called is answered without PostgreSQL."""
        name = looked_for(ask.value)
        if name is None or not ask.fields:
            return UserFound(user=None, identifier=canonical(ask.value)[:512])
        typed = ask.value.strip(" ")
        forms = (unicodedata.normalize("NFC", typed), unicodedata.normalize("NFKC", typed).strip(" "))
        row = await self._database.fetchrow(
            _FIND, name, looked_for_email(ask.value), list(ask.fields), not ask.case_insensitive, *forms, self._last
        )
        if row is None:
            raise AssertionError("a statement that always has a row had none")
        facts = None if row["pk"] is None else facts_of(row)
        if row["people"] == 1:
            self._last = row["pk"]
            return UserFound(user=facts, identifier=name)
        return UserFound(user=None, identifier=name, ambiguous=row["people"] > 1)


async def get_user(database: Database, user: int) -> UserFacts | None:
    """The user as they are now, None if gone."""
    if user > _MAX_PK:
        return None
    row = await database.fetchrow(_GET, user)
    return facts_of(row) if row else None
