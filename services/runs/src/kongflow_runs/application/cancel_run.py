"""Ends runs before they have ended by themselves: one, or all of an event."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_runs.application.ports import RunCanceller, RunReader
from kongflow_runs.domain.errors import RunNotFound
from kongflow_runs.domain.run import Run

logger = logging.getLogger(__name__)

_RUNS_AT_ONCE = 500
"""Few enough that one transaction is over soon."""


class CancelRun:
    """Cancels a run (docs/behaviour.md#cancelling-runs). Idempotent."""

    def __init__(self, canceller: RunCanceller, reader: RunReader) -> None:
        self._canceller = canceller
        self._reader = reader

    async def __call__(self, environment_id: UUID, run_id: UUID) -> Run:
        """The run, cancelled or as it ended before. Raises RunNotFound."""
        if await self._canceller.cancel(environment_id, [run_id]):
            _log(environment_id, run_id)
        run = await self._reader.find(environment_id, run_id)
        if run is None:
            raise RunNotFound(run_id)
        return run


@dataclass(frozen=True, slots=True)
class CancelledRuns:
    """The runs that were cancelled, and those that could not be now."""

    cancelled: Sequence[UUID]
    failed: Sequence[UUID]


class CancelRunsOfEvent:
    """Cancels the runs of an event record that have not ended, a part per transaction.

    Idempotent. Runs that end by themselves meanwhile are neither cancelled nor failed. A part
    that the database refuses is answered as failed and the next one is tried; when it cannot
    even say which runs there are, what it raised is raised.
    """

    def __init__(self, canceller: RunCanceller, *, runs_at_once: int = _RUNS_AT_ONCE) -> None:
        self._canceller = canceller
        self._runs_at_once = runs_at_once

    async def __call__(self, environment_id: UUID, event_record_id: UUID) -> CancelledRuns:
        """What became of the runs."""
        cancelled: list[UUID] = []
        failed: list[UUID] = []
        after = UUID(int=0)
        while True:
            part = await self._canceller.unfinished(
                environment_id, event_record_id, after, self._runs_at_once
            )
            if not part:
                return CancelledRuns(cancelled, failed)
            try:
                done = await self._canceller.cancel(environment_id, part)
            except (Contended, DependencyUnavailable):
                failed.extend(part)
            else:
                for run_id in done:
                    _log(environment_id, run_id)
                cancelled.extend(done)
            after = part[-1]


def _log(environment_id: UUID, run_id: UUID) -> None:
    logger.info(
        "run cancelled",
        extra={"fields": {"run_id": str(run_id), "environment_id": str(environment_id)}},
    )
