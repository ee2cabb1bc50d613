"""What the use cases of jobs need from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from kongflow_common.filtering import Filter
from kongflow_common.payload import JsonDocument
from kongflow_jobs.domain.dispatcher_wish import DispatcherWish
from kongflow_jobs.domain.job import (
    EventExample,
    Job,
    JobAlias,
    JobPlace,
    JobQueue,
    JobVersion,
    LiveJob,
    ResolvedVersion,
    VersionReference,
)
from kongflow_jobs.domain.registration import Registration


@dataclass(frozen=True, slots=True)
class Registered:
    """A version that is stored; `dispatcher` is what is to be told of it, if anything."""

    job_id: UUID
    version_id: UUID
    dispatcher: DispatcherWish | None


@dataclass(frozen=True, slots=True)
class Disabling:
    """A version that is to be disabled."""

    place: JobPlace
    slug: str
    version: str
    generation: int


@dataclass(frozen=True, slots=True)
class Disabled:
    """What became of it; `dispatcher` is what is to be told of it, if anything."""

    changed: bool
    dispatcher: DispatcherWish | None


class Registry(Protocol):
    """Stores what programs say of their jobs, each call in one transaction."""

    async def register(self, registration: Registration) -> Registered | None:
        """Stores a version with all that belongs to it; None for a deleted, disabled job.

        What is older than the stored version changes nothing.
        """
        ...

    async def disable(self, disabling: Disabling) -> Disabled:
        """Disables a version; an unknown one, and what is older, changes nothing."""
        ...

    async def delete(self, place: JobPlace, job_id: UUID) -> None:
        """Marks a job as deleted; raises JobNotFound and JobNotDisabled."""
        ...


class EventDispatchers(Protocol):
    """The dispatchers of the events service."""

    async def put(self, wish: DispatcherWish) -> Sequence[str]:
        """Has a dispatcher hold what is wished, if nothing newer is; answers its warnings.

        Raises DependencyUnavailable, and InvalidField for what events refuses.
        """
        ...


class VersionLookup(Protocol):
    """Finds versions of jobs."""

    async def resolve(
        self, references: Sequence[VersionReference]
    ) -> Sequence[ResolvedVersion | None]:
        """What each reference stands for; None when there is no such version."""
        ...

    async def live_jobs(
        self, environment_id: UUID, project_id: UUID, endpoint_id: UUID
    ) -> Sequence[LiveJob]:
        """The jobs whose latest version is active and the endpoint's, by slug."""
        ...


class JobReader(Protocol):
    """Reads the jobs of one project, as one of its environments sees them."""

    async def find(self, place: JobPlace, key: UUID | str) -> Job | None:
        """The job with this id or slug, or ``None``."""
        ...

    async def page(
        self,
        place: JobPlace,
        where: Filter | None,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[Job]:
        """The newest jobs with a version in the environment that are older than ``before``."""
        ...

    async def find_version(self, environment_id: UUID, version_id: UUID) -> JobVersion | None:
        """The version, or ``None``."""
        ...

    async def versions(
        self,
        environment_id: UUID,
        job_id: UUID,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[JobVersion]:
        """The newest versions of a job that are older than ``before``."""
        ...

    async def aliases(
        self, environment_id: UUID, job_id: UUID, after: str, limit: int
    ) -> Sequence[JobAlias]:
        """Aliases whose names follow ``after``."""
        ...

    async def examples(
        self, environment_id: UUID, version_id: UUID, after: str, limit: int
    ) -> Sequence[EventExample]:
        """Examples whose slugs follow ``after``."""
        ...

    async def queues(self, environment_id: UUID, after: str, limit: int) -> Sequence[JobQueue]:
        """Queues whose names follow ``after``."""
        ...


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is stored without being delivered."""

    place: JobPlace
    event_id: str
    name: str
    payload: JsonDocument | None
    context: JsonDocument | None
    source: str
    account_id: str
    is_test: bool


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """The record of an event; `created` says whether this call stored it."""

    record_id: UUID
    event_id: str
    external_account_id: UUID | None
    created: bool


class EventRecords(Protocol):
    """The event records of the events service."""

    async def store(self, event: NewEvent) -> StoredEvent:
        """Stores an event, or finds the one with its id; raises DependencyUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that no dispatcher starts; one per event record."""

    place: JobPlace
    event: StoredEvent
    job_id: UUID
    version_id: UUID
    version: str
    is_test: bool


class RunCreator(Protocol):
    """Creates runs in the runs service."""

    async def create(self, run: NewRun) -> UUID:
        """Creates a run, or finds that of its event record; raises DependencyUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class EventOfTest:
    """The version that a test runs, and the event that was stored for it."""

    version_id: UUID
    event: StoredEvent


class RequestedTests(Protocol):
    """Remembers tests by their request ids."""

    async def find(self, environment_id: UUID, request_id: str) -> EventOfTest | None:
        """The test that holds a request id, or ``None``."""
        ...

    async def keep(self, environment_id: UUID, request_id: str, test: EventOfTest) -> EventOfTest:
        """Keeps a test under a request id; answers the one that holds it."""
        ...
