"""Creates runs: one per event record, dispatcher and job, whatever is repeated."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from kongflow_common.ids import id_text
from kongflow_common.logging import log_each
from kongflow_common.tracing import trace_id_of
from kongflow_runs.application.ports import RunWriter, StartPlanner
from kongflow_runs.domain.run import CreatedRun, NewRun, RunState
from kongflow_runs.domain.start import StartedAs

logger = logging.getLogger(__name__)


class CreateRun:
    """Stores runs as started ones, or with their queued starts (docs/behaviour.md#create-run).

    Without `planner` all starts are queued.
    """

    def __init__(self, writer: RunWriter, planner: StartPlanner | None = None) -> None:
        self._writer = writer
        self._planner = planner

    async def __call__(self, run: NewRun) -> UUID:
        """Creates one run; answers its id, or that of the run that is there already."""
        [created] = await self.many([run])
        if isinstance(created, Exception):
            raise created
        return created

    async def many(self, runs: Sequence[NewRun]) -> Sequence[UUID | Exception]:
        """Creates runs in one transaction where it can; a failure stands in its run's place."""
        plans: Sequence[StartedAs | None] = [None] * len(runs)
        if runs and self._planner is not None:
            plans = await self._planner.plan(runs)
        created = await self._writer.create_many(list(zip(runs, plans, strict=True)))
        _log(
            (run, answer)
            for run, answer in zip(runs, created, strict=True)
            if isinstance(answer, CreatedRun)
        )
        return [answer.id if isinstance(answer, CreatedRun) else answer for answer in created]


def _log(created: Iterable[tuple[NewRun, CreatedRun]]) -> None:
    lines: dict[str, list[tuple[str, Mapping[str, object]]]] = {}
    for run, (id_, state) in created:
        run_id, trace_id = id_text(id_), trace_id_of(run.traceparent)
        message = "run found" if state is None else "run created"
        fields = {"run_id": run_id, "event_record_id": id_text(run.event_record_id)}
        lines.setdefault(message, []).append((trace_id, fields))
        if state is not None and state is not RunState.PENDING:
            started = f"run {state.value.lower()}"
            lines.setdefault(started, []).append((trace_id, {"run_id": run_id}))
    for message, group in lines.items():
        log_each(logger, message, group)
