"""What a database error means to a caller: try again later, somebody was in the way, or a bug."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy.exc

from kongflow_common.errors import Contended, DependencyUnavailable, KongflowError

__all__ = ["POSTGRESQL", "database_errors", "translate_database_error"]

POSTGRESQL = "postgresql"

_CONTENDED = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available
    }
)
_UNAVAILABLE = frozenset(
    {
        "25006",  # read_only_sql_transaction: the primary has become a standby
        "57014",  # query_canceled: the statement timeout
    }
)
_UNAVAILABLE_CLASSES = (
    "08",  # connection exception
    "53",  # insufficient resources: disk full, out of memory, too many connections
    "57P",  # shutting down, crashed, starting up
    "58",  # system error
)


def translate_database_error(error: BaseException) -> KongflowError | None:
    """Say what `error` means; None when it is no failure of the database as such."""
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return DependencyUnavailable(POSTGRESQL)
    cause: BaseException | None = error
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        if error.connection_invalidated:
            return DependencyUnavailable(POSTGRESQL)
        cause = error.orig
    if not isinstance(cause, psycopg.Error):
        return None
    state = cause.sqlstate
    if state is None:
        # Said by the client library: refused, lost, or closed before it was used.
        lost = isinstance(cause, psycopg.OperationalError)
        return DependencyUnavailable(POSTGRESQL) if lost else None
    if state in _CONTENDED:
        return Contended()
    if state in _UNAVAILABLE or state.startswith(_UNAVAILABLE_CLASSES):
        return DependencyUnavailable(POSTGRESQL)
    return None


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn the database's failures into DependencyUnavailable and Contended.

    Errors that speak of the statement or its data pass unchanged.
    """
    try:
        yield
    except (psycopg.Error, sqlalchemy.exc.SQLAlchemyError) as error:
        translated = translate_database_error(error)
        if translated is None:
            raise
        raise translated from error
