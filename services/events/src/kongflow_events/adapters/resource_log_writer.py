"""Writes the log of what happened to resources."""

from collections.abc import Mapping, Sequence
from typing import Final

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.eventing.envelope import PublishedEvent

__all__ = ["LOG_INGESTED", "RECORD", "PostgresLogWriter", "record_parameters"]

_ROWS: Final = RowParameters(
    "i",
    id="uuid",
    type="text",
    version="integer",
    timestamp="timestamptz",
    resource_id="text",
    user_id="text",
    data="jsonb",
    organization_id="uuid",
    project_id="uuid",
    environment_id="uuid",
    replay_of="uuid",
)

# Publishers send what they are not sure of again, at once or after an outage: within two days it
# is recognised. A unique key cannot do that, as it would have to hold the day. The days to come
# are left out: each partition is looked into for every event.
RECORD: Final = f"""
    INSERT INTO events.resource_events (
        id, type, version, "timestamp", resource_id, user_id, data, organization_id, project_id,
        environment_id, replay_of, scope_id)
    SELECT {_ROWS.columns}, coalesce(i.environment_id, i.project_id, i.organization_id)
      FROM {_ROWS.source}
      LEFT JOIN LATERAL (
        SELECT true AS known FROM events.resource_events r
         WHERE r.id = i.id AND r.logged_at >= now() - interval '2 days'
           AND r.logged_at < now() + interval '1 hour' LIMIT 1) AS k ON true
     WHERE k.known IS NULL
"""  # nosec B608 - made of constants
# The part of the statement that stores events which tells of them; `stored` are the records. Its
# id in the log is that of its record, which is as unique and costs nothing.
LOG_INGESTED: Final = """
    INSERT INTO events.resource_events (
        id, type, version, "timestamp", resource_id, data, organization_id, project_id,
        environment_id, scope_id)
    SELECT id, 'event.ingested', 1, created_at, id::text, jsonb_build_object('eventId', event_id,
           'name', name, 'source', source, 'matchedCount',
           CASE WHEN processed_at IS NOT NULL THEN matched_count END),
           organization_id, project_id, environment_id, environment_id FROM stored
"""
# What is sent twice is sent by two calls at once now and then: the second waits for the first.
_ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(hashtext('events.record_resource_events'))"


def record_parameters(events: Sequence[PublishedEvent]) -> Mapping[str, object]:
    """The parameters of RECORD."""
    return _ROWS.bind(
        [
            (
                event.id,
                event.type,
                event.version,
                event.timestamp,
                event.resource_id,
                event.user_id,
                event.data,
                event.belonging.organization_id,
                event.belonging.project_id,
                event.belonging.environment_id,
                event.replay_of,
            )
            for event in {event.id: event for event in events}.values()
        ]
    )


class PostgresLogWriter:
    """Records what other services publish."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def record(self, events: Sequence[PublishedEvent]) -> None:
        """Log events, each once however often it is sent."""
        if not events:
            return
        async with self._pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(binary=True)
            await cursor.execute(_ONE_AT_A_TIME)
            await cursor.execute(RECORD, record_parameters(events))
