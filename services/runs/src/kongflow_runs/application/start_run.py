"""Starts runs: numbers pending ones and marks them queued."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kongflow_runs.application.ports import RunStarter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """A run to be started, and the trace that it belongs to."""

    environment_id: UUID
    run_id: UUID
    trace_id: str


class StartRuns:
    """Numbers pending runs within their job and marks them QUEUED (docs/behaviour.md#start-run).

    A run that is gone, or no longer pending, is left as it is: its start is done.
    """

    def __init__(self, starter: RunStarter) -> None:
        self._starter = starter

    async def __call__(self, starts: Sequence[Start]) -> None:
        """Starts runs, those of one environment in one transaction."""
        by_environment: defaultdict[UUID, list[Start]] = defaultdict(list)
        for start in starts:
            by_environment[start.environment_id].append(start)
        for environment_id, group in by_environment.items():
            started = set(
                await self._starter.start(environment_id, [start.run_id for start in group])
            )
            for start in group:
                logger.info(
                    "run queued" if start.run_id in started else "run was started before",
                    extra={
                        "trace_id": start.trace_id,
                        "fields": {"run_id": str(start.run_id)},
                    },
                )
