"""Puts the events service together: the only file that constructs."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import ModuleType

from kongflow.events.internal.v1 import (
    events_internal_service_pb2,
    resource_events_internal_service_pb2,
)
from kongflow.events.tasks.v1 import events_tasks_service_pb2
from kongflow.events.v1 import (
    event_replays_service_pb2,
    event_schemas_service_pb2,
    events_service_pb2,
    resource_events_service_pb2,
)
from kongflow_common.auth.authenticator import Authenticator
from kongflow_common.auth.service_tokens import (
    ServiceTokenSigner,
    ServiceTokenVerifier,
    parse_private_key,
    parse_public_key,
)
from kongflow_common.clock import Clock, SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.db.purge import Purge
from kongflow_common.http.addresses import AddressPolicy
from kongflow_common.http.guarded_client import GuardedHttpClient
from kongflow_common.ids import new_id
from kongflow_common.outbox.enqueuer import Enqueuer
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.rpc.channel import ServiceCaller, service_channel
from kongflow_common.rpc.server import GrpcServer, GrpcService
from kongflow_common.rpc.tenancy_credentials import TenancyCredentialResolver
from kongflow_common.rpc.worker_queue_enqueuer import GrpcEnqueuer
from kongflow_common.supervision import BackgroundTasks
from kongflow_events.adapters.compiled_dispatchers import CompiledDispatchers
from kongflow_events.adapters.delivery_desk import SqlDeliveryDesk
from kongflow_events.adapters.direct_events import SqlDirectEvents
from kongflow_events.adapters.dispatcher_directory import MemoryDispatcherDirectory
from kongflow_events.adapters.dynamic_triggers import NoDynamicTriggers
from kongflow_events.adapters.ephemeral_caller import HttpEphemeralCaller
from kongflow_events.adapters.ephemeral_desk import SqlEphemeralDesk
from kongflow_events.adapters.event_intake import BatchingEventIntake
from kongflow_events.adapters.event_purge import SqlEventPurge
from kongflow_events.adapters.event_reader import SqlReader
from kongflow_events.adapters.invocation_reader import SqlInvocationReader
from kongflow_events.adapters.payload_validator import JsonSchemaCompiler
from kongflow_events.adapters.purges import OF_ACCOUNT, OF_ENVIRONMENT
from kongflow_events.adapters.realtime_channel import RealtimeChannel
from kongflow_events.adapters.replay_reader import SqlReplayReader
from kongflow_events.adapters.resource_log_reader import PostgresLogReader
from kongflow_events.adapters.resource_log_upkeep import ResourceLogUpkeep
from kongflow_events.adapters.resource_log_writer import PostgresLogWriter, Tell
from kongflow_events.adapters.resource_replays import own_domain_replays, resource_replays
from kongflow_events.adapters.run_canceller import GrpcRunCanceller
from kongflow_events.adapters.run_creator import GrpcRunCreator
from kongflow_events.adapters.schema_directory import MemorySchemaDirectory
from kongflow_events.adapters.schema_repository import SqlSchemaReader
from kongflow_events.adapters.tables import SCHEMA
from kongflow_events.adapters.unfinished_runs import GrpcRunsOfEvents
from kongflow_events.adapters.unit_of_work import SqlEventsUnitOfWork
from kongflow_events.application.advance_event_replay import AdvanceEventReplay
from kongflow_events.application.backtest_filter import BacktestFilter
from kongflow_events.application.begin_event_replay import BeginEventReplay
from kongflow_events.application.bulk_admission import BulkAdmission
from kongflow_events.application.cancel_event import CancelEvent
from kongflow_events.application.cancel_runs_for_event import CancelRunsForEvent
from kongflow_events.application.check_event_schema import CheckEventSchema
from kongflow_events.application.create_ephemeral_dispatcher import CreateEphemeralDispatcher
from kongflow_events.application.delete_event_dispatcher import DeleteEventDispatcher
from kongflow_events.application.delete_event_schema import DeleteEventSchema
from kongflow_events.application.delete_external_account import DeleteExternalAccount
from kongflow_events.application.deliver_event import DeliverEvents
from kongflow_events.application.deliver_from_memory import DeliverEventsFromMemory
from kongflow_events.application.deliver_in_steps import DeliverInSteps
from kongflow_events.application.end_event_replay import CancelEventReplay, FailEventReplay
from kongflow_events.application.event_entry import EventEntry
from kongflow_events.application.event_replay_queries import EventReplayQueries
from kongflow_events.application.event_schema_queries import EventSchemaQueries
from kongflow_events.application.explain_event import ExplainEvent
from kongflow_events.application.ingest_send_event import IngestSendEvent
from kongflow_events.application.invocation_ports import (
    DynamicTriggerJobs,
    EphemeralCaller,
    RunCanceller,
    RunCreator,
)
from kongflow_events.application.invoke_dispatcher import InvokeDispatchers
from kongflow_events.application.invoke_ephemeral_dispatcher import (
    ExpireDispatcher,
    InvokeEphemeralDispatcher,
)
from kongflow_events.application.ports import DispatcherDirectory, EventIntake, UnitOfWorkFactory
from kongflow_events.application.ports_schemas import SchemaDirectory
from kongflow_events.application.purge_old_events import (
    EventRetention,
    PurgeOldEvents,
    RunsOfEvents,
)
from kongflow_events.application.queries import DispatcherQueries, EventQueries
from kongflow_events.application.read_cloud_event import ReadCloudEvents
from kongflow_events.application.read_event_record import ExecutedEvents, ReadEventRecord
from kongflow_events.application.register_event_schema import RegisterEventSchema
from kongflow_events.application.replay_event import ReplayEvent
from kongflow_events.application.resource_events import ListResourceEvents
from kongflow_events.application.send_events import SendEvents
from kongflow_events.application.send_events_together import SendEventsTogether
from kongflow_events.application.store_event_record import StoreEventRecord
from kongflow_events.application.switch_event_dispatcher import SwitchEventDispatcher
from kongflow_events.application.try_filter import TryFilter
from kongflow_events.application.upsert_event_dispatcher import UpsertEventDispatcher
from kongflow_events.application.watch_events import WatchEvents
from kongflow_events.rpc.bulk_sender import BulkSender
from kongflow_events.rpc.error_catalog import CATALOG
from kongflow_events.rpc.event_replay_mapping import read_event_filter
from kongflow_events.rpc.event_replays_servicer import EventReplaysServicer
from kongflow_events.rpc.event_schemas_servicer import EventSchemasServicer
from kongflow_events.rpc.events_internal_servicer import EventsInternalServicer
from kongflow_events.rpc.events_servicer import DispatcherUseCases, EventsServicer, FilterUseCases
from kongflow_events.rpc.events_tasks_servicer import (
    EventsTasksServicer,
    InvocationUseCases,
    PurgeUseCases,
)
from kongflow_events.rpc.resource_events_internal_servicer import ResourceEventsInternalServicer
from kongflow_events.rpc.resource_events_servicer import ResourceEventsServicer
from kongflow_events.settings import EventsSettings

__all__ = ["SERVICE", "Neighbours", "grpc_services", "serve"]

SERVICE = "events"


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Whom events asks besides its database: the other contexts, and users' URLs.

    `tell` is told of realtime events that are logged.
    """

    runs: RunCreator
    run_canceller: RunCanceller
    triggers: DynamicTriggerJobs
    ephemeral: EphemeralCaller
    runs_of_events: RunsOfEvents
    tell: Tell | None = None


