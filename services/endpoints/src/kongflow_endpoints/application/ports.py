"""What the use cases of endpoints need from outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from pydantic import SecretStr

from kongflow_common.filtering import Filter
from kongflow_common.payload import JsonDocument
from kongflow_endpoints.domain.endpoint import (
    Endpoint,
    EndpointIndex,
    IndexFailure,
    IndexItem,
    IndexSource,
    NewItem,
    Outcome,
    Place,
    Wish,
)
from kongflow_protocol.endpoint import Found

EndpointKey = UUID | str
"""An endpoint's id, or its slug."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What a program holds.

    `moved_to` is where it said it is for good, if it did; the versions are those it speaks.
    """

    items: tuple[Found, ...]
    moved_to: str | None
    version: str | None
    sdk_version: str | None


@dataclass(frozen=True, slots=True)
class Called:
    """A program answered; `timed_out`: its platform ended the execution."""

    status_code: int
    body: bytes
    run_metadata: str
    timed_out: bool
    duration: timedelta


@dataclass(frozen=True, slots=True)
class NotCalled:
    """A program could not be asked, or did not answer; `permanent`: nor will it later."""

    message: str
    permanent: bool
    timed_out: bool
    duration: timedelta


class EndpointProgram(Protocol):
    """Speaks to users' programs; every call has a deadline of its own."""

    async def ping(self, url: str, slug: str, key: SecretStr) -> str | None:
        """Asks whether the endpoint is there; answers which version of the protocol it speaks.

        Raises EndpointPingFailed, with what was said, and InvalidField `url` where nothing may be
        called.
        """
        ...

    async def validate(self, url: str, key: SecretStr) -> str:
        """Asks which endpoint is there; raises as ping."""
        ...

    async def index(self, url: str, key: SecretStr) -> Indexed | IndexFailure:
        """Asks what it holds."""
        ...

    async def execute(
        self, url: str, key: SecretStr, body: bytes, timeout: timedelta
    ) -> Called | NotCalled:
        """Has it execute a job, once."""
        ...

    async def probe(self, url: str, key: SecretStr, lasting: timedelta) -> Called | NotCalled:
        """Has it do nothing for so long: its platform may end that sooner."""
        ...


class SecretKeys(Protocol):
    """The keys by which programs know us."""

    async def of_environment(self, environment_id: UUID) -> SecretStr | None:
        """The newest usable one; raises DependencyUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class RegistrationRefused(Exception):
    """A job cannot be registered, now or later; `reason` is for people."""

    reason: str


class JobRegistry(Protocol):
    """The jobs service. Raises DependencyUnavailable, and RegistrationRefused for good."""

    async def live_jobs(self, endpoint: Endpoint) -> Sequence[tuple[str, str, bool]]:
        """Slug, version and whether it is internal, of each job that is live at an endpoint."""
        ...

    async def register(
        self, place: Place, endpoint_id: UUID, metadata: bytes, generation: int
    ) -> Sequence[str]:
        """Registers a job; answers warnings."""
        ...

    async def disable(self, place: Place, slug: str, version: str, generation: int) -> bool:
        """Disables a version of a job; answers whether it was active."""
        ...


class EndpointsQueue(Protocol):
    """Queued jobs of this context, always within the unit of work that they belong to."""

    async def enqueue_index_endpoint(
        self, index_id: UUID, environment_id: UUID, *, run_at: datetime | None = None
    ) -> None:
        """Has an index performed."""
        ...

    async def enqueue_register_jobs(
        self, index_id: UUID, environment_id: UUID, item_ids: Sequence[UUID]
    ) -> None:
        """Has the jobs of items registered or disabled."""
        ...


@dataclass(frozen=True, slots=True)
class NewIndex:
    """An index that is asked for."""

    source: IndexSource
    reason: str | None = None
    data: JsonDocument | None = None


@dataclass(frozen=True, slots=True)
class DueIndex:
    """An index that is to be performed; `fetched`: its items are there."""

    id: UUID
    endpoint: Endpoint
    generation: int
    fetched: bool


class EndpointRepository(Protocol):
    """Endpoints, within a unit of work."""

    async def upsert(
        self,
        endpoint_id: UUID,
        place: Place,
        slug: str,
        url: str,
        version: str | None,
        hook_identifier: str,
        environment_type: str,
    ) -> Endpoint:
        """Stores an endpoint, or gives the one with the slug another URL.

        Of one that is there a version that is None stays, and the hook's identifier always does.
        """
        ...

    async def lock(self, environment_id: UUID, key: EndpointKey) -> Endpoint | None:
        """The endpoint; nobody else changes it until the commit."""
        ...

    async def change(
        self,
        endpoint_id: UUID,
        *,
        url: str | None,
        run_chunk_execution_limit: int | None = None,
        version: str | None = None,
    ) -> Endpoint:
        """Gives an endpoint these values; a limit and a version that are None stay.

        A limit is the user's from then on; one that was measured at another URL is so no more.
        """
        ...

    async def measured(self, endpoint_id: UUID, url: str, run_chunk_execution_limit: int) -> bool:
        """Gives an endpoint the limit that was measured at its URL.

        Answers False where it has another URL by now, or a user's limit.
        """
        ...


class IndexRepository(Protocol):
    """Indexes, within a unit of work."""

    async def add(self, endpoint: Endpoint, new: NewIndex) -> EndpointIndex:
        """Stores an index, PENDING."""
        ...

    async def find_mergeable(self, endpoint_id: UUID, source: IndexSource) -> EndpointIndex | None:
        """The index that a new one of this source would repeat, or ``None``."""
        ...


class UnitOfWork(Protocol):
    """A transaction; left without a commit it has changed nothing."""

    endpoints: EndpointRepository
    indexes: IndexRepository
    queue: EndpointsQueue

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def commit(self) -> None:
        """Makes all of it durable."""
        ...


NewUnitOfWork = Callable[[], UnitOfWork]


@dataclass(frozen=True, slots=True)
class DueItem:
    """An item whose job is to be registered or disabled."""

    id: UUID
    index_id: UUID
    endpoint_id: UUID
    place: Place
    generation: int
    wish: Wish
    key: str
    version: str
    metadata: bytes


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of an item."""

    item_id: UUID
    index_id: UUID
    outcome: Outcome
    changed: bool = True
    error: str | None = None
    warnings: tuple[str, ...] = ()


