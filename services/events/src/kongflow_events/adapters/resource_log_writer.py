"""Writes the log of what happened to resources."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_common.eventing.event_columns import EventColumns, columns_of
from kongflow_common.eventing.event_type import Layer

__all__ = ["LOG_INGESTED", "RECORD", "PostgresLogWriter", "Tell", "record_parameters"]

Tell: TypeAlias = Callable[[Sequence[PublishedEvent]], None]
"""Is told of events; returns at once, and never fails."""

# As EventColumns has them.
_ROWS: Final = RowParameters(
    "i",
    id="uuid of bytes",
    type="text",
    version="integer",
    timestamp="timestamptz of microseconds",
    resource_id="text",
    user_id="text",
    data="jsonb",
    organization_id="uuid of bytes",
    project_id="uuid of bytes",
    environment_id="uuid of bytes",
    replay_of="uuid of bytes",
)

# Publishers send what they are not sure of again, at once or after an outage: within two days it
# is recognised. A unique key cannot do that, as it would have to hold the day. The days to come
# are left out; the others are looked into once for all events.
RECORD: Final = f"""
    WITH known AS MATERIALIZED (
        SELECT r.id FROM events.resource_events r
         WHERE r.id = ANY(%(i_id)b) AND r.logged_at >= now() - interval '2 days'
           AND r.logged_at < now() + interval '1 hour'
    )
    INSERT INTO events.resource_events (
        id, type, version, "timestamp", resource_id, user_id, data, organization_id, project_id,
        environment_id, replay_of, scope_id)
    SELECT {_ROWS.columns}, coalesce(i.environment_id, i.project_id, i.organization_id)
      FROM {_ROWS.source} WHERE i.id NOT IN (SELECT known.id FROM known)
"""  # nosec B608 - made of constants
_RECORD_TELLING: Final = f"{RECORD} RETURNING id"
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

_REALTIME: Final = {type_.name for type_ in DECLARED_TYPES if type_.layer is Layer.REALTIME}


def record_parameters(events: Sequence[PublishedEvent]) -> Mapping[str, object]:
    """The parameters of RECORD."""
    return _bind(columns_of(events))


def _bind(events: EventColumns) -> Mapping[str, object]:
    return _ROWS.bind_columns(events.once().columns())


class PostgresLogWriter:
    """Records what other services publish. `tell` gets the realtime events that are new."""

    def __init__(self, database: Database, tell: Tell | None = None) -> None:
        self._pool = database.pool
        self._tell = tell

    async def record(self, events: EventColumns) -> None:
        """Log events, each once however often it is sent."""
        if not events.ids:
            return
        news = _realtime(events) if self._tell is not None else []
        async with self._pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(binary=True)
            await cursor.execute(_ONE_AT_A_TIME)
            await cursor.execute(_RECORD_TELLING if news else RECORD, _bind(events))
            new_ids = {id_ for (id_,) in await cursor.fetchall()} if news else set()
        # Committed: nobody is told of what is not there.
        if self._tell is not None and news:
            self._tell([event for event in news if event.id in new_ids])


def _realtime(events: EventColumns) -> list[PublishedEvent]:
    if _REALTIME.isdisjoint(events.types):
        return []
    return [events.event(place) for place, type_ in enumerate(events.types) if type_ in _REALTIME]
