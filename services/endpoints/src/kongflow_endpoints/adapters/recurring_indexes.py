"""The indexes that are begun by the clock, in PostgreSQL."""

from typing import Final
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.ids import new_id
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.message import Priority
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_endpoints.adapters.endpoints_queue import perform_indexing
from kongflow_endpoints.adapters.tables import SCHEMA
from kongflow_endpoints.application.maintenance_ports import Begun
from kongflow_endpoints.domain.endpoint import INDEXED_AGAIN_AFTER

_LEAST: Final = UUID(int=0)

# Not as NOT EXISTS: on empty tables that is planned as a walk through all indexes.
_DUE = f"""e.url IS NOT NULL AND e.environment_type IN ('PRODUCTION', 'STAGING')
  AND (SELECT true FROM endpoints.endpoint_indexes i
       WHERE i.endpoint_id = e.id AND i.created_at >
           now() - interval '{INDEXED_AGAIN_AFTER.total_seconds():.0f} seconds'
       LIMIT 1) IS NOT TRUE
  AND (SELECT true FROM endpoints.endpoint_indexes i
       WHERE i.endpoint_id = e.id AND i.status = 'PENDING' LIMIT 1) IS NOT TRUE"""  # nosec B608

# Whoever begins an index of an endpoint holds the endpoint until the commit.
_LOCK_DUE = f"""
SELECT e.id FROM endpoints.endpoints e
WHERE e.id > %(after)b::uuid AND {_DUE}
ORDER BY e.id LIMIT %(limit)b::bigint
FOR UPDATE OF e SKIP LOCKED
"""  # nosec B608

_NEW = RowParameters("n", id="uuid", endpoint_id="uuid")

# A statement of its own sees what was committed just before the lock was had.
_BEGIN = f"""
INSERT INTO endpoints.endpoint_indexes (id, endpoint_id, environment_id, source)
SELECT n.id, e.id, e.environment_id, 'INTERNAL'
FROM {_NEW.source} JOIN endpoints.endpoints e ON e.id = n.endpoint_id
WHERE {_DUE}
RETURNING id, environment_id
"""  # nosec B608

_MESSAGES = OutboxRows(SCHEMA)


class PostgresRecurringIndexes:
    """Implements RecurringIndexes."""

    def __init__(self, database: Database, relay: OutboxRelay) -> None:
        self._pool = database.pool
        self._relay = relay

    async def begin(self, after: UUID | None, limit: int) -> Begun:
        claimed_by = self._relay.claimed_by_for_new_rows()
        async with self._pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(binary=True)
            await cursor.execute(_LOCK_DUE, {"after": after or _LEAST, "limit": limit})
            endpoint_ids = [row[0] for row in await cursor.fetchall()]
            if not endpoint_ids:
                return Begun(0, None)
            await cursor.execute(_BEGIN, _NEW.bind([(new_id(), each) for each in endpoint_ids]))
            # Those that somebody waits for go first.
            messages = [
                perform_indexing(index_id, environment_id, priority=Priority.LOW)
                for index_id, environment_id in await cursor.fetchall()
            ]
            if messages:
                await cursor.execute(_MESSAGES.insert, _MESSAGES.bind(messages, claimed_by))
        if messages:
            self._relay.committed(messages, claimed_by)
        return Begun(len(messages), endpoint_ids[-1])
