"""What PostgreSQL's failures mean: away, or too slow; read-only; or not to be had as we are set up.

What can only mean "PostgreSQL is away, or too slow" becomes `Unavailable` here and nowhere else; every other error of
PostgreSQL is a mistake of ours and stays what it is.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from shared.kernel.errors import SluiceError, Unavailable
from shared.kernel.variables import variable

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, statement time-out
    asyncpg.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,  # deadlock: the same call may succeed later
    asyncpg.ReadOnlySQLTransactionError,  # a standby that has not been promoted yet
    asyncpg.InvalidCatalogNameError,  # the server is there, the database is not yet
)


class PostgresUnavailable(Unavailable):
    """PostgreSQL did not answer within the time, or is not there; what was asked is not done, or not known to be."""

    code = "E_POSTGRES_UNAVAILABLE"


class PostgresReadOnly(PostgresUnavailable):
    """PostgreSQL answers questions and takes no write: a standby that was not promoted, or somebody has set it so."""

    code = "E_POSTGRES_READ_ONLY"


class PostgresRefused(SluiceError):
    """PostgreSQL is there and will not have us, or we cannot trust it; the text names the setting and the reason."""

    code = "E_POSTGRES_REFUSED"


@contextmanager
def refused() -> Iterator[None]:
    """Turn what waiting does not mend into `PostgresRefused`; for a start, when nothing but settings and roles can be wrong."""
    try:
        yield
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError) as failure:
        raise PostgresRefused(f"{variable('database')}: {failure}; roles and schemas are made by shared/postgres/roles.sql") from failure
    except ssl.SSLCertVerificationError as failure:
        raise PostgresRefused(f"{variable('database')}: the server's certificate is not trusted: {failure.verify_message}") from failure


def unavailable_for(failure: Exception, place: str) -> PostgresUnavailable:
    """What this failure of the PostgreSQL at `place` is to who wanted something of it."""
    if isinstance(failure, asyncpg.ReadOnlySQLTransactionError):
        return PostgresReadOnly(f"PostgreSQL{place and f' at {place}'} takes no writes")
    # Of what the driver and the server say, only what the network says: the rest may quote a visitor, or the URI.
    why = f": {failure}" if isinstance(failure, OSError) and str(failure) else ""
    return PostgresUnavailable(f"PostgreSQL{place and f' at {place}'} is away or too slow ({type(failure).__name__}{why})")


@contextmanager
def unavailable(place: str) -> Iterator[None]:
    """Turn what means that PostgreSQL, which is `place_of` its URI, is away into `PostgresUnavailable`."""
    try:
        yield
    except _AWAY as failure:
        raise unavailable_for(failure, place) from failure
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as failure:
        # The driver says so too when a connection breaks under a query; a wrong argument is a DataError, and ours.
        if isinstance(failure, asyncpg.DataError | asyncpg.exceptions.ClientConfigurationError):
            raise
        raise unavailable_for(failure, place) from failure
