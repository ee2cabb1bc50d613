"""What the use cases need of the outside, in their own words."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias
from uuid import UUID

from kongflow_common.payload import JsonDocument
from kongflow_events.application.new_event import NewEvent, StoredEvent
from kongflow_events.application.ports_accounts import AccountRepository
from kongflow_events.application.ports_replays import ReplayRepository
from kongflow_events.application.ports_schemas import SchemaRepository, SchemasChanged
from kongflow_events.application.selection import Selection
from kongflow_events.domain.dispatcher_index import MatchedDispatchers
from kongflow_events.domain.dispatcher_match import CompiledDispatcher, MatchableEvent
from kongflow_events.domain.event_dispatcher import DispatcherSpecification, EventDispatcher
from kongflow_events.domain.event_record import (
    EventContent,
    EventRecord,
    Tenancy,
)
from kongflow_events.domain.event_replay import EventReplay

__all__ = [
    "Delivery",
    "DeliveryDesk",
    "DispatcherDirectory",
    "DispatcherReader",
    "DispatcherRepository",
    "DueBatch",
    "DueEvent",
    "EventIntake",
    "EventKey",
    "EventReader",
    "EventRepository",
    "EventsQueue",
    "EventsUnitOfWork",
    "FoundEvents",
    "NewEvent",
    "SchemasChanged",
    "Selection",
    "StoredEvent",
    "UnitOfWorkFactory",
]

EventKey: TypeAlias = UUID | str
"""Which event, or which dispatcher: the id of its row, or the sender's name of it."""


class EventIntake(Protocol):
    """Takes new events in, many in one transaction."""

    async def add(self, event: NewEvent) -> StoredEvent:
        """Store the event, its account and the queued job that delivers it, all or none.

        An event whose dispatchers are known is stored as delivered, with an invocation for each,
        unless a dispatcher of its environment has changed since.
        Where the environment has an event of this id already nothing is stored, and that one
        is answered. Raises SchemasChanged, and stores nothing, when a schema of the environment
        has changed since the event was checked.
        """
        ...

    async def add_many(self, events: Sequence[NewEvent]) -> Sequence[StoredEvent | Exception]:
        """The same for each of the events, in their order, in few transactions.

        An error in the place of an answer is that of this event alone. Raises
        DependencyUnavailable and Contended; some of the events may be stored then.
        """
        ...


class DispatcherDirectory(Protocol):
    """Knows dispatchers without asking the database; what it says may be out of date."""

    def match(
        self, environment_id: UUID, name: str, source: str, event: MatchableEvent
    ) -> MatchedDispatchers | None:
        """The dispatchers that take the event; None when it does not know, or they are many."""
        ...

    def refresh(self, environment_id: UUID) -> None:
        """Say that what it knows of an environment is out of date."""
        ...


class EventRepository(Protocol):
    """Event records, inside a unit of work; each is found within its environment only."""

    async def add_many(self, events: Sequence[NewEvent]) -> Sequence[StoredEvent]:
        """Store the events, as EventIntake does, as part of the unit of work.

        Raises Contended when another transaction is in the way.
        """
        ...

    async def lock(self, environment_id: UUID, key: EventKey) -> EventRecord | None:
        """The record, which nobody else changes until the unit of work ends."""
        ...

    async def replan(
        self,
        record: EventRecord,
        payload: JsonDocument | None,
        context: JsonDocument | None,
        source_context: JsonDocument | None = None,
    ) -> EventRecord:
        """Write payload type, delivery time and revision, and the documents that are given.

        With a payload its source context and its check are replaced too.
        """
        ...

    async def cancel(self, record: EventRecord) -> EventRecord:
        """Write when the event was cancelled."""
        ...

    async def advance(
        self, record: EventRecord, *, matched: int, cursor: UUID | None, done: bool
    ) -> None:
        """Add to what a delivery in steps has matched; `cursor` is where it goes on."""
        ...


class DispatcherRepository(Protocol):
    """Dispatchers and the accounts they are restricted to, inside a unit of work."""

    async def account(self, tenancy: Tenancy, account_id: str) -> UUID:
        """The row of the account, which is made if there is none."""
        ...

    async def lock(self, environment_id: UUID, key: EventKey) -> EventDispatcher | None:
        """The dispatcher, which nobody else changes until the unit of work ends."""
        ...

    async def add(
        self,
        environment_id: UUID,
        dispatchable_id: str,
        specification: DispatcherSpecification,
        *,
        external_account_id: UUID | None,
        generation: int,
    ) -> bool:
        """Store a new dispatcher; False if another has been stored in the meantime."""
        ...

    async def replace(
        self,
        dispatcher: EventDispatcher,
        specification: DispatcherSpecification,
        *,
        external_account_id: UUID | None,
        generation: int,
    ) -> None:
        """Replace what the dispatcher holds."""
        ...

    async def switch(self, dispatcher: EventDispatcher, *, enabled: bool) -> None:
        """Enable or disable the dispatcher, with the next generation."""
        ...

    async def delete(self, dispatcher: EventDispatcher) -> None:
        """Delete the dispatcher."""
        ...

    async def set_aside(self, dispatcher: EventDispatcher) -> None:
        """Free its dispatchable id; it takes no events any more, what it took is invoked."""
        ...

    async def candidates(
        self, record: EventRecord, after: UUID | None, limit: int
    ) -> Sequence[CompiledDispatcher]:
        """The enabled dispatchers for the event's name and source, in the order of their ids."""
        ...


