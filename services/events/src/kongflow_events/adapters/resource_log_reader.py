"""Reads the log of what happened to resources.

The order of the log is that of transactions' numbers, and a number is read only when every lower
one is over: whatever is logged later comes behind (ADR 0019).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.eventing.envelope import Belonging, PublishedEvent
from kongflow_events.application.resource_events import LogPage, ResourceSelection
from kongflow_events.domain.log_position import Horizon, LogPosition, LogSelection

__all__ = ["FIND", "LIST", "READ", "PostgresLogReader"]

# So many rows a look goes through, and it ends before so many bytes of data.
_ROWS: Final = 100
_MAX_BYTES: Final = 2_500_000
# Clocks are set back now and then.
_SLACK: Final = timedelta(minutes=5)
# Publishers' clocks and the log's are not the same.
_CLOCK_DIFFERENCE: Final = timedelta(hours=1)
_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
_END: Final = datetime(9999, 1, 1, tzinfo=UTC)
_NOWHERE: Final = UUID(int=0)

_COLUMNS: Final = (
    'r.id, r.type, r.version, r."timestamp", r.resource_id, r.user_id, r.environment_id, '
    "r.project_id, r.organization_id, r.replay_of"
)

LIST: Final = f"""
    SELECT {_COLUMNS}, r.data::text
      FROM events.resource_events r
     WHERE r.resource_id = %(resource_id)b::text AND r.scope_id = ANY(%(scopes)b)
       AND r.logged_at >= %(logged_since)b
       AND (r."timestamp", r.id) > (%(after_time)b, %(after_id)b::uuid)
       AND r."timestamp" <= %(end)b
     ORDER BY r."timestamp", r.id
     LIMIT %(limit)b::bigint
"""  # nosec B608 - made of constants

# The days are looked through by the key of each.
FIND: Final = f"""
    SELECT {_COLUMNS}, r.data::text
      FROM events.resource_events r
     WHERE r.id = %(id)b::uuid AND r.scope_id = ANY(%(scopes)b)
     LIMIT 1
"""  # nosec B608 - made of constants

_SNAPSHOT: Final = """SELECT pg_snapshot_xmin(s) AS xmin, pg_snapshot_xmax(s) AS xmax,
           clock_timestamp() AS at FROM pg_current_snapshot() AS s"""
_HORIZON: Final = f"SELECT h.xmin::text::bigint, h.xmax::text::bigint, h.at FROM ({_SNAPSHOT}) AS h"  # nosec B608

# The next rows of each scope, then the first of all of them. What is not wanted is read too, and
# not brought along: how far a look comes does not depend on how rare the wanted ones are.
READ: Final = f"""
    WITH horizon AS MATERIALIZED ({_SNAPSHOT})
    SELECT h.xmin::text::bigint, h.xmax::text::bigint, h.at, r.xid::text::bigint, r.sequence,
           {_COLUMNS}, r.data
      FROM horizon AS h LEFT JOIN LATERAL (
        SELECT next.*
          FROM unnest(%(scopes)b) AS scope(id), LATERAL (
            SELECT {_COLUMNS}, r.xid, r.sequence,
                   CASE WHEN r.resource_id = coalesce(%(resource_id)b::text, r.resource_id)
                         AND (cardinality(%(types)b) = 0 OR r.type = ANY(%(types)b))
                        THEN r.data::text END AS data
              FROM events.resource_events AS r
             WHERE r.scope_id = scope.id AND r.logged_at >= %(since)b
               AND (r.xid, r.sequence) > (%(xid)b::text::xid8, %(sequence)b::bigint)
               AND r.xid < h.xmin
             ORDER BY r.xid, r.sequence
             LIMIT {_ROWS}) AS next
         ORDER BY next.xid, next.sequence
         LIMIT {_ROWS}) AS r ON true
     ORDER BY r.xid, r.sequence
"""  # nosec B608 - made of constants


class PostgresLogReader:
    """Implements LogReader."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool
        self._token_key: bytes | None = None

    async def list_events(self, selection: ResourceSelection) -> Sequence[PublishedEvent]:
        """What happened to a resource; see LogReader.list_events."""
        start = selection.start or _BEGINNING
        after = selection.after
        rows = await self._pool.execute(
            LIST,
            {
                "resource_id": selection.resource_id,
                "scopes": array_parameter("uuid", selection.scope_ids),
                "logged_since": start - _CLOCK_DIFFERENCE,
                # The id of nothing comes before all that happened at the same time.
                "after_time": after.time if after is not None else start,
                "after_id": after.id if after is not None else _NOWHERE,
                "end": selection.end or _END,
                "limit": selection.limit,
            },
        )
        return [_event(row) for row in rows]

    async def find_event(self, scope_ids: Sequence[UUID], event_id: UUID) -> PublishedEvent | None:
        """An event; see LogReader.find_event."""
        rows = await self._pool.execute(
            FIND, {"id": event_id, "scopes": array_parameter("uuid", scope_ids)}
        )
        return _event(rows[0]) if rows else None

    async def horizon(self) -> Horizon:
        """What can be seen now."""
        [(xmin, xmax, at)] = await self._pool.execute(_HORIZON)
        return Horizon(xmin, xmax, at)

    async def server_id(self) -> int:
        """Which PostgreSQL server it is; see LogReader.server_id."""
        [(server,)] = await self._pool.execute("SELECT system_identifier FROM pg_control_system()")
        return int(server)

    async def read(self, selection: LogSelection, position: LogPosition) -> LogPage:
        """What follows a position; see LogReader.read."""
        rows = await self._pool.execute(
            READ,
            {
                "scopes": array_parameter("uuid", selection.scope_ids),
                "resource_id": selection.resource_id,
                "types": array_parameter("text", selection.types),
                "since": position.since - _SLACK,
                "xid": str(position.xid),
                "sequence": position.sequence,
            },
        )
        horizon = Horizon(*rows[0][:3])
        events: list[PublishedEvent] = []
        last: tuple[int, int] | None = None
        size = 0
        for row in rows:
            if row[3] is None:
                break
            data = row[-1]
            if data is not None:
                size += len(data)
                if size > _MAX_BYTES and events:
                    return LogPage(events, last, full=True, horizon=horizon)
                events.append(_event(row[5:]))
            last = row[3], row[4]
        return LogPage(events, last, full=len(rows) >= _ROWS, horizon=horizon)

    async def token_key(self) -> bytes:
        """The secret that signs resume tokens, the same for every server."""
        if self._token_key is None:
            [(key,)] = await self._pool.execute("SELECT token_key FROM events.resource_log")
            self._token_key = bytes(key)
        return self._token_key


def _event(row: Sequence[Any]) -> PublishedEvent:
    (
        id_,
        type_,
        version,
        timestamp,
        resource_id,
        user_id,
        environment_id,
        project_id,
        organization_id,
        replay_of,
        data,
    ) = row
    return PublishedEvent(
        id=id_,
        type=type_,
        version=version,
        timestamp=timestamp,
        resource_id=resource_id,
        belonging=Belonging(environment_id, project_id, organization_id),
        data=data.encode(),
        user_id=user_id,
        replay_of=replay_of,
    )
