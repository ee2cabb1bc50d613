"""Starts runs: finds out what pending ones execute, numbers them and has them executed."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from kongflow_common.logging import log_each
from kongflow_runs.application.ports import Environments, RunStarter, VersionResolver
from kongflow_runs.domain.run import NewRun, RunState
from kongflow_runs.domain.start import PendingRun, start

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """A run to be started, and the trace that it belongs to."""

    environment_id: UUID
    run_id: UUID
    traceparent: str

    @property
    def trace_id(self) -> str:
        """The part of the trace that log lines show."""
        return self.traceparent[3:35]


class StartRuns:
    """Numbers pending runs within their job and enqueues their execution.

    See docs/behaviour.md#start-run. A run that is gone, or no longer pending, is left as it is:
    its start is done.
    """

    def __init__(
        self, starter: RunStarter, versions: VersionResolver, environments: Environments
    ) -> None:
        self._starter = starter
        self._versions = versions
        self._environments = environments

    async def __call__(self, starts: Sequence[Start]) -> None:
        """Starts runs, those of one environment in one transaction.

        Raises DependencyUnavailable when nobody could say what they execute.
        """
        by_environment: defaultdict[UUID, list[Start]] = defaultdict(list)
        for each in starts:
            by_environment[each.environment_id].append(each)
        for environment_id, group in by_environment.items():
            await self._start(environment_id, group)

    async def created(self, runs: Sequence[NewRun]) -> None:
        """Starts runs that were stored a moment ago; raises as the call does.

        What of them is read otherwise is known; that they are still pending is asked by the
        statement that starts them.
        """
        by_environment: defaultdict[UUID, list[NewRun]] = defaultdict(list)
        for run in runs:
            by_environment[run.environment_id].append(run)
        for environment_id, group in by_environment.items():
            pending = [
                PendingRun(run.id, run.job_id, run.selector, run.version_id) for run in group
            ]
            traces = {run.id: Start(environment_id, run.id, run.traceparent) for run in group}
            await self._start_pending(environment_id, pending, traces)

    async def _start(self, environment_id: UUID, group: Sequence[Start]) -> None:
        traces = {each.run_id: each for each in group}
        pending = await self._starter.pending(environment_id, list(traces))
        await self._start_pending(environment_id, pending, traces)

    async def _start_pending(
        self, environment_id: UUID, pending: Sequence[PendingRun], traces: Mapping[UUID, Start]
    ) -> None:
        started: dict[UUID, RunState] = {}
        if pending:
            versions = await self._versions.resolve(environment_id, pending)
            environment = await self._environments.describe(environment_id)
            enabled = environment is not None and environment.runs_enabled
            plans = [
                (start(run, version, runs_enabled=enabled), traces[run.id].traceparent)
                for run, version in zip(pending, versions, strict=True)
            ]
            started = dict(await self._starter.start(environment_id, plans))
        lines: defaultdict[RunState | None, list[tuple[str, Mapping[str, object]]]]
        lines = defaultdict(list)
        for run_id, each in traces.items():
            lines[started.get(run_id)].append((each.trace_id, {"run_id": str(run_id)}))
        for state, group in lines.items():
            message = "run was started before" if state is None else f"run {state.value.lower()}"
            log_each(logger, message, group)
