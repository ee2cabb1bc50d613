"""Has the endpoint execute a run once."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from kongflow_runs.application.ports import (
    Endpoints,
    Environments,
    Events,
    ExecutionTurn,
    RunExecutions,
)
from kongflow_runs.domain.execution import (
    Ended,
    EndpointOutcome,
    ExecutingRun,
    TryAgain,
    Verdict,
    WithoutUrl,
    ended_with,
    execution_body,
    judge,
)
from kongflow_runs.domain.run import RunState

logger = logging.getLogger(__name__)

_PATIENCE_MS = 20_000
"""How much longer than its limit an endpoint may take before we give it up."""


@dataclass(frozen=True, slots=True)
class PerformRunExecution:
    """An execution that is due, in a turn of its queued job."""

    environment_id: UUID
    run_id: UUID
    turn: ExecutionTurn
    trace_id: str


class PerformRunExecutions:
    """Executes a run and stores what came of it (docs/behaviour.md#executing-a-run).

    The turn is the fence: of two executions of one queued job only the newer one stores anything.
    The endpoint may be asked more than once, as it is after a crash.
    """

    def __init__(
        self,
        executions: RunExecutions,
        events: Events,
        environments: Environments,
        endpoints: Endpoints,
    ) -> None:
        self._executions = executions
        self._events = events
        self._environments = environments
        self._endpoints = endpoints

    async def __call__(self, command: PerformRunExecution) -> timedelta | None:
        """After how long to come again; None when the run has ended.

        Raises OutdatedTurn, and DependencyUnavailable when a service could not be asked.
        """
        run = await self._executions.begin(command.environment_id, command.run_id, command.turn)
        if run is None:
            return None
        verdict, outcome = await self._execute(run)
        stored = await self._executions.finish(run, command.turn, verdict, outcome.duration_ms)
        _log(command, run, verdict, stored=stored)
        if isinstance(verdict, TryAgain):
            return timedelta(milliseconds=verdict.delay_ms)
        return None

    async def _execute(self, run: ExecutingRun) -> tuple[Verdict, EndpointOutcome]:
        event, environment, limits = await asyncio.gather(
            self._events.read(run.environment_id, run.event_record_id),
            self._environments.describe(run.environment_id),
            self._endpoints.limits(run.environment_id, run.endpoint_id),
        )
        nothing = WithoutUrl()
        if event is None:
            return ended_with(RunState.FAILURE, "The event of this run is gone"), nothing
        if environment is None:
            return ended_with(RunState.ABORTED, "The environment of this run is gone"), nothing
        if limits is None:
            return ended_with(RunState.FAILURE, "The endpoint of this run is gone"), nothing
        if not limits.has_url:
            return judge(nothing, run, environment), nothing
        outcome = await self._endpoints.execute(
            run.environment_id,
            run.endpoint_id,
            execution_body(run, event, environment, limits),
            timeout_ms=limits.run_chunk_execution_ms + _PATIENCE_MS,
        )
        return judge(outcome, run, environment), outcome


class FailRun:
    """Ends a run whose execution was given up; one that has ended stays as it is."""

    def __init__(self, executions: RunExecutions) -> None:
        self._executions = executions

    async def __call__(self, environment_id: UUID, run_id: UUID, reason: str) -> None:
        """`reason` is what people are told."""
        ended = ended_with(RunState.FAILURE, reason)
        await self._executions.fail(environment_id, run_id, ended)


def _log(
    command: PerformRunExecution, run: ExecutingRun, verdict: Verdict, *, stored: bool
) -> None:
    state = verdict.state.value if isinstance(verdict, Ended) else "again later"
    logger.info(
        "run executed" if stored else "an outdated execution stores nothing",
        extra={
            "trace_id": command.trace_id,
            "fields": {
                "run_id": str(run.id),
                "environment_id": str(run.environment_id),
                "job": run.job_slug,
                "outcome": state,
            },
        },
    )
