"""Reads dispatchers and events for invocations, a batch in one statement."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.payload import JsonDocument
from kongflow_events.application.invocation_ports import InvokedDispatcher, InvokedEvent
from kongflow_events.domain.event_record import Tenancy

__all__ = ["SqlInvocationReader"]

_KEYS: Final = RowParameters(
    "k", place="integer", dispatcher_id="uuid", event_record_id="uuid", environment_id="uuid"
)

# LATERAL and OFFSET keep the look-up by id apart from the environment's condition: while a table
# is new the planner would rather walk through all events of the environment than find one.
_READ: Final = f"""
    SELECT d.id, d.enabled, convert_to(d.dispatchable::text, 'UTF8'),
           r.id, r.event_id, r.environment_id, r.project_id, r.organization_id,
           r.external_account_id, r.is_test, r.internal
      FROM {_KEYS.source}
      LEFT JOIN events.event_dispatchers d
        ON d.id = k.dispatcher_id
       AND (k.environment_id IS NULL OR k.environment_id = d.environment_id)
      LEFT JOIN LATERAL (
          SELECT * FROM events.event_records e WHERE e.id = k.event_record_id OFFSET 0
      ) r ON r.environment_id = d.environment_id
     ORDER BY k.place
"""


class SqlInvocationReader:
    """Implements InvocationReader."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(
        self, keys: Sequence[tuple[UUID, UUID, UUID | None]]
    ) -> Sequence[tuple[InvokedDispatcher | None, InvokedEvent | None]]:
        rows = await self._database.pool.execute(
            _READ, _KEYS.bind([(place, *key) for place, key in enumerate(keys)])
        )
        return [(_dispatcher(row), _event(row)) for row in rows]


def _dispatcher(row: Sequence[Any]) -> InvokedDispatcher | None:
    if row[0] is None:
        return None
    return InvokedDispatcher(id=row[0], enabled=row[1], dispatchable=JsonDocument(row[2]))


def _event(row: Sequence[Any]) -> InvokedEvent | None:
    if row[3] is None:
        return None
    return InvokedEvent(
        id=row[3],
        event_id=row[4],
        tenancy=Tenancy(environment_id=row[5], project_id=row[6], organization_id=row[7]),
        external_account_id=row[8],
        is_test=row[9],
        internal=row[10],
    )