class IndexPerformance(Protocol):
    """The stored side of performing indexes, each call in one transaction."""

    async def begin(self, environment_id: UUID, index_id: UUID) -> DueIndex | None:
        """Marks an index as STARTED; None when it has ended or is gone."""
        ...

    async def fail(self, environment_id: UUID, index_id: UUID, failure: IndexFailure) -> bool:
        """Ends an index that has not ended: FAILURE."""
        ...

    async def store(self, index: DueIndex, found: Indexed, items: Sequence[NewItem]) -> bool:
        """Stores what an index found and enqueues its registration.

        Answers whether this call did so; another one may have been first.
        """
        ...

    async def unsettled_jobs(self, index: DueIndex) -> Sequence[tuple[str, str, bool]]:
        """What earlier indexes of the endpoint have still to register, as JobRegistry.live_jobs."""
        ...

    async def due_items(self, environment_id: UUID, item_ids: Sequence[UUID]) -> Sequence[DueItem]:
        """Those of the items that are pending."""
        ...

    async def settle(self, environment_id: UUID, settled: Sequence[Settled]) -> Sequence[UUID]:
        """Writes what became of items that are pending; with its last one an index ends.

        Answers the indexes that have ended with it.
        """
        ...


class EndpointReader(Protocol):
    """Reads the endpoints of one environment."""

    async def find(self, environment_id: UUID, key: EndpointKey) -> Endpoint | None:
        """The endpoint, or ``None``."""
        ...

    async def page(
        self, environment_id: UUID, before: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[Endpoint]:
        """The newest endpoints that are older than ``before``."""
        ...

    async def find_index(self, environment_id: UUID, index_id: UUID) -> EndpointIndex | None:
        """The index with its failed items, or ``None``."""
        ...

    async def indexes(
        self,
        environment_id: UUID,
        endpoint_id: UUID,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[EndpointIndex]:
        """The newest indexes of an endpoint that are older than ``before``."""
        ...

    async def items(
        self,
        environment_id: UUID,
        index_id: UUID,
        where: Filter | None,
        after: tuple[str, str] | None,
        limit: int,
        *,
        with_metadata: bool,
    ) -> Sequence[IndexItem]:
        """Items that follow ``after`` by kind and key."""
        ...
