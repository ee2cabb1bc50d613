"""What invocations need of the outside: dispatchers and events, runs, triggers and URLs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from kongflow_common.errors import KongflowError
from kongflow_common.payload import JsonDocument
from kongflow_events.application.read_event_record import ExecutedEvent
from kongflow_events.domain.event_record import Tenancy

__all__ = [
    "CancelledRuns",
    "DynamicTriggerJobs",
    "EphemeralCall",
    "EphemeralCaller",
    "EphemeralDesk",
    "InvocationReader",
    "InvokedDispatcher",
    "InvokedEvent",
    "NewRun",
    "RunCanceller",
    "RunCreator",
]


@dataclass(frozen=True, slots=True)
class InvokedDispatcher:
    """What an invocation reads of its dispatcher."""

    id: UUID
    enabled: bool
    dispatchable: JsonDocument


# Not frozen, as NewEvent.
@dataclass(slots=True)
class InvokedEvent:
    """What an invocation reads of its event."""

    id: UUID
    event_id: str
    tenancy: Tenancy
    external_account_id: UUID | None
    is_test: bool
    internal: bool


class InvocationReader(Protocol):
    """Reads what invocations need."""

    async def read(
        self, keys: Sequence[tuple[UUID, UUID, UUID | None]]
    ) -> Sequence[tuple[InvokedDispatcher | None, InvokedEvent | None]]:
        """Dispatcher and event of each (dispatcher id, event record id, environment id).

        Both are found in that environment only, if one is given, and always in the same one.
        """
        ...


# Not frozen, as NewEvent.
@dataclass(slots=True)
class NewRun:
    """A run to be created; unique by event record, dispatcher and job."""

    event: InvokedEvent
    dispatcher_id: UUID
    job_id: UUID
    alias: str | None
    version: str | None
    version_id: UUID | None
    traceparent: str


class RunCreator(Protocol):
    """Creates runs, which belong to another context."""

    async def create_runs(self, runs: Sequence[NewRun]) -> Sequence[UUID | KongflowError]:
        """The id of each run, or why it was not created; a repeat answers with the same run.

        Raises DependencyUnavailable when nobody could be asked.
        """
        ...


class DynamicTriggerJobs(Protocol):
    """Knows which jobs a dynamic trigger starts."""

    async def jobs_of(
        self, environment_id: UUID, trigger_ids: Sequence[UUID]
    ) -> Mapping[UUID, Sequence[UUID]]:
        """The jobs of each trigger that have a latest version in the environment.

        A trigger that is not there, or has no such jobs, may be missing. Raises
        DependencyUnavailable when nobody could be asked.
        """
        ...


@dataclass(frozen=True, slots=True)
class EphemeralCall:
    """A call that has been begun: nobody else makes it until its time is over."""

    dispatcher_id: UUID
    environment_id: UUID
    event_record_id: UUID
    url: str


class EphemeralDesk(Protocol):
    """Sees to it that of all events one is told to an ephemeral dispatcher, by one caller."""

    async def claim(self, dispatcher_id: UUID, event: InvokedEvent, traceparent: str) -> bool:
        """Claim the dispatcher for the event and enqueue its call, in one transaction.

        From then on it takes no events. False, and nothing is done, where another event has
        claimed it, or it is disabled or gone. Claimed again for the same event it is enqueued
        again, which the job key makes harmless.
        """
        ...

    async def begin(
        self, environment_id: UUID, dispatcher_id: UUID, event_record_id: UUID, lease: timedelta
    ) -> EphemeralCall | timedelta | None:
        """Begin the call, which others leave alone for `lease`.

        Answers how long somebody else has it still, or None when there is nothing to call:
        another event has claimed the dispatcher, one of the two is gone, the dispatcher is
        disabled or the event cancelled.
        """
        ...

    async def give_back(self, call: EphemeralCall) -> None:
        """Say that the call has failed and may be made again at once."""
        ...

    async def expire(self, environment_id: UUID, dispatcher_id: UUID) -> bool:
        """Delete the dispatcher if it is an ephemeral one, with the plan to do so."""
        ...


class EphemeralCaller(Protocol):
    """Calls the URLs of ephemeral dispatchers."""

    async def call(self, url: str, event: ExecutedEvent) -> None:
        """Tell the URL of the event. Raises EphemeralCallFailed or EphemeralUrlRefused."""
        ...


@dataclass(frozen=True, slots=True)
class CancelledRuns:
    """The runs that were cancelled, and those that could not be now."""

    cancelled: Sequence[UUID]
    failed: Sequence[UUID]


class RunCanceller(Protocol):
    """Cancels runs, which belong to another context."""

    async def cancel_runs(self, environment_id: UUID, event_record_id: UUID) -> CancelledRuns:
        """Cancel the event's runs that have not ended, in that environment only.

        Raises DependencyUnavailable when nobody could be asked.
        """
        ...
