"""Bearer tokens for the API: shown once, kept as a hash, told to everybody who has to know them by `directory.tokens`."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import Final, Literal

from services.executor.directory.events import token_changed
from services.executor.directory.naming import UserRefused
from shared.contracts.directory import TokenChanged
from shared.kernel.clock import Clock
from shared.messaging.log import Message
from shared.postgres.outbox import append
from shared.postgres.pool import Connection, Database, Row

LENGTH: Final = 45  # bytes of randomness: 60 characters, as authentik's

_OF_USER: Final = """
SELECT t.hash, t.expires_us, u.pk, u.username, u.is_superuser, u.is_active, nextval('token_versions') AS version
FROM tokens AS t JOIN users AS u ON u.pk = t.user_pk WHERE u.pk = $1 ORDER BY t.made_us"""
_INSERT: Final = """
INSERT INTO tokens (hash, identifier, user_pk, made_us, expires_us) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING hash"""
_IS_ANOTHER: Final = "SELECT EXISTS (SELECT FROM tokens WHERE hash = $1 AND identifier <> $2)"
_REVOKE: Final = """
WITH gone AS (DELETE FROM tokens WHERE {which} RETURNING hash, user_pk, expires_us)
INSERT INTO revoked_tokens (hash, user_pk, expires_us, version) SELECT *, nextval('token_versions') FROM gone
ON CONFLICT (hash) DO UPDATE SET version = excluded.version, expires_us = excluded.expires_us
RETURNING hash, user_pk, expires_us, version"""
_OWNER: Final = "SELECT user_pk FROM tokens WHERE identifier = $1"
_WITH_TOKENS: Final = "SELECT pk FROM users WHERE pk IN (SELECT user_pk FROM tokens) ORDER BY pk FOR NO KEY UPDATE"
_REVOKED: Final = "SELECT hash, user_pk, expires_us, version FROM revoked_tokens"
_LOCK_USER: Final = "SELECT EXISTS (SELECT FROM users WHERE pk = $1 FOR NO KEY UPDATE)"

_IDENTIFIER: Final = re.compile(r"[a-zA-Z0-9_-]{1,255}\Z")
_TAKEN: Final = "Token with this identifier already exists."


def digest_of(token: str) -> bytes:
    """What a token is known by. No salt: a token is random, and has to be found by what is sent."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


async def tokens_of(connection: Connection, user: int, now_us: int) -> Sequence[Message]:
    """What `directory.tokens` has to say now of all tokens of a user, whose row is locked."""
    return [token_changed(_contract(row), now_us) for row in await connection.fetch(_OF_USER, user)]


async def create_token(
    database: Database, clock: Clock, user: int, identifier: str, *, token: str | None = None, expires_us: int | None = None
) -> str | None:
    """Make a token, a random one if none is given; the token, None if there is no such user.

    `UserRefused` if the identifier cannot be one (authentik's are slugs of at most 255 characters) or is taken.
    """
    if not _IDENTIFIER.match(identifier):
        raise UserRefused({"identifier": ("Enter a valid “slug” consisting of letters, numbers, underscores or hyphens.",)})
    made = token or secrets.token_urlsafe(LENGTH)
    async with database.transaction() as connection:
        if not await connection.fetchval(_LOCK_USER, user):
            return None
        await _insert(connection, clock.now_us(), user, identifier, made, expires_us)
        await append(connection, database.schema, [await _changed(connection, clock.now_us(), user, made)])
    return made


async def put_token(connection: Connection, schema: str, now_us: int, user: int, identifier: str, token: str) -> bool:
    """Put a token in place, instead of the one that the user has under this identifier; False if there is no such user.

    A token that is known is told again: the log may be another one by now. `UserRefused` if the identifier is somebody
    else's, or the token one under another identifier.
    """
    if not await connection.fetchval(_LOCK_USER, user):
        return False
    if await connection.fetchval(_IS_ANOTHER, digest_of(token), identifier):
        raise UserRefused({"token": ("Another token is the same.",)})
    old = await connection.fetchrow("SELECT hash, user_pk FROM tokens WHERE identifier = $1 FOR UPDATE", identifier)
    said: Sequence[Message] = ()
    if old is None:
        await _insert(connection, now_us, user, identifier, token, None)
    elif old["user_pk"] != user:
        raise UserRefused({"identifier": (_TAKEN,)})
    elif old["hash"] != digest_of(token):
        said = await revoke(connection, now_us, "identifier = $1", identifier)
        await _insert(connection, now_us, user, identifier, token, None)
    await append(connection, schema, [*said, await _changed(connection, now_us, user, token)])
    return True


async def revoke_token(database: Database, clock: Clock, identifier: str) -> bool:
    """End a token; False if there is none of this name."""
    if not _IDENTIFIER.match(identifier):
        return False
    async with database.transaction() as connection:
        # Under the lock of its user, or somebody who changes that user could say after us that the token is good.
        await connection.fetchval(_LOCK_USER, await connection.fetchval(_OWNER, identifier))
        said = await revoke(connection, clock.now_us(), "identifier = $1", identifier)
        await append(connection, database.schema, said)
        return bool(said)


async def revoke(
    connection: Connection, now_us: int, which: Literal["identifier = $1", "user_pk = $1"], value: str | int
) -> Sequence[Message]:
    """Delete these tokens, whose user's row is locked, and remember them; what there is to say."""
    return [_over(row, now_us) for row in await connection.fetch(_REVOKE.format(which=which), value)]


async def tell_again(database: Database, clock: Clock) -> None:
    """Say everything that is true of tokens now once more: the log has lost it."""
    async with database.transaction() as connection:
        await say_all(connection, database.schema, clock.now_us())


async def say_all(connection: Connection, schema: str, now_us: int) -> None:
    """See `tell_again`, in the caller's transaction."""
    said: list[Message] = []
    for row in await connection.fetch(_WITH_TOKENS):
        said += await tokens_of(connection, row["pk"], now_us)
    said += [_over(row, now_us) for row in await connection.fetch(_REVOKED)]
    await append(connection, schema, said)


async def _insert(connection: Connection, now_us: int, user: int, identifier: str, token: str, expires_us: int | None) -> None:
    if await connection.fetchrow(_INSERT, digest_of(token), identifier, user, now_us, expires_us) is None:
        raise UserRefused({"identifier": (_TAKEN,)})
    await connection.execute("DELETE FROM revoked_tokens WHERE hash = $1", digest_of(token))


async def _changed(connection: Connection, now_us: int, user: int, token: str) -> Message:
    rows = await connection.fetch(_OF_USER, user)
    return token_changed(next(_contract(row) for row in rows if row["hash"] == digest_of(token)), now_us)


def _over(row: Row, now_us: int) -> Message:
    told = TokenChanged(
        hash=row["hash"].hex(), user=row["user_pk"], username="", is_superuser=False, is_active=False,
        expires_us=row["expires_us"], version=row["version"],
    )  # fmt: skip
    return token_changed(told, now_us)


def _contract(row: Row) -> TokenChanged:
    return TokenChanged(
        hash=row["hash"].hex(), user=row["pk"], username=row["username"], is_superuser=row["is_superuser"],
        is_active=row["is_active"], expires_us=row["expires_us"], version=row["version"],
    )  # fmt: skip
