"""What is done with each event that comes in, alone or among many."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_common.errors import InvalidField
from kongflow_common.ids import id_text, new_id
from kongflow_common.payload import EMPTY_OBJECT, JsonDocument
from kongflow_common.tracing import current_traceparent
from kongflow_events.application.ports import (
    DispatcherDirectory,
    EventsUnitOfWork,
    NewEvent,
    StoredEvent,
)
from kongflow_events.application.ports_schemas import SchemaDirectory
from kongflow_events.domain.dispatcher_index import MatchedDispatchers
from kongflow_events.domain.dispatcher_match import STEPS_AT_ONCE, MatchableEvent
from kongflow_events.domain.event_record import (
    DEFAULT_SOURCE,
    LAST_TIME,
    EventContent,
    EventRecord,
    EventState,
    PayloadType,
    Priority,
    Resent,
    Tenancy,
)
from kongflow_events.domain.event_schema import EnvironmentSchemas, SchemaRefused
from kongflow_events.domain.schema_check import SchemaCheck

__all__ = ["Entrance", "EventEntry", "Repeat", "SendEvent"]

_NO_SCHEMAS: Final = EnvironmentSchemas()
# Named once, as in new_event.py.
_JSON: Final = PayloadType.JSON
_HIGH: Final = Priority.HIGH
_PENDING: Final = EventState.PENDING
# No version of an environment's dispatchers; what is addressed is not compared with one.
_ANY_VERSION: Final = -1


# Not frozen, though nobody changes one: of an event among many that costs a microsecond of 20.
@dataclass(slots=True)
class SendEvent:
    """An event as its sender wrote it; None is what was left out.

    At most one of `deliver_at` and `deliver_after` is set; a `deliver_after` of zero says
    nothing.
    """

    tenancy: Tenancy
    name: str
    event_id: str | None = None
    source: str | None = None
    timestamp: datetime | None = None
    payload: JsonDocument | None = None
    context: JsonDocument | None = None
    payload_type: PayloadType | None = None
    deliver_at: datetime | None = None
    deliver_after: timedelta | None = None
    account_id: str | None = None
    is_test: bool = False
    priority: Priority | None = None
    schema_version: int | None = None
    schema_uri: str | None = None
    source_context: JsonDocument | None = None
    replay_of: UUID | None = None
    only_dispatcher_id: UUID | None = None
    """The dispatcher that takes it, as its sender has made sure of; no other is asked."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a repeated event came to: the record now, and whether it was replaced."""

    record: EventRecord
    replaced: bool


