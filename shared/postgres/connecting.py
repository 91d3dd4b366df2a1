"""How every connection to PostgreSQL is opened: with what settings of its session, and what is wrong with a URI that names none."""

import ssl
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import asyncpg

from shared.kernel.variables import variable
from shared.postgres.away import PostgresRefused
from shared.postgres.uri import unreadable_file

CONNECT_TIMEOUT: Final = 10.0  # s, outside the pool: who waits for it has a limit of their own, or nobody waits
IDLE_IN_TRANSACTION_S: Final = 10.0


async def connect(
    dsn: str, schema: str, statement_timeout_s: float, settings: Mapping[str, str] = MappingProxyType({})
) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection whose session has these settings, besides those that all have; `PostgresRefused` for a URI that names nothing."""
    given = {**session_settings(schema, statement_timeout_s), **settings}
    try:
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT, command_timeout=2 * statement_timeout_s, server_settings=given
        )
    except ssl.SSLCertVerificationError:  # a ValueError too
        raise
    except (FileNotFoundError, PermissionError):  # of a socket, which may come, or of a file that the URI names
        if name := unreadable_file(dsn):
            raise PostgresRefused(f"{variable('database')}: {name}: the file cannot be read") from None
        raise
    except ValueError as failure:  # the driver's word for a URI that it cannot read; what it misread may be the password
        unread = "not a URI; in a password, / ? # @ : are written %2F %3F %23 %40 %3A"
        reason = str(failure).partition(":")[0] if isinstance(failure, asyncpg.InterfaceError) else unread
        raise PostgresRefused(f"{variable('database')}: {reason}") from None
    return connection


def session_settings(schema: str, statement_timeout_s: float) -> dict[str, str]:
    """What the server is told of each connection of ours."""
    limit = milliseconds(statement_timeout_s)
    return {
        "application_name": f"sluice {schema}",
        "search_path": schema,
        "statement_timeout": limit,
        "lock_timeout": limit,
        # Ours are look-ups by key: planning one again for its values costs more than running it.
        "plan_cache_mode": "force_generic_plan",
        # The locks of a client that stopped in the middle must not outlive everybody's patience; its own ends before this.
        "idle_in_transaction_session_timeout": milliseconds(min(IDLE_IN_TRANSACTION_S, 2 * statement_timeout_s)),
    }


def milliseconds(seconds: float) -> str:
    """As the server's settings want it: at least one, for 0 is no limit."""
    return str(max(1, round(seconds * 1000)))
