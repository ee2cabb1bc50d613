"""Puts the events service together: the only file that constructs."""

import asyncio
from contextlib import AsyncExitStack

from kongflow.events.internal.v1 import (
    events_internal_service_pb2,
    resource_events_internal_service_pb2,
)
from kongflow.events.tasks.v1 import events_tasks_service_pb2
from kongflow.events.v1 import events_service_pb2, resource_events_service_pb2
from kongflow_common.auth.authenticator import Authenticator
from kongflow_common.auth.service_tokens import (
    ServiceTokenSigner,
    ServiceTokenVerifier,
    parse_private_key,
    parse_public_key,
)
from kongflow_common.clock import Clock, SystemClock
from kongflow_common.db.engine import Database
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
from kongflow_events.adapters.event_intake import BatchingEventIntake
from kongflow_events.adapters.event_reader import SqlReader
from kongflow_events.adapters.invocation_reader import SqlInvocationReader
from kongflow_events.adapters.resource_log_reader import PostgresLogReader
from kongflow_events.adapters.resource_log_upkeep import ResourceLogUpkeep
from kongflow_events.adapters.resource_log_writer import PostgresLogWriter
from kongflow_events.adapters.run_creator import GrpcRunCreator
from kongflow_events.adapters.tables import SCHEMA
from kongflow_events.adapters.unit_of_work import SqlEventsUnitOfWork
from kongflow_events.application.backtest_filter import BacktestFilter
from kongflow_events.application.cancel_event import CancelEvent
from kongflow_events.application.deliver_event import DeliverEvents
from kongflow_events.application.deliver_from_memory import DeliverEventsFromMemory
from kongflow_events.application.deliver_in_steps import DeliverInSteps
from kongflow_events.application.explain_event import ExplainEvent
from kongflow_events.application.ingest_send_event import IngestSendEvent
from kongflow_events.application.invoke_dispatcher import InvokeDispatchers
from kongflow_events.application.ports import DispatcherDirectory, EventIntake, RunCreator
from kongflow_events.application.queries import DispatcherQueries, EventQueries
from kongflow_events.application.read_event_record import ReadEventRecord
from kongflow_events.application.resource_events import ListResourceEvents
from kongflow_events.application.store_event_record import StoreEventRecord
from kongflow_events.application.try_filter import TryFilter
from kongflow_events.application.upsert_event_dispatcher import UpsertEventDispatcher
from kongflow_events.application.watch_events import WatchEvents
from kongflow_events.rpc.error_catalog import CATALOG
from kongflow_events.rpc.events_internal_servicer import EventsInternalServicer
from kongflow_events.rpc.events_servicer import EventsServicer
from kongflow_events.rpc.events_tasks_servicer import EventsTasksServicer
from kongflow_events.rpc.resource_events_internal_servicer import ResourceEventsInternalServicer
from kongflow_events.rpc.resource_events_servicer import ResourceEventsServicer
from kongflow_events.settings import EventsSettings

__all__ = ["SERVICE", "grpc_services", "serve"]

SERVICE = "events"


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
        client_services, tasks_services = grpc_services(
            database,
            relay,
            intake,
            GrpcRunCreator(runs, timeout_seconds=settings.runs_timeout_seconds),
            SystemClock(),
            compiled,
            directory,
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
    runs: RunCreator,
    clock: Clock,
    compiled: CompiledDispatchers,
    directory: DispatcherDirectory | None = None,
) -> tuple[list[GrpcService], list[GrpcService]]:
    """The services for clients, and those for the worker queue.

    Without a directory every event is matched by the queued job that delivers it.
    """

    def unit_of_work() -> SqlEventsUnitOfWork:
        return SqlEventsUnitOfWork(database, relay, compiled)

    reader = SqlReader(database)
    events = EventsServicer(
        send_event=IngestSendEvent(intake, unit_of_work, clock, directory),
        cancel_event=CancelEvent(unit_of_work, clock),
        events=EventQueries(reader),
        upsert_event_dispatcher=UpsertEventDispatcher(unit_of_work),
        dispatchers=DispatcherQueries(reader),
        explain_event=ExplainEvent(reader, reader),
        try_filter=TryFilter(),
        backtest_filter=BacktestFilter(reader),
    )
    log = PostgresLogReader(database)
    resource_events = ResourceEventsServicer(
        log=log, list_resource_events=ListResourceEvents(log), watch_events=WatchEvents(log)
    )
    desk = SqlDeliveryDesk(database, compiled, relay)
    deliver_events = DeliverEvents(desk, DeliverInSteps(unit_of_work))
    tasks = EventsTasksServicer(
        deliver_events=deliver_events
        if directory is None
        else DeliverEventsFromMemory(desk, directory, deliver_events),
        invoke_dispatchers=InvokeDispatchers(SqlInvocationReader(database), runs),
        catalog=CATALOG,
    )
    direct = SqlDirectEvents(database)
    internal = EventsInternalServicer(
        UpsertEventDispatcher(unit_of_work), StoreEventRecord(direct), ReadEventRecord(direct)
    )
    return (
        [
            GrpcService(events_service_pb2.DESCRIPTOR.services_by_name["EventsService"], events),
            GrpcService(
                resource_events_service_pb2.DESCRIPTOR.services_by_name["ResourceEventsService"],
                resource_events,
            ),
        ],
        [
            GrpcService(
                events_internal_service_pb2.DESCRIPTOR.services_by_name["EventsInternalService"],
                internal,
            ),
            GrpcService(
                resource_events_internal_service_pb2.DESCRIPTOR.services_by_name[
                    "ResourceEventsInternalService"
                ],
                ResourceEventsInternalServicer(PostgresLogWriter(database).record),
            ),
            GrpcService(
                events_tasks_service_pb2.DESCRIPTOR.services_by_name["EventsTasksService"], tasks
            ),
        ],
    )
