"""The events context on real servers, for tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import orjson

from kongflow.events.tasks.v1 import events_tasks_service_pb2 as tasks_pb
from kongflow.events.tasks.v1.events_tasks_service_pb2_grpc import EventsTasksServiceStub
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_dispatcher_pb2 import EventDispatcher
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow.events.v1.resource_events_service_pb2_grpc import ResourceEventsServiceStub
from kongflow.workerqueue.v1.envelope_pb2 import JobResult
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.clock import SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.errors import KongflowError
from kongflow_common.ids import new_id
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.grpc_server import InProcessServer, bearer
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_events.application.invocation_ports import CancelledRuns, NewRun
from kongflow_events.application.ports import UnitOfWorkFactory

if TYPE_CHECKING:
    # Only the type stubs have these names.
    from kongflow.events.tasks.v1.events_tasks_service_pb2_grpc import (
        EventsTasksServiceAsyncStub,
    )
    from kongflow.events.v1.events_service_pb2_grpc import EventsServiceAsyncStub
    from kongflow.events.v1.resource_events_service_pb2_grpc import (
        ResourceEventsServiceAsyncStub,
    )

__all__ = [
    "EventsContext",
    "KnownTriggers",
    "KnownUnfinished",
    "RecordingCanceller",
    "RecordingRuns",
    "ShiftedClock",
]

_TIMEOUT = 10.0


class RecordingRuns:
    """A RunCreator that creates each run once, in memory, or fails as it is told."""

    def __init__(self) -> None:
        self.calls: list[list[NewRun]] = []
        self.runs: dict[tuple[UUID, UUID, UUID], UUID] = {}
        self.failure: Exception | None = None
        self.refused_jobs: dict[UUID, KongflowError] = {}

    async def create_runs(self, runs: Sequence[NewRun]) -> Sequence[UUID | KongflowError]:
        self.calls.append(list(runs))
        if self.failure is not None:
            raise self.failure
        answers: list[UUID | KongflowError] = []
        for run in runs:
            if run.job_id in self.refused_jobs:
                answers.append(self.refused_jobs[run.job_id])
            else:
                key = (run.event.id, run.dispatcher_id, run.job_id)
                answers.append(self.runs.setdefault(key, new_id()))
        return answers


class KnownTriggers:
    """A DynamicTriggerJobs in memory."""

    def __init__(self) -> None:
        self.jobs: dict[tuple[UUID, UUID], list[UUID]] = {}
        """By environment and trigger."""
        self.failure: Exception | None = None

    async def jobs_of(
        self, environment_id: UUID, trigger_ids: Sequence[UUID]
    ) -> Mapping[UUID, Sequence[UUID]]:
        if self.failure is not None:
            raise self.failure
        return {
            trigger_id: self.jobs[environment_id, trigger_id]
            for trigger_id in trigger_ids
            if (environment_id, trigger_id) in self.jobs
        }


class RecordingCanceller:
    """A RunCanceller that answers as it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[UUID, UUID]] = []
        self.answer = CancelledRuns([], [])

    async def cancel_runs(self, environment_id: UUID, event_record_id: UUID) -> CancelledRuns:
        self.calls.append((environment_id, event_record_id))
        return self.answer


