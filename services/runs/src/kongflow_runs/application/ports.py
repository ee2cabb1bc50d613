"""What the use cases of runs need from outside."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from kongflow_common.filtering import Filter
from kongflow_runs.domain.run import NewRun, Run


class RunWriter(Protocol):
    """Stores new runs, each together with its queued start."""

    async def create(self, run: NewRun) -> UUID:
        """Stores a run and enqueues its start in one transaction.

        Answers the id of the run that holds the place of (event record, dispatcher, job): the
        new one, or the one that was there before. Concurrent calls share a transaction.
        Raises RunPlaceTaken when the place is held in another environment.
        """
        ...


class RunStarter(Protocol):
    """Numbers pending runs and marks them queued."""

    async def start(self, environment_id: UUID, run_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Numbers the pending ones among the runs and marks them QUEUED, in one transaction.

        Answers the ids of the runs that this call changed. Others are left as they are.
        """
        ...


class RunReader(Protocol):
    """Finds runs of one environment."""

    async def find(self, environment_id: UUID, run_id: UUID) -> Run | None:
        """The run, or ``None`` when this environment has no such run."""
        ...

    async def page(
        self,
        environment_id: UUID,
        where: Filter | None,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[Run]:
        """The newest runs that the filter takes and that are older than ``before``."""
        ...
