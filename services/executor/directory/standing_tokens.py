"""What the log says of tokens, held against what PostgreSQL says, which is true.

A database that was restored from a backup, or made anew, is older than the log: it does not know of tokens that everybody else takes,
and the versions that it would draw are lower than those that stand there, so that nobody would believe it. Then versions go on above
the highest, and what is not known here is over.
"""

from typing import Any, Final

from services.executor.directory.tokens import say_all
from shared.contracts.directory import TOKENS_CODEC, TokenChanged
from shared.kernel.clock import Clock
from shared.messaging.log import Record
from shared.postgres.pool import Database

# $1 hashes, $2 versions of the tokens that are good as the log has it
_UNKNOWN: Final = """NOT EXISTS (SELECT FROM tokens WHERE tokens.hash = standing.hash)
AND NOT EXISTS (SELECT FROM revoked_tokens AS r WHERE r.hash = standing.hash AND r.version > standing.version)"""
_IS_OLDER: Final = f"""
SELECT last_value < $3 OR EXISTS (SELECT FROM unnest($1::bytea[], $2::bigint[]) AS standing(hash, version) WHERE {_UNKNOWN})
FROM token_versions"""  # noqa: S608 -- a constant
_GO_ON_ABOVE: Final = "SELECT setval('token_versions', $1) FROM token_versions WHERE last_value < $1"
_END_UNKNOWN: Final = f"""
INSERT INTO revoked_tokens (hash, user_pk, expires_us, version)
SELECT hash, user_pk, expires_us, nextval('token_versions')
FROM unnest($1::bytea[], $2::bigint[], $3::integer[], $4::bigint[]) AS standing(hash, version, user_pk, expires_us) WHERE {_UNKNOWN}
ON CONFLICT (hash) DO UPDATE SET version = excluded.version"""  # noqa: S608 -- a constant


class StandingTokens:
    """Looks at every record of `directory.tokens`, and says what is true (see `shared.postgres.repeating.Repeating`)."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._standing: dict[bytes | None, TokenChanged] = {}

    def look(self, record: Record) -> int | None:
        """The version of what a record says; `BadRecord` if it is not the directory's."""
        if record.value is None:
            self._standing.pop(record.key, None)
            return None
        body = TOKENS_CODEC.decode(record).body
        if not isinstance(body, TokenChanged):
            return None
        if (known := self._standing.get(record.key)) is None or body.version >= known.version:
            self._standing[record.key] = body
        return body.version

    async def is_ahead(self) -> bool:
        """Whether the log knows more than PostgreSQL."""
        hashes, versions, *_ = self._good()
        return bool(await self._database.fetchval(_IS_OLDER, hashes, versions, self._highest()))

    async def say_again(self) -> None:
        """Say everything that is true of tokens now once more, so that it is believed."""
        async with self._database.transaction() as connection:
            if highest := self._highest():
                await connection.execute(_GO_ON_ABOVE, highest)
                await connection.execute(_END_UNKNOWN, *self._good())
            await say_all(connection, self._database.schema, self._clock.now_us())

    def _highest(self) -> int:
        return max((one.version for one in self._standing.values()), default=0)

    def _good(self) -> tuple[list[Any], ...]:
        good = [one for one in self._standing.values() if one.is_active or one.username]  # a disabled user's may be good again
        return (
            [bytes.fromhex(one.hash) for one in good], [one.version for one in good],
            [one.user for one in good], [one.expires_us for one in good],
        )  # fmt: skip