class KnownUnfinished:
    """A RunsOfEvents that answers as it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[UUID, list[UUID]]] = []
        self.needed: set[UUID] = set()
        self.failure: Exception | None = None

    async def unfinished(self, environment_id: UUID, record_ids: Sequence[UUID]) -> frozenset[UUID]:
        self.calls.append((environment_id, list(record_ids)))
        if self.failure is not None:
            raise self.failure
        return frozenset(self.needed.intersection(record_ids))


class ShiftedClock:
    """The machine's clock, or another time, while PostgreSQL's clock goes on."""

    def __init__(self) -> None:
        self.offset = timedelta(0)
        self.at: datetime | None = None

    def now(self) -> datetime:
        return (self.at or SystemClock().now()) + self.offset


@dataclass(frozen=True)
class EventsContext:
    """The events context in this process, on a real database and a real channel."""

    server: InProcessServer
    database: Database
    unit_of_work: UnitOfWorkFactory
    relay: OutboxRelay
    worker_queue: RecordingWorkerQueue
    runs: RecordingRuns
    triggers: KnownTriggers
    canceller: RecordingCanceller
    runs_of_events: KnownUnfinished
    clock: ShiftedClock
    environment: EnvironmentScope
    key: str

    @property
    def client(self) -> "EventsServiceAsyncStub":
        return EventsServiceStub(self.server.channel)

    @property
    def resource_events(self) -> "ResourceEventsServiceAsyncStub":
        return ResourceEventsServiceStub(self.server.channel)

    @property
    def tasks(self) -> "EventsTasksServiceAsyncStub":
        return EventsTasksServiceStub(self.server.tasks_channel)

    @property
    def as_sender(self) -> tuple[tuple[str, str], ...]:
        """The metadata of a client's call."""
        return bearer(self.key)

    @property
    def as_worker(self) -> tuple[tuple[str, str], ...]:
        """The metadata of the worker queue's call."""
        return bearer(self.server.service_token(), environment_id=self.environment.environment_id)

    async def send(
        self,
        name: str = "order.created",
        *,
        event_id: str = "",
        payload: object = None,
        context: object = None,
        deliver_at: datetime | None = None,
        deliver_after: float | None = None,
        account_id: str = "",
        source: str = "",
        request_payload: bool = False,
    ) -> EventRecord:
        """Send an event over the channel."""
        request = pb.SendEventRequest(account_id=account_id)
        request.event.name = name
        request.event.event_id = event_id
        request.event.source = source
        if payload is not None:
            request.event.payload.json = orjson.dumps(payload)
        if context is not None:
            request.event.context.json = orjson.dumps(context)
        if deliver_at is not None:
            request.deliver_time.FromDatetime(deliver_at)
        if deliver_after is not None:
            request.deliver_after.FromTimedelta(timedelta(seconds=deliver_after))
        if request_payload:
            request.event.payload_type = EventRecord.PAYLOAD_TYPE_REQUEST
        answer = await self.client.SendEvent(request, metadata=self.as_sender, timeout=_TIMEOUT)
        return answer.event_record

    async def send_many(
        self, *requests: pb.SendEventRequest, atomic: bool = False
    ) -> list[pb.SendEventResult]:
        """Send events in one call."""
        answer = await self.client.SendEvents(
            pb.SendEventsRequest(requests=requests, atomic=atomic),
            metadata=self.as_sender,
            timeout=30,
        )
        return list(answer.results)

    async def send_raw(self, payload: bytes, *, deliver_at: datetime | None = None) -> EventRecord:
        """Send an event whose payload is written exactly so."""
        request = pb.SendEventRequest()
        request.event.name = "order.created"
        request.event.payload.json = payload
        if deliver_at is not None:
            request.deliver_time.FromDatetime(deliver_at)
        answer = await self.client.SendEvent(request, metadata=self.as_sender, timeout=_TIMEOUT)
        return answer.event_record

    async def put(
        self,
        dispatchable_id: str = "job",
        *names: str,
        source: str = "",
        payload_filter: object = None,
        context_filter: object = None,
        manual: bool = False,
        enabled: bool | None = None,
        account_id: str = "",
        generation: int | None = None,
        job_id: UUID | None = None,
        wildcards: bool = False,
    ) -> pb.UpsertEventDispatcherResponse:
        """Upsert a dispatcher over the channel."""
        dispatcher = EventDispatcher(
            dispatchable_id=dispatchable_id,
            event_names=names or ("order.created",),
            source=source,
            manual=manual,
            account_id=account_id,
            name_match=_name_match(wildcards=wildcards),
        )
        dispatcher.dispatchable.job_version.job_id = str(job_id or new_id())
        if payload_filter is not None:
            dispatcher.payload_filter.json = orjson.dumps(payload_filter)
        if context_filter is not None:
            dispatcher.context_filter.json = orjson.dumps(context_filter)
        return await self.client.UpsertEventDispatcher(
            pb.UpsertEventDispatcherRequest(
                event_dispatcher=dispatcher, enabled=enabled, generation=generation
            ),
            metadata=self.as_sender,
            timeout=_TIMEOUT,
        )

    async def get(self, record_id: str) -> EventRecord:
        """Read an event back over the channel."""
        answer = await self.client.GetEventRecord(
            pb.GetEventRecordRequest(id=record_id), metadata=self.as_sender, timeout=_TIMEOUT
        )
        return answer.event_record

    async def cancel(self, record_id: str) -> EventRecord:
        """Cancel an event over the channel."""
        answer = await self.client.CancelEvent(
            pb.CancelEventRequest(id=record_id), metadata=self.as_sender, timeout=_TIMEOUT
        )
        return answer.event_record

    async def deliver(
        self, *records: EventRecord, revision: int | None = None, environment_id: UUID | None = None
    ) -> list[JobResult]:
        """Deliver events as a batch, as the worker queue does."""
        request = tasks_pb.BatchDeliverEventsRequest()
        for record in records:
            request.requests.add(
                event_record_id=record.id,
                delivery_revision=revision or record.delivery_revision,
            )
            request.envelopes.add(
                queued_job_id=str(new_id()),
                attempt=1,
                fencing_token=1,
                environment_id=str(environment_id or self.environment.environment_id),
                traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
        answer = await self.tasks.BatchDeliverEvents(
            request, metadata=bearer(self.server.service_token()), timeout=_TIMEOUT
        )
        return list(answer.results)

    async def invoke(
        self, *pairs: tuple[str, str], environment_id: UUID | None = None
    ) -> list[JobResult]:
        """Invoke (dispatcher id, event record id) as a batch, as the worker queue does."""
        request = tasks_pb.BatchInvokeDispatchersRequest()
        for dispatcher_id, record_id in pairs:
            request.requests.add(dispatcher_id=dispatcher_id, event_record_id=record_id)
            request.envelopes.add(
                queued_job_id=str(new_id()),
                attempt=1,
                fencing_token=1,
                environment_id=str(environment_id or self.environment.environment_id),
                traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
        answer = await self.tasks.BatchInvokeDispatchers(
            request, metadata=bearer(self.server.service_token()), timeout=_TIMEOUT
        )
        return list(answer.results)

    async def enqueued(self, kind: str, count: int) -> list[OutboxMessage]:
        """The messages of a kind, once there are `count` of them and no more are on their way."""
        if count:
            await self.worker_queue.wait_for(kind, count)
        await self.relay_is_idle()
        messages = self.worker_queue.of_kind(kind)
        assert len(messages) == count, messages
        return messages

    async def relay_is_idle(self) -> None:
        """Wait until all messages have been handed over."""
        await eventually(self._outbox_is_empty)

    async def _outbox_is_empty(self) -> bool:
        return not await self.database.pool.execute("SELECT 1 FROM events.outbox LIMIT 1")

    async def count(self, table: str) -> int:
        """How many rows a table of the context holds."""
        [(rows,)] = await self.database.pool.execute(f"SELECT count(*) FROM events.{table}")
        return int(rows)


def _name_match(*, wildcards: bool) -> EventDispatcher.NameMatch.ValueType:
    return EventDispatcher.NAME_MATCH_WILDCARD if wildcards else EventDispatcher.NAME_MATCH_EXACT