class EventsQueue(Protocol):
    """The queued jobs of this context, over the outbox.

    What is enqueued is part of the caller's unit of work: it happens when, and only when,
    that commits.
    """

    async def enqueue_deliver_event(
        self, record: EventRecord, *, run_at: datetime | None, traceparent: str
    ) -> None:
        """Deliver the record's present revision, in place of an earlier plan.

        `run_at` None means at once.
        """
        ...

    async def remove_deliver_event(self, record: EventRecord, *, traceparent: str) -> None:
        """Take the planned delivery back, unless it runs."""
        ...

    async def enqueue_invoke_dispatchers(
        self, record: EventRecord, dispatcher_ids: Sequence[UUID], *, traceparent: str
    ) -> None:
        """Invoke each of the dispatchers for the event."""
        ...

    async def enqueue_expire_dispatcher(
        self, dispatcher: EventDispatcher, *, run_at: datetime, traceparent: str
    ) -> None:
        """Delete the ephemeral dispatcher when its time is over."""
        ...

    async def remove_expire_dispatcher(
        self, dispatcher: EventDispatcher, *, traceparent: str
    ) -> None:
        """Take that plan back."""
        ...

    async def enqueue_advance_event_replay(
        self, replay: EventReplay, *, run_at: datetime, traceparent: str
    ) -> None:
        """Carry the replay out, from then on."""
        ...


class EventNews(Protocol):
    """Tells, in the log of what happens to resources, what became of events."""

    async def delivered(self, record: EventRecord, matched_count: int) -> None: ...

    async def cancelled(self, record: EventRecord) -> None: ...


class EventsUnitOfWork(Protocol):
    """One transaction; left without a commit it changes nothing."""

    @property
    def events(self) -> EventRepository: ...

    @property
    def accounts(self) -> AccountRepository: ...

    @property
    def dispatchers(self) -> DispatcherRepository: ...

    @property
    def queue(self) -> EventsQueue: ...

    @property
    def schemas(self) -> SchemaRepository: ...

    @property
    def news(self) -> EventNews: ...

    @property
    def replays(self) -> ReplayRepository: ...

    async def commit(self) -> None: ...


UnitOfWorkFactory: TypeAlias = Callable[[], AbstractAsyncContextManager[EventsUnitOfWork]]


@dataclass(frozen=True, slots=True)
class DueEvent:
    """An event whose delivery was asked for; `due_in` is by the database's clock."""

    record: EventRecord
    content: EventContent
    due_in: timedelta


@dataclass(frozen=True, slots=True)
class DueBatch:
    """The events of a batch, and the enabled dispatchers for the names and sources of the due.

    `candidates` is None when there are more dispatchers than were asked for.
    """

    events: Sequence[DueEvent]
    candidates: Sequence[CompiledDispatcher] | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outcome of matching one event: the dispatchers that take it.

    `version` is of which version of the environment's dispatchers it is, when they were not read.
    """

    record: EventRecord
    dispatcher_ids: Sequence[UUID]
    traceparent: str
    version: int | None = None


class DeliveryDesk(Protocol):
    """Reads and settles the deliveries of a batch in few statements."""

    async def read(
        self, keys: Sequence[tuple[UUID, UUID | None]], most_candidates: int
    ) -> DueBatch:
        """The events of these ids, each within the environment at its side if there is one.

        Those that are gone are missing; the order is any.
        """
        ...

    async def read_events(self, keys: Sequence[tuple[UUID, UUID | None]]) -> Sequence[DueEvent]:
        """The events as `read` answers them, without their dispatchers."""
        ...

    async def settle(self, deliveries: Sequence[Delivery]) -> frozenset[UUID]:
        """Write the outcomes and enqueue the invocations, in one transaction.

        An event that was cancelled, replaced or delivered since it was read changes nothing, nor
        one whose version is not the present one. Answers the ids of the others.
        """
        ...


@dataclass(frozen=True, slots=True)
class FoundEvents:
    """Events of a list; the list goes on after `end`, unless that is None."""

    records: Sequence[EventRecord]
    end: UUID | None


class EventReader(Protocol):
    """Reads event records."""

    async def find_event(
        self, environment_id: UUID, key: EventKey
    ) -> tuple[EventRecord, EventContent] | None:
        """The record with its content."""
        ...

    async def page_events(self, selection: Selection) -> FoundEvents:
        """The records, without their content: fewer where it takes long to find more."""
        ...

    async def read_contents(self, record_ids: Sequence[UUID]) -> Mapping[UUID, EventContent]:
        """The contents of records that were found within the caller's environment."""
        ...


class DispatcherReader(Protocol):
    """Reads dispatchers."""

    async def find_dispatcher(self, environment_id: UUID, key: EventKey) -> EventDispatcher | None:
        """The dispatcher."""
        ...

    async def list_dispatchers(self, selection: Selection) -> Sequence[EventDispatcher]:
        """The dispatchers."""
        ...
