"""Puts the runs service together: the only file that constructs."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from kongflow.runs.internal.v1 import runs_internal_service_pb2
from kongflow.runs.tasks.v1 import runs_tasks_service_pb2
from kongflow.runs.v1 import runs_service_pb2
from kongflow_common.auth.authenticator import Authenticator
from kongflow_common.auth.service_tokens import (
    ServiceTokenSigner,
    ServiceTokenVerifier,
    parse_private_key,
    parse_public_key,
)
from kongflow_common.clock import SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.db.purge import Purge
from kongflow_common.eventing.domain_replays import domain_replays
from kongflow_common.eventing.publisher import EventPublisher, IntegrationEvents
from kongflow_common.eventing.shipper import EventShipper
from kongflow_common.ids import new_id
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.rpc.channel import ServiceCaller, service_channel
from kongflow_common.rpc.consumed_types import ConsumedTypes
from kongflow_common.rpc.remote_event_log import RemoteEventLog
from kongflow_common.rpc.server import GrpcServer, GrpcService
from kongflow_common.rpc.tenancy_credentials import TenancyCredentialResolver
from kongflow_common.rpc.tenancy_environments import TenancyEnvironments
from kongflow_common.rpc.worker_queue_enqueuer import GrpcEnqueuer
from kongflow_common.supervision import BackgroundTasks
from kongflow_runs.adapters.endpoints_client import GrpcEndpoints
from kongflow_runs.adapters.environments import DescribedEnvironments
from kongflow_runs.adapters.events_client import GrpcEvents
from kongflow_runs.adapters.purges import OF_ACCOUNT, OF_ENVIRONMENT, OF_PROJECT
from kongflow_runs.adapters.run_canceller import PostgresRunCanceller
from kongflow_runs.adapters.run_executions import PostgresRunExecutions
from kongflow_runs.adapters.run_news import RunNews
from kongflow_runs.adapters.run_reader import PostgresRunReader
from kongflow_runs.adapters.run_starter import PostgresRunStarter
from kongflow_runs.adapters.run_writer import BatchingRunWriter
from kongflow_runs.adapters.start_planner import TimelyStartPlanner
from kongflow_runs.adapters.unfinished_events import PostgresUnfinishedEvents
from kongflow_runs.adapters.version_resolver import GrpcVersionResolver
from kongflow_runs.application.cancel_run import CancelRun, CancelRunsOfEvent
from kongflow_runs.application.create_run import CreateRun
from kongflow_runs.application.perform_run_execution import FailRun, PerformRunExecutions
from kongflow_runs.application.ports import (
    Endpoints,
    Environments,
    Events,
    RunWriter,
    StartPlanner,
    VersionResolver,
)
from kongflow_runs.application.queries import GetRun, ListRuns
from kongflow_runs.application.start_run import PlanStarts, StartRuns
from kongflow_runs.application.unfinished_events import ListUnfinishedEvents
from kongflow_runs.rpc.error_catalog import CATALOG
from kongflow_runs.rpc.runs_internal_servicer import RunsInternalServicer
from kongflow_runs.rpc.runs_servicer import RunsServicer
from kongflow_runs.rpc.runs_tasks_servicer import RunPurges, RunsTasksServicer
from kongflow_runs.settings import RunsSettings

SERVICE = "runs"


async def serve(settings: RunsSettings, stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set, then drains."""
    signer = ServiceTokenSigner(SERVICE, parse_private_key(settings.service_key.get_secret_value()))
    public_keys = {
        service: parse_public_key(key) for service, key in settings.service_public_keys.items()
    }
    async with AsyncExitStack() as stack:

        async def caller(target: str, name: str) -> ServiceCaller:
            channel = await stack.enter_async_context(service_channel(target, settings))
            return ServiceCaller(channel, name, signer)

        database = await stack.enter_async_context(
            Database.connect(
                settings.database_url.get_secret_value(),
                pool_size=settings.database_pool_size,
                application_name=settings.instance,
            )
        )
        worker_queue = await caller(settings.workerqueue_target, "workerqueue")
        relay = await stack.enter_async_context(
            OutboxRelay(database, SERVICE, GrpcEnqueuer(worker_queue), instance=settings.instance)
        )
        tenancy = await caller(settings.tenancy_target, "tenancy")
        resolver = TenancyCredentialResolver(tenancy)
        stack.push_async_callback(resolver.close)
        environments = TenancyEnvironments(tenancy)
        stack.push_async_callback(environments.close)
        endpoints = GrpcEndpoints(await caller(settings.endpoints_target, "endpoints"))
        stack.push_async_callback(endpoints.close)
        events = await caller(settings.events_target, "events")
        tasks = await stack.enter_async_context(BackgroundTasks())
        shipper = EventShipper(database, SERVICE, RemoteEventLog(events))
        _ = tasks.supervise("event shipper", shipper.run)
        consumed = ConsumedTypes(worker_queue)
        stack.push_async_callback(consumed.close)
        news = EventPublisher(consumed, SystemClock(), new_id)
        neighbours = Neighbours(
            versions=GrpcVersionResolver(await caller(settings.jobs_target, "jobs")),
            environments=DescribedEnvironments(environments),
            events=GrpcEvents(events),
            endpoints=endpoints,
            news=news,
        )
        plan_starts = PlanStarts(neighbours.versions, neighbours.environments)
        planner = None
        if settings.start_runs_at_once:
            planner = await stack.enter_async_context(TimelyStartPlanner(plan_starts))
        writer = await stack.enter_async_context(BatchingRunWriter(database, relay, RunNews(news)))
        client_services, tasks_services = grpc_services(
            database, relay, writer, neighbours, planner
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


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The other contexts, as runs sees them."""

    versions: VersionResolver
    environments: Environments
    events: Events
    endpoints: Endpoints
    news: IntegrationEvents


def grpc_services(
    database: Database,
    relay: OutboxRelay,
    writer: RunWriter,
    neighbours: Neighbours,
    planner: StartPlanner | None = None,
) -> tuple[list[GrpcService], list[GrpcService]]:
    """The services for clients, and those for other services and the worker queue."""
    reader = PostgresRunReader(database)
    news = RunNews(neighbours.news)
    canceller = PostgresRunCanceller(database, relay, news)
    executions = PostgresRunExecutions(database, relay, news)
    plan_starts = PlanStarts(neighbours.versions, neighbours.environments)
    tasks = RunsTasksServicer(
        StartRuns(PostgresRunStarter(database, relay, news), plan_starts),
        PerformRunExecutions(
            executions, neighbours.events, neighbours.environments, neighbours.endpoints
        ),
        FailRun(executions),
        RunPurges(
            environment=Purge(database.pool, OF_ENVIRONMENT),
            account=Purge(database.pool, OF_ACCOUNT),
            project=Purge(database.pool, OF_PROJECT),
        ),
        domain_replays(database, SERVICE, "run"),
    )
    return (
        [
            GrpcService(
                runs_service_pb2.DESCRIPTOR.services_by_name["RunsService"],
                RunsServicer(GetRun(reader), ListRuns(reader), CancelRun(canceller, reader)),
            )
        ],
        [
            GrpcService(
                runs_internal_service_pb2.DESCRIPTOR.services_by_name["RunsInternalService"],
                RunsInternalServicer(
                    CreateRun(writer, planner),
                    CancelRunsOfEvent(canceller),
                    ListUnfinishedEvents(PostgresUnfinishedEvents(database)),
                ),
            ),
            GrpcService(
                runs_tasks_service_pb2.DESCRIPTOR.services_by_name["RunsTasksService"], tasks
            ),
        ],
    )
