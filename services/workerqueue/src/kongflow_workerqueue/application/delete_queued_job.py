"""An operator deletes a queued job that has ended."""

from typing import Protocol
from uuid import UUID

from kongflow_workerqueue.application.intervention import Intervention


class DeleteLedger(Protocol):
    """The ledger as this use case asks it."""

    async def delete(self, id_: UUID, environment_id: UUID | None, by: Intervention) -> None:
        """Delete an ended job. A repeat of the command that brought it is still recognised.

        Raises QueuedJobNotFound and QueuedJobNotEnded.
        """


class DeleteQueuedJob:
    """Deletes a queued job that has ended."""

    def __init__(self, ledger: DeleteLedger) -> None:
        self._ledger = ledger

    async def __call__(self, id_: UUID, environment_id: UUID | None, by: Intervention) -> None:
        """Delete the job. Raises QueuedJobNotFound and QueuedJobNotEnded."""
        await self._ledger.delete(id_, environment_id, by)
