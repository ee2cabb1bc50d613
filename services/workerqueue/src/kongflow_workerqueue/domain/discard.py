"""Why a queued job was given up."""

from dataclasses import dataclass
from uuid import UUID

from kongflow_workerqueue.domain.outcome import CallStatus

__all__ = ["Discard"]


@dataclass(frozen=True, slots=True)
class Discard:
    """Why a job was given up: the answer to its last attempt, and how many it had."""

    status: CallStatus
    attempts: int
    queued_job_id: UUID
