"""Starts runs: finds out what pending ones execute, numbers them and has them executed."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from kongflow_common.logging import log_each
from kongflow_common.tracing import trace_id_of
from kongflow_runs.application.ports import Environments, RunStarter, VersionResolver
from kongflow_runs.domain.run import RunState
from kongflow_runs.domain.start import Startable, StartedAs, start

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
        return trace_id_of(self.traceparent)


class PlanStarts:
    """Finds out how runs go on that nobody has started (docs/behaviour.md#start-run)."""

    def __init__(self, versions: VersionResolver, environments: Environments) -> None:
        self._versions = versions
        self._environments = environments

    async def __call__(self, runs: Sequence[Startable]) -> Sequence[StartedAs]:
        """How each of the runs goes on; raises DependencyUnavailable when nobody could say."""
        versions = await self._versions.resolve(runs)
        # By the ids' numbers: a UUID's hash is Python code.
        environment_ids = {run.environment_id.int: run.environment_id for run in runs}
        enabled = {
            number: await self._is_enabled(environment_id)
            for number, environment_id in environment_ids.items()
        }
        return [
            start(run, version, runs_enabled=enabled[run.environment_id.int])
            for run, version in zip(runs, versions, strict=True)
        ]

    async def _is_enabled(self, environment_id: UUID) -> bool:
        environment = await self._environments.describe(environment_id)
        return environment is not None and environment.runs_enabled


class StartRuns:
    """Numbers pending runs within their job and enqueues their execution.

    See docs/behaviour.md#start-run. A run that is gone, or no longer pending, is left as it is:
    its start is done.
    """

    def __init__(self, starter: RunStarter, plan_starts: PlanStarts) -> None:
        self._starter = starter
        self._plan_starts = plan_starts

    async def __call__(self, starts: Sequence[Start]) -> None:
        """Starts runs, those of one environment in one transaction.

        Raises DependencyUnavailable when nobody could say what they execute.
        """
        by_environment: defaultdict[UUID, list[Start]] = defaultdict(list)
        for each in starts:
            by_environment[each.environment_id].append(each)
        for environment_id, group in by_environment.items():
            await self._start(environment_id, group)

    async def _start(self, environment_id: UUID, group: Sequence[Start]) -> None:
        traces = {each.run_id: each for each in group}
        pending = await self._starter.pending(environment_id, list(traces))
        started: dict[UUID, RunState] = {}
        if pending:
            plans = await self._plan_starts(pending)
            started = dict(
                await self._starter.start(
                    environment_id, [(plan, traces[plan.run_id].traceparent) for plan in plans]
                )
            )
        lines: defaultdict[RunState | None, list[tuple[str, Mapping[str, object]]]]
        lines = defaultdict(list)
        for run_id, each in traces.items():
            lines[started.get(run_id)].append((each.trace_id, {"run_id": str(run_id)}))
        for state, group_lines in lines.items():
            message = "run was started before" if state is None else f"run {state.value.lower()}"
            log_each(logger, message, group_lines)
