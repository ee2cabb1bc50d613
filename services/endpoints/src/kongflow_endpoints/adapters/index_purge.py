"""Deletes old indexes from PostgreSQL, in statements that are transactions each."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_endpoints.application.maintenance_ports import Mark, Old
from kongflow_endpoints.domain.endpoint import KEPT_FOR

_FIRST: Final = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))

_OLD = f"""
SELECT i.created_at, i.id, n.id IS NOT NULL
FROM (SELECT o.id, o.endpoint_id, o.created_at FROM endpoints.endpoint_indexes o
      WHERE o.status IN ('SUCCESS', 'FAILURE')
        AND o.created_at < now() - interval '{KEPT_FOR.total_seconds():.0f} seconds'
        AND (o.created_at, o.id) > (%(time)b::timestamptz, %(id)b::uuid)
      ORDER BY o.created_at, o.id LIMIT %(limit)b::bigint) i
LEFT JOIN LATERAL (SELECT x.id FROM endpoints.endpoint_indexes x
                   WHERE x.endpoint_id = i.endpoint_id
                     AND (x.created_at, x.id) > (i.created_at, i.id)
                   ORDER BY x.created_at, x.id LIMIT 1) n ON true
ORDER BY i.created_at, i.id
"""  # nosec B608

_DELETE_ITEMS = """
DELETE FROM endpoints.endpoint_index_items WHERE id = ANY(ARRAY(
    SELECT o.id FROM unnest(%(ids)b) AS w(index_id)
    CROSS JOIN LATERAL (SELECT i.id FROM endpoints.endpoint_index_items i
                        WHERE i.index_id = w.index_id LIMIT %(limit)b::bigint) o
    LIMIT %(limit)b::bigint))
RETURNING id
"""

_DELETE = """
DELETE FROM endpoints.endpoint_indexes
WHERE id = ANY(%(ids)b) AND status IN ('SUCCESS', 'FAILURE')
RETURNING id
"""


class PostgresIndexPurge:
    """Implements IndexPurge."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def old(self, after: Mark | None, limit: int) -> Old:
        time, id_ = after or _FIRST
        rows = await self._pool.execute(_OLD, {"time": time, "id": id_, "limit": limit})
        last = (rows[-1][0], rows[-1][1]) if rows else None
        return Old(tuple(id_ for _, id_, superseded in rows if superseded), last)

    async def delete_items(self, index_ids: tuple[UUID, ...], limit: int) -> int:
        return len(
            await self._pool.execute(
                _DELETE_ITEMS, {"ids": array_parameter("uuid", index_ids), "limit": limit}
            )
        )

    async def delete(self, index_ids: tuple[UUID, ...]) -> int:
        return len(await self._pool.execute(_DELETE, {"ids": array_parameter("uuid", index_ids)}))
