"""Reads runs of one environment."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from kongflow_common.filtering import FieldType, Filter, FilterField
from kongflow_runs.application.ports import RunReader
from kongflow_runs.domain.errors import RunNotFound
from kongflow_runs.domain.run import Run, RunState

RUN_FILTER_FIELDS = (
    FilterField("state", FieldType.ENUM, [state.value for state in RunState]),
    FilterField("job_id", FieldType.ID),
    FilterField("event_record_id", FieldType.ID),
    FilterField("dispatcher_id", FieldType.ID),
    FilterField("job_slug", FieldType.TEXT),
    FilterField("test", FieldType.BOOLEAN),
    FilterField("create_time", FieldType.TIME),
)
"""What a list of runs may be filtered by."""


class GetRun:
    """Finds one run."""

    def __init__(self, reader: RunReader) -> None:
        self._reader = reader

    async def __call__(self, environment_id: UUID, run_id: UUID) -> Run:
        """The run; raises RunNotFound when this environment has no such run."""
        run = await self._reader.find(environment_id, run_id)
        if run is None:
            raise RunNotFound(run_id)
        return run


class ListRuns:
    """Finds a page of runs."""

    def __init__(self, reader: RunReader) -> None:
        self._reader = reader

    async def __call__(
        self,
        environment_id: UUID,
        where: Filter | None,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[Run]:
        """The newest runs that the filter takes and that are older than ``before``."""
        return await self._reader.page(environment_id, where, before, limit)