async def serve(settings: EventsSettings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then drain."""
    signer = ServiceTokenSigner(SERVICE, parse_private_key(settings.service_key.get_secret_value()))
    public_keys = {
        service: parse_public_key(key) for service, key in settings.service_public_keys.items()
    }
    async with AsyncExitStack() as stack:

        async def caller(target: str, name: str) -> ServiceCaller:
            channel = await stack.enter_async_context(service_channel(target, settings))
            return ServiceCaller(channel, name, signer)

        tenancy = await caller(settings.tenancy_target, "tenancy")
        worker_queue = await caller(settings.workerqueue_target, "workerqueue")
        runs = await caller(settings.runs_target, "runs")
        database = await stack.enter_async_context(
            Database.connect(
                settings.database_url.get_secret_value(),
                pool_size=settings.database_pool_size,
                application_name=settings.instance,
            )
        )
        relay = await stack.enter_async_context(outbox_relay(settings, database, worker_queue))
        intake = await stack.enter_async_context(
            BatchingEventIntake(database, relay, max_batch=settings.intake_max_batch)
        )
        resolver = TenancyCredentialResolver(tenancy)
        stack.push_async_callback(resolver.close)
        compiled = CompiledDispatchers()
        directory = MemoryDispatcherDirectory(database, compiled)
        tasks = await stack.enter_async_context(BackgroundTasks())
        _ = tasks.supervise("dispatcher directory", directory.run)
        _ = tasks.supervise("resource log upkeep", ResourceLogUpkeep(database, SystemClock()).run)
        client = await stack.enter_async_context(
            GuardedHttpClient(AddressPolicy(allow_private=settings.allow_private_callbacks))
        )
        client_services, tasks_services = grpc_services(
            database,
            relay,
            intake,
            _neighbours(settings, runs, client, _realtime(settings, tasks)),
            SystemClock(),
            compiled,
            directory,
            # The others need connections too.
            bulk_calls=max(1, settings.database_pool_size // 2),
            retention=settings.retention,
        )
        server = GrpcServer(
            settings,
            authenticator=Authenticator(resolver, ServiceTokenVerifier(SERVICE, public_keys)),
            catalog=CATALOG,
            client_services=client_services,
            tasks_services=tasks_services,
            probe=database.ping,
        )
        await server.serve(stop)


def _realtime(settings: EventsSettings, tasks: BackgroundTasks) -> Tell | None:
    if not (url := settings.redis_url.get_secret_value()):
        return None
    channel = RealtimeChannel(url)
    _ = tasks.supervise("realtime channel", channel.run)
    return channel.push


def _neighbours(
    settings: EventsSettings, runs: ServiceCaller, client: GuardedHttpClient, tell: Tell | None
) -> Neighbours:
    return Neighbours(
        runs=GrpcRunCreator(runs, timeout_seconds=settings.runs_timeout_seconds),
        run_canceller=GrpcRunCanceller(runs, timeout_seconds=settings.run_cancel_timeout_seconds),
        triggers=NoDynamicTriggers(),
        ephemeral=HttpEphemeralCaller(client, timeout_seconds=settings.callback_timeout_seconds),
        runs_of_events=GrpcRunsOfEvents(runs, timeout_seconds=settings.runs_timeout_seconds),
        tell=tell,
    )


def outbox_relay(
    settings: EventsSettings, database: Database, worker_queue: ServiceCaller
) -> OutboxRelay:
    """The relay from this context's outbox to the worker queue."""
    enqueuer: Enqueuer = GrpcEnqueuer(worker_queue)
    return OutboxRelay(database, SCHEMA, enqueuer, instance=settings.instance)


def grpc_services(
    database: Database,
    relay: OutboxRelay,
    intake: EventIntake,
    neighbours: Neighbours,
    clock: Clock,
    compiled: CompiledDispatchers,
    directory: DispatcherDirectory | None = None,
    *,
    schemas: SchemaDirectory | None = None,
    bulk_calls: int = 2,
    retention: EventRetention | None = None,
) -> tuple[list[GrpcService], list[GrpcService]]:
    """The services for clients, and those for the worker queue.

    Without a directory every event is matched by the queued job that delivers it. `bulk_calls`
    is how many calls with many events are worked on at a time. Without a retention events are
    kept for ever.
    """

    def unit_of_work() -> SqlEventsUnitOfWork:
        return SqlEventsUnitOfWork(database, relay, compiled)

    reader = SqlReader(database)
    if schemas is None:
        schemas = MemorySchemaDirectory(database)
    entry = EventEntry(clock, directory, schemas)
    queries = EventQueries(reader)
    events = EventsServicer(
        send_event=IngestSendEvent(intake, unit_of_work, entry),
        send_many=BulkSender(
            send_events=SendEvents(intake, unit_of_work, entry),
            send_events_together=SendEventsTogether(unit_of_work, entry),
            admission=BulkAdmission(at_once=bulk_calls),
            catalog=CATALOG,
        ),
        cancel_event=CancelEvent(unit_of_work, clock),
        events=queries,
        cloud_events=ReadCloudEvents(queries, reader),
        dispatchers=_dispatchers(unit_of_work, reader, clock),
        filters=FilterUseCases(ExplainEvent(reader, reader), TryFilter(), BacktestFilter(reader)),
        cancel_runs_for_event=CancelRunsForEvent(reader, neighbours.run_canceller),
        delete_external_account=DeleteExternalAccount(unit_of_work),
    )
    direct = SqlDirectEvents(database)
    desk = SqlDeliveryDesk(database, compiled, relay)
    deliver_events = DeliverEvents(desk, DeliverInSteps(unit_of_work))
    tasks = EventsTasksServicer(
        deliver_events=deliver_events
        if directory is None
        else DeliverEventsFromMemory(desk, directory, deliver_events),
        invocations=_invocations(database, relay, direct, neighbours),
        advance_event_replay=AdvanceEventReplay(
            unit_of_work, SqlReplayReader(database), reader, entry, read_event_filter, clock
        ),
        fail_event_replay=FailEventReplay(unit_of_work, clock),
        purges=_purges(database, neighbours, clock, retention or EventRetention()),
        replay_domain_event=own_domain_replays(database),
        catalog=CATALOG,
    )
    internal = EventsInternalServicer(
        UpsertEventDispatcher(unit_of_work), StoreEventRecord(direct), ReadEventRecord(direct)
    )
    replays = _replays(unit_of_work, SqlReplayReader(database), reader, intake, entry, clock)
    recording = ResourceEventsInternalServicer(PostgresLogWriter(database, neighbours.tell).record)
    return (
        [
            _service(events_service_pb2, events),
            _service(event_schemas_service_pb2, schemas_servicer(database, unit_of_work)),
            _service(event_replays_service_pb2, replays),
            _service(resource_events_service_pb2, _resource_events(database, relay, clock)),
        ],
        [
            _service(events_internal_service_pb2, internal),
            _service(events_tasks_service_pb2, tasks),
            _service(resource_events_internal_service_pb2, recording),
        ],
    )


def _service(file: ModuleType, servicer: object) -> GrpcService:
    """Of a file that declares one service."""
    [service] = file.DESCRIPTOR.services_by_name.values()
    return GrpcService(service, servicer)


def _resource_events(
    database: Database, relay: OutboxRelay, clock: Clock
) -> ResourceEventsServicer:
    log = PostgresLogReader(database)
    return ResourceEventsServicer(
        log=log,
        list_resource_events=ListResourceEvents(log),
        watch_events=WatchEvents(log),
        replay_resource_event=resource_replays(database, relay, clock),
    )


def _dispatchers(
    unit_of_work: UnitOfWorkFactory, reader: SqlReader, clock: Clock
) -> DispatcherUseCases:
    return DispatcherUseCases(
        upsert=UpsertEventDispatcher(unit_of_work),
        create_ephemeral=CreateEphemeralDispatcher(unit_of_work, clock),
        switch=SwitchEventDispatcher(unit_of_work),
        delete=DeleteEventDispatcher(unit_of_work),
        queries=DispatcherQueries(reader),
    )


def _replays(
    unit_of_work: UnitOfWorkFactory,
    replays: SqlReplayReader,
    reader: SqlReader,
    intake: EventIntake,
    entry: EventEntry,
    clock: Clock,
) -> EventReplaysServicer:
    return EventReplaysServicer(
        replay_event=ReplayEvent(reader, reader, reader, intake, entry, clock),
        begin=BeginEventReplay(unit_of_work, replays, reader, clock, new_id),
        cancel=CancelEventReplay(unit_of_work, clock),
        queries=EventReplayQueries(replays),
    )


def schemas_servicer(database: Database, unit_of_work: UnitOfWorkFactory) -> EventSchemasServicer:
    """The methods that keep schemas."""
    compiler, reader = JsonSchemaCompiler(), SqlSchemaReader(database)
    return EventSchemasServicer(
        register=RegisterEventSchema(unit_of_work, compiler),
        check=CheckEventSchema(reader, compiler),
        delete=DeleteEventSchema(unit_of_work),
        schemas=EventSchemaQueries(reader),
    )


def _invocations(
    database: Database, relay: OutboxRelay, events: ExecutedEvents, neighbours: Neighbours
) -> InvocationUseCases:
    desk = SqlEphemeralDesk(database, relay)
    return InvocationUseCases(
        invoke=InvokeDispatchers(
            SqlInvocationReader(database), neighbours.runs, neighbours.triggers, desk
        ),
        invoke_ephemeral=InvokeEphemeralDispatcher(desk, events, neighbours.ephemeral),
        expire=ExpireDispatcher(desk),
    )


def _purges(
    database: Database, neighbours: Neighbours, clock: Clock, retention: EventRetention
) -> PurgeUseCases:
    return PurgeUseCases(
        old_events=PurgeOldEvents(
            SqlEventPurge(database, clock), neighbours.runs_of_events, retention
        ),
        environment=Purge(database.pool, OF_ENVIRONMENT),
        account=Purge(database.pool, OF_ACCOUNT),
    )
