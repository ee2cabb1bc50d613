"""Cancels the runs of an event."""

from uuid import UUID

from kongflow_events.application.invocation_ports import CancelledRuns, RunCanceller
from kongflow_events.application.ports import EventKey, EventReader
from kongflow_events.domain.errors import EventNotFound

__all__ = ["CancelRunsForEvent"]


class CancelRunsForEvent:
    """Has the runs of the event that have not ended cancelled. Idempotent.

    Invocations that are still planned create their runs all the same. Raises EventNotFound, and
    DependencyUnavailable when the runs service could not be asked.
    """

    def __init__(self, reader: EventReader, runs: RunCanceller) -> None:
        self._reader = reader
        self._runs = runs

    async def __call__(self, environment_id: UUID, key: EventKey) -> CancelledRuns:
        found = await self._reader.find_event(environment_id, key)
        if found is None:
            raise EventNotFound(key)
        record, _ = found
        return await self._runs.cancel_runs(environment_id, record.id)
