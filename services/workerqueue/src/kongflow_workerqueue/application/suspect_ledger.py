"""What is asked of the ledger about suspected jobs."""

from datetime import timedelta
from typing import Protocol
from uuid import UUID

from kongflow_workerqueue.application.ports import ClaimedJob


class SuspectLedger(Protocol):
    """The ledger as suspected jobs are run alone from it."""

    async def suspected(self) -> dict[str, int]:
        """Return what suspected jobs wait for (waiting_alone of their targets).

        With each the strongest suspicion there is. Those in paused queues are left out.
        """

    async def claim_suspects(
        self,
        worker_id: UUID,
        waiting_for: str,
        *,
        quiet: timedelta,
        alone: timedelta,
        limit: int = 1,
    ) -> list[ClaimedJob]:
        """Claim the next suspected jobs of a target, those least suspected first.

        More than one only of those that were never lost among suspects. None while another one
        has run for less than `alone`, or one was lost within `quiet`, or its queue is paused.
        """
