"""An operator looks at periodic jobs, pauses, resumes or runs one."""

from collections.abc import Callable, Sequence
from uuid import UUID

from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.application.periodic_jobs import PeriodicJob, PeriodicOperatorLedger


class SteerPeriodicJobs:
    """What operators do with periodic jobs. All but `list` raise PeriodicJobNotFound."""

    def __init__(self, ledger: PeriodicOperatorLedger, new_id: Callable[[], UUID]) -> None:
        self._ledger = ledger
        self._new_id = new_id

    async def list(self, *, after: str, limit: int) -> Sequence[PeriodicJob]:
        """Return periodic jobs by name, those after the name `after`."""
        return await self._ledger.list(after=after, limit=limit)

    async def pause(self, name: str, by: Intervention) -> PeriodicJob:
        """Have one enqueue nothing until it is resumed."""
        return await self._ledger.pause(name, by)

    async def resume(self, name: str, by: Intervention) -> PeriodicJob:
        """Let one go on; what passed meanwhile is left out."""
        return await self._ledger.resume(name, by)

    async def run(self, name: str, by: Intervention) -> tuple[PeriodicJob, UUID | None]:
        """Enqueue a job at once; None if one that counts as the same has not ended."""
        return await self._ledger.run(name, self._new_id(), by)