class EventEntry:
    """Makes a new event of what a sender wrote, and knows the rule for repeated ones.

    An event that is due at once is matched before it is stored, where that takes no reading, and
    so is delivered with the same transaction (docs/behaviour.md#delivering-an-event).
    """

    def __init__(
        self,
        clock: Clock,
        directory: DispatcherDirectory | None = None,
        schemas: SchemaDirectory | None = None,
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._schemas = schemas if schemas is not None else _NoDirectory()

    def begin(self) -> "Entrance":
        """What one call brings its events in by."""
        return Entrance(self, self._schemas)

    def prepare(
        self, command: SendEvent, schemas: EnvironmentSchemas, *, traceparent: str | None = None
    ) -> NewEvent:
        """The event as it is to be stored. Raises InvalidFields, SchemaRefused among them."""
        deliver_at = _deliver_at(command, self._clock)
        payload_type = command.payload_type or _JSON
        source = command.source or DEFAULT_SOURCE
        content = EventContent(command.payload or EMPTY_OBJECT, command.context or EMPTY_OBJECT)
        check: SchemaCheck | None = None
        if schemas.by_name or command.schema_version is not None:
            check = schemas.check(
                command.name,
                content.payload,
                version=command.schema_version,
                uri=command.schema_uri,
            )
        matched: MatchedDispatchers | None = None
        # Which account an event belongs to is known only once it is stored.
        if command.only_dispatcher_id is not None:
            matched = MatchedDispatchers(_ANY_VERSION, [command.only_dispatcher_id])
        elif self._directory is not None and deliver_at is None and command.account_id is None:
            matched = self._directory.match(
                command.tenancy.environment_id,
                command.name,
                source,
                MatchableEvent(payload_type, content, at_most=STEPS_AT_ONCE),
            )
        record_id = new_id()
        return NewEvent(
            id=record_id,
            event_id=command.event_id or id_text(record_id),
            name=command.name,
            source=source,
            timestamp=command.timestamp,
            payload_type=payload_type,
            content=content,
            tenancy=command.tenancy,
            deliver_at=deliver_at,
            is_test=command.is_test,
            priority=command.priority or _HIGH,
            account_id=command.account_id,
            traceparent=current_traceparent() if traceparent is None else traceparent,
            matched=matched,
            schemas_version=schemas.version,
            schema_check=check,
            source_context=command.source_context,
            replay_of=command.replay_of,
            is_addressed=command.only_dispatcher_id is not None,
        )

    def refresh(self, event: NewEvent, stored: StoredEvent) -> None:
        """Notice that an event was matched with dispatchers that are out of date."""
        if stored.state is _PENDING and event.matched is not None and self._directory is not None:
            self._directory.refresh(event.tenancy.environment_id)

    def may_replace(self, stored: StoredEvent) -> bool:
        """Whether a repeat of the event is more than an answer; it is decided under a lock."""
        # Most repeats are of events that are due already; they need no lock.
        return not stored.is_new and stored.record.is_replaceable(self._clock.now())

    async def send_again(
        self, uow: EventsUnitOfWork, command: SendEvent, event: NewEvent
    ) -> Repeat | None:
        """Apply the rule for repeated events; None if the stored one is gone.

        A stored event that is due in 5 seconds or more has its payload, context and delivery time
        replaced; any other stays as it is. The caller commits.
        """
        stored = await uow.events.lock(command.tenancy.environment_id, event.event_id)
        if stored is None:
            return None
        resent = Resent(
            command.payload,
            command.context,
            command.payload_type,
            event.deliver_at,
            event.source_context,
            event.schema_check,
        )
        replaced = stored.resend(resent, self._clock.now())
        if replaced is None:
            return Repeat(stored, replaced=False)
        planned = await uow.events.replan(
            replaced, resent.payload, resent.context, resent.source_context
        )
        await uow.queue.enqueue_deliver_event(
            planned, run_at=event.deliver_at, traceparent=event.traceparent
        )
        return Repeat(planned, replaced=True)


class _NoDirectory:
    """Implements SchemaDirectory where there are no schemas."""

    def known(self, environment_id: UUID) -> EnvironmentSchemas:
        return _NO_SCHEMAS

    async def read(self, environment_id: UUID) -> EnvironmentSchemas:
        return _NO_SCHEMAS


class Entrance:
    """Makes the events of one call ready, which are all of one environment.

    The schemas that are known may be out of date. That an event fits is compared when it is
    stored; before one is refused they are read once.
    """

    def __init__(self, entry: EventEntry, directory: SchemaDirectory) -> None:
        self._entry = entry
        self._directory = directory
        self._schemas: EnvironmentSchemas | None = None
        self._is_fresh = False

    def prepare_now(self, command: SendEvent, *, traceparent: str) -> NewEvent | None:
        """What `prepare` gives; None where that has to ask for the schemas first.

        For who asks for many, most of which need no asking. Raises InvalidFields.
        """
        if self._schemas is None:
            return None
        try:
            return self._entry.prepare(command, self._schemas, traceparent=traceparent)
        except SchemaRefused:
            if self._is_fresh:
                raise
            return None

    async def prepare(self, command: SendEvent, *, traceparent: str | None = None) -> NewEvent:
        """The event as it is to be stored. Raises InvalidFields.

        `traceparent` is the present one, for who asks for many.
        """
        schemas = self._schemas
        if schemas is None:
            schemas = await self._known(command.tenancy.environment_id)
        try:
            return self._entry.prepare(command, schemas, traceparent=traceparent)
        except SchemaRefused:
            if self._is_fresh:
                raise
        schemas = await self.renew(command)
        return self._entry.prepare(command, schemas, traceparent=traceparent)

    async def current(self, command: SendEvent, event: NewEvent) -> NewEvent:
        """The event as of the present schemas. Raises InvalidFields.

        For what replaces a stored event: that takes no comparison of versions.
        """
        schemas = self._schemas
        if schemas is None or not self._is_fresh:
            schemas = await self.renew(command)
        if event.schemas_version == schemas.version:
            return event
        return self._entry.prepare(command, schemas, traceparent=event.traceparent)

    async def renew(self, command: SendEvent) -> EnvironmentSchemas:
        """Read the schemas anew, of the environment of any of the events."""
        schemas = await self._directory.read(command.tenancy.environment_id)
        self._schemas, self._is_fresh = schemas, True
        return schemas

    async def _known(self, environment_id: UUID) -> EnvironmentSchemas:
        known = self._directory.known(environment_id)
        if known is None:
            known, self._is_fresh = await self._directory.read(environment_id), True
        self._schemas = known
        return known


def _deliver_at(command: SendEvent, clock: Clock) -> datetime | None:
    if not command.deliver_after:
        return command.deliver_at
    now = clock.now()
    # Compared as durations: the sum may be beyond what a datetime holds.
    if command.deliver_after > LAST_TIME - now:
        raise InvalidField("deliver_after", "must end before the year 2101")
    return now + command.deliver_after
