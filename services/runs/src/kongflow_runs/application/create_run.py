"""Creates runs: one per event record, dispatcher and job, whatever is repeated."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from kongflow_common.logging import log_each
from kongflow_runs.application.ports import RunWriter
from kongflow_runs.domain.run import NewRun

logger = logging.getLogger(__name__)


class CreateRun:
    """Stores runs with their queued starts (docs/behaviour.md#create-run)."""

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer

    async def __call__(self, run: NewRun) -> UUID:
        """Creates one run; answers its id, or that of the run that is there already."""
        run_id = await self._writer.create(run)
        _log([(run, run_id)])
        return run_id

    async def many(self, runs: Sequence[NewRun]) -> Sequence[UUID | Exception]:
        """Creates runs in one transaction where it can; a failure stands in its run's place."""
        created = await self._writer.create_many(runs)
        _log(
            (run, run_id)
            for run, run_id in zip(runs, created, strict=True)
            if isinstance(run_id, UUID)
        )
        return created


def _log(created: Iterable[tuple[NewRun, UUID]]) -> None:
    lines: dict[str, list[tuple[str, Mapping[str, object]]]] = {}
    for run, run_id in created:
        message = "run created" if run_id == run.id else "run found"
        fields = {"run_id": str(run_id), "event_record_id": str(run.event_record_id)}
        lines.setdefault(message, []).append((run.traceparent[3:35], fields))
    for message, group in lines.items():
        log_each(logger, message, group)
