"""Bearer tokens for the API: shown once, kept as a hash, told to everybody who has to know them by `directory.tokens`."""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Final

from services.executor.adapters.directory.events import token_changed, token_revoked
from services.executor.adapters.directory.naming import UserRefused
from shared.contracts.directory import TokenChanged
from shared.kernel.clock import Clock
from shared.messaging.log import Message
from shared.postgres.outbox import append
from shared.postgres.pool import Connection, Database, Row

LENGTH: Final = 45  # bytes of randomness: 60 characters, as authentik's

_OF_USER: Final = """
SELECT t.hash, t.expires_us, u.pk, u.username, u.is_superuser, u.is_active
FROM tokens AS t JOIN users AS u ON u.pk = t.user_pk WHERE u.pk = $1 ORDER BY t.made_us"""
_INSERT: Final = """
INSERT INTO tokens (hash, identifier, user_pk, description, made_us, expires_us) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (identifier) DO UPDATE SET hash = excluded.hash, made_us = excluded.made_us, expires_us = excluded.expires_us
WHERE tokens.user_pk = excluded.user_pk RETURNING hash"""


def digest_of(token: str) -> bytes:
    """What a token is known by. No salt: a token is random, and has to be found by what is sent."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


async def tokens_of(connection: Connection, user: int, now_us: int) -> Sequence[Message]:
    """What `directory.tokens` has to say now of all tokens of a user."""
    return [token_changed(_contract(row), now_us) for row in await connection.fetch(_OF_USER, user)]


async def create_token(
    database: Database, clock: Clock, user: int, identifier: str, *, token: str | None = None, expires_us: int | None = None
) -> str | None:
    """Make a token, or put another one under its identifier; the token, None if there is no such user."""
    async with database.transaction() as connection:
        return await put_token(
            connection, database.schema, clock.now_us(), user, identifier, token or secrets.token_urlsafe(LENGTH), expires_us
        )


async def put_token(
    connection: Connection, schema: str, now_us: int, user: int, identifier: str, token: str, expires_us: int | None = None
) -> str | None:
    """`create_token` in the caller's transaction. A token that is known is told again: the log may be another one by now."""
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM users WHERE pk = $1 FOR KEY SHARE)", user):
        return None
    old = await connection.fetchrow("SELECT hash, user_pk FROM tokens WHERE identifier = $1 FOR UPDATE", identifier)
    known = old is not None and old["hash"] == digest_of(token) and old["user_pk"] == user
    if not known and not await connection.fetchrow(_INSERT, digest_of(token), identifier, user, "", now_us, expires_us):
        raise UserRefused({"identifier": ("Token with this identifier already exists.",)})
    said = [] if old is None or known else [token_revoked(old["hash"], now_us)]
    row = next(row for row in await connection.fetch(_OF_USER, user) if row["hash"] == digest_of(token))
    await append(connection, schema, [*said, token_changed(_contract(row), now_us)])
    return token


async def revoke_token(database: Database, clock: Clock, identifier: str) -> bool:
    """End a token; False if there is none of this name."""
    async with database.transaction() as connection:
        row = await connection.fetchrow("DELETE FROM tokens WHERE identifier = $1 RETURNING hash", identifier)
        if row is None:
            return False
        await append(connection, database.schema, [token_revoked(row["hash"], clock.now_us())])
        return True


def _contract(row: Row) -> TokenChanged:
    return TokenChanged(
        hash=row["hash"].hex(), user=row["pk"], username=row["username"], is_superuser=row["is_superuser"],
        is_active=row["is_active"], expires_us=row["expires_us"],
    )  # fmt: skip
