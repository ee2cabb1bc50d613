"""Deletes events and accounts from PostgreSQL, in statements that are transactions each."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.errors import Contended
from kongflow_events.adapters.account_repository import LOCK_ACCOUNTS
from kongflow_events.application.purge_old_events import KnownAccount, OldEvents
from kongflow_events.domain.id_times import CLOCKS_APART, first_id_at

__all__ = ["SqlEventPurge"]

_NEXT_ENVIRONMENT: Final = """
    SELECT environment_id FROM events.event_records
     WHERE environment_id > %(after)b::uuid ORDER BY environment_id LIMIT 1
"""
_OLD: Final = """
    SELECT id, (coalesce(processed_at, cancelled_at) < now() - %(kept)b::interval) IS TRUE
      FROM events.event_records
     WHERE environment_id = %(environment_id)b::uuid
       AND id > %(after)b::uuid AND id < %(before)b::uuid
     ORDER BY environment_id, id LIMIT %(limit)b::bigint
"""
# Whatever was found before: an event that waits for its delivery is not deleted.
_DELETE: Final = """
    DELETE FROM events.event_records
     WHERE id = ANY(%(ids)b) AND (environment_id = %(environment_id)b::uuid) IS TRUE
       AND coalesce(processed_at, cancelled_at) IS NOT NULL
    RETURNING id
"""
# LATERAL with a limit keeps a plan that was made on empty tables from reading them as a whole.
_BELONGINGS: Final = """
    LEFT JOIN LATERAL (SELECT r.id FROM events.event_records r
                        WHERE r.external_account_id = a.id LIMIT 1) r ON true
    LEFT JOIN LATERAL (SELECT d.id FROM events.event_dispatchers d
                        WHERE d.external_account_id = a.id LIMIT 1) d ON true
"""
_IS_IDLE: Final = "(r.id IS NULL AND d.id IS NULL AND a.metadata IS NULL)"
_ACCOUNTS: Final = f"""
    SELECT a.id, a.environment_id, now() - a.created_at, {_IS_IDLE}
      FROM (SELECT * FROM events.external_accounts WHERE id > %(after)b::uuid
             ORDER BY id LIMIT %(limit)b::bigint) a
      {_BELONGINGS}
     ORDER BY a.id
"""  # nosec B608 - made of constants
_DELETE_ACCOUNTS: Final = f"""
    DELETE FROM events.external_accounts WHERE id = ANY(ARRAY(
        SELECT a.id FROM unnest(%(ids)b) AS w(id)
          JOIN LATERAL (SELECT * FROM events.external_accounts x
                         WHERE x.id = w.id LIMIT 1) a ON true
          {_BELONGINGS}
         WHERE {_IS_IDLE}))
    RETURNING id
"""  # nosec B608


class SqlEventPurge:
    """Implements EventPurge."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._pool = database.pool
        self._clock = clock

    async def environment_after(self, environment_id: UUID) -> UUID | None:
        rows = await self._pool.execute(_NEXT_ENVIRONMENT, {"after": environment_id})
        return rows[0][0] if rows else None

    async def old(
        self, environment_id: UUID, kept: timedelta, after: UUID, limit: int
    ) -> OldEvents:
        rows = await self._pool.execute(
            _OLD,
            {
                "environment_id": environment_id,
                "kept": kept,
                "after": after,
                "before": first_id_at(self._clock.now() - kept, CLOCKS_APART),
                "limit": limit,
            },
        )
        last = rows[-1][0] if rows else None
        return OldEvents([id_ for id_, is_over in rows if is_over], last)

    async def delete(self, environment_id: UUID, record_ids: Sequence[UUID]) -> int:
        return len(
            await self._pool.execute(
                _DELETE,
                {"ids": array_parameter("uuid", record_ids), "environment_id": environment_id},
            )
        )

    async def accounts(self, after: UUID, limit: int) -> Sequence[KnownAccount]:
        rows = await self._pool.execute(_ACCOUNTS, {"after": after, "limit": limit})
        return [KnownAccount(*row) for row in rows]

    async def delete_accounts(self, account_ids: Sequence[UUID]) -> int:
        try:
            async with self._pool.connection() as connection, connection.transaction():
                # None comes into use between the look and the deletion.
                await connection.execute(LOCK_ACCOUNTS, prepare=False)
                cursor = await connection.execute(
                    _DELETE_ACCOUNTS, {"ids": array_parameter("uuid", account_ids)}
                )
                return cursor.rowcount
        except Contended:
            return 0
