"""What the events context holds of an environment, as statements that delete a part of it."""

from typing import Final

from kongflow_common.db.connection_pool import ConnectionPool
from kongflow_common.db.environment_purge import EnvironmentPurge

__all__ = ["STATEMENTS", "environment_purge"]


def _of(table: str) -> str:
    return f"""
        DELETE FROM events.{table} WHERE id = ANY(ARRAY(
            SELECT x.id FROM events.{table} x
             WHERE x.environment_id = %(environment_id)b::uuid LIMIT %(limit)b::bigint))
        RETURNING id
    """  # nosec B608 - made of constants


STATEMENTS: Final = (
    # First those that would take new events, and start new runs.
    _of("event_dispatchers"),
    _of("event_records"),
    _of("event_schemas"),
    _of("external_accounts"),
    _of("resource_event_replays"),
    # Last: each change of the others raises it.
    """
        DELETE FROM events.dispatcher_versions
         WHERE environment_id = %(environment_id)b::uuid AND %(limit)b::bigint > 0
        RETURNING environment_id
    """,
)


def environment_purge(pool: ConnectionPool) -> EnvironmentPurge:
    """Deletes the events, dispatchers, schemas and accounts of an environment."""
    return EnvironmentPurge(pool, STATEMENTS)
