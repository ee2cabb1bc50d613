"""The port through which a relay hands messages to the worker queue."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kongflow_common.outbox.message import OutboxMessage

__all__ = ["EnqueueOutcome", "Enqueuer", "Refusal"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the worker queue will never take a message.

    `code` is a status such as INVALID_ARGUMENT, `reason` a word for programs such as
    UNKNOWN_QUEUE, `message` is for people.
    """

    code: str
    reason: str
    message: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EnqueueOutcome:
    """What became of a message: taken, or refused for good when `refusal` is set.

    `queued_job_id` is the job that was stored, replaced, found or removed; empty if none.
    """

    queued_job_id: str = ""
    unique_skipped_as_duplicate: bool = False
    refusal: Refusal | None = None


class Enqueuer(Protocol):
    """Hands messages to the worker queue."""

    async def enqueue(self, messages: Sequence[OutboxMessage]) -> list[EnqueueOutcome]:
        """Hand messages over: one outcome each, in their order; ends within 10 seconds.

        A message whose id was seen before is answered as it was then. Raises
        DependencyUnavailable when the worker queue could not be asked or did not answer (which
        includes refusing to listen to this service at all); any other error says that something
        is wrong with what was sent, without saying with which.
        """
        ...
