"""Looks for unfinished runs of many events in one statement."""

from collections.abc import Sequence
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_runs.domain.run import ENDED

_ENDED = ", ".join(f"'{state.value}'" for state in sorted(ENDED))

# Each branch has an index of its own, see run_canceller.
_OF_EVENT = f"""
    SELECT r.id FROM runs.job_runs r
    WHERE r.event_record_id = e.id AND (r.environment_id = %(environment_id)b::uuid) IS TRUE
      AND (r.status NOT IN ({_ENDED})) IS TRUE
"""  # nosec B608 - made of constants
UNFINISHED_EVENTS = f"""
SELECT e.id FROM unnest(%(ids)b) AS e(id)
CROSS JOIN LATERAL (
    (SELECT 1 FROM ({_OF_EVENT} AND r.dispatcher_id IS NOT NULL LIMIT 1) AS taken
     UNION ALL
     SELECT 1 FROM ({_OF_EVENT} AND r.dispatcher_id IS NULL LIMIT 1) AS asked)
    LIMIT 1) AS found
"""  # nosec B608


class PostgresUnfinishedEvents:
    """UnfinishedEvents in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def with_unfinished_runs(
        self, environment_id: UUID, event_record_ids: Sequence[UUID]
    ) -> Sequence[UUID]:
        """Those of the event records; see UnfinishedEvents."""
        rows = await self._pool.execute(
            UNFINISHED_EVENTS,
            {"ids": array_parameter("uuid", event_record_ids), "environment_id": environment_id},
        )
        return [row[0] for row in rows]
