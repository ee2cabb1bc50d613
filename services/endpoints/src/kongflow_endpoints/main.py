"""Puts the endpoints service together: the only file that constructs."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from kongflow.endpoints.internal.v1 import endpoints_internal_service_pb2
from kongflow.endpoints.tasks.v1 import endpoints_tasks_service_pb2
from kongflow.endpoints.v1 import endpoints_service_pb2
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
from kongflow_common.eventing.publisher import EventPublisher, IntegrationEvents
from kongflow_common.eventing.shipper import EventShipper
from kongflow_common.http.addresses import AddressPolicy
from kongflow_common.http.guarded_client import ConnectionLimits, GuardedHttpClient
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
from kongflow_endpoints.adapters.endpoint_program import HttpEndpointProgram
from kongflow_endpoints.adapters.endpoint_reader import SqlEndpointReader
from kongflow_endpoints.adapters.index_news import IndexNews
from kongflow_endpoints.adapters.index_performance import PostgresIndexPerformance
from kongflow_endpoints.adapters.index_purge import PostgresIndexPurge
from kongflow_endpoints.adapters.job_registry import GrpcJobRegistry
from kongflow_endpoints.adapters.purges import OF_ENVIRONMENT
from kongflow_endpoints.adapters.recurring_indexes import PostgresRecurringIndexes
from kongflow_endpoints.adapters.secret_keys import RevealedKeys
from kongflow_endpoints.adapters.unit_of_work import SqlUnitOfWork
from kongflow_endpoints.application.auto_index_production_endpoints import (
    AutoIndexProductionEndpoints,
)
from kongflow_endpoints.application.create_endpoint import CreateEndpoint
from kongflow_endpoints.application.execute_job import ExecuteJob
from kongflow_endpoints.application.index_endpoint import IndexEndpoint
from kongflow_endpoints.application.perform_endpoint_indexing import (
    FailEndpointIndex,
    PerformEndpointIndexing,
)
from kongflow_endpoints.application.ports import EndpointProgram, JobRegistry, SecretKeys
from kongflow_endpoints.application.probe_endpoint import ProbeEndpoint
from kongflow_endpoints.application.purge_old_indexings import PurgeOldIndexings
from kongflow_endpoints.application.queries import EndpointQueries
from kongflow_endpoints.application.register_job import FailRegisterJob, RegisterJobs
from kongflow_endpoints.application.update_endpoint import DeleteEndpoint, UpdateEndpoint
from kongflow_endpoints.application.validate_endpoint import ValidateEndpoint
from kongflow_endpoints.rpc.endpoints_internal_servicer import EndpointsInternalServicer
from kongflow_endpoints.rpc.endpoints_servicer import EndpointsServicer, EndpointUseCases
from kongflow_endpoints.rpc.endpoints_tasks_servicer import EndpointsTasksServicer, EndpointTasks
from kongflow_endpoints.rpc.error_catalog import CATALOG
from kongflow_endpoints.settings import EndpointsSettings

SERVICE = "endpoints"


async def serve(settings: EndpointsSettings, stop: asyncio.Event) -> None:
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
        program = await stack.enter_async_context(
            endpoint_program(
                AddressPolicy(allow_private=settings.allow_private_endpoints),
                ping_seconds=settings.endpoint_ping_seconds,
                index_seconds=settings.endpoint_index_seconds,
                redirect_hosts=settings.endpoint_redirect_hosts,
                executions=settings.endpoint_executions,
            )
        )
        tasks = await stack.enter_async_context(BackgroundTasks())
        log = RemoteEventLog(await caller(settings.events_target, "events"))
        _ = tasks.supervise("event shipper", EventShipper(database, SERVICE, log).run)
        consumed = ConsumedTypes(worker_queue)
        stack.push_async_callback(consumed.close)
        client_services, tasks_services = grpc_services(
            database,
            relay,
            program,
            RevealedKeys(environments),
            GrpcJobRegistry(await caller(settings.jobs_target, "jobs")),
            SystemClock(),
            EventPublisher(consumed, SystemClock(), new_id),
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


@asynccontextmanager
async def endpoint_program(
    policy: AddressPolicy,
    *,
    ping_seconds: float,
    index_seconds: float,
    redirect_hosts: frozenset[str] = frozenset(),
    executions: int = 1_000,
) -> AsyncIterator[HttpEndpointProgram]:
    """How programs are spoken to.

    Executions have connections of their own: they are as many as the workers' slots, often to one
    program, and one that waited here for a connection would be taken for one that took too long.
    """
    async with (
        GuardedHttpClient(policy) as client,
        GuardedHttpClient(
            policy, connections=ConnectionLimits(in_all=executions, per_host=executions)
        ) as executing,
    ):
        yield HttpEndpointProgram(
            client,
            executing,
            ping_seconds=ping_seconds,
            index_seconds=index_seconds,
            redirect_hosts=redirect_hosts,
        )


def grpc_services(
    database: Database,
    relay: OutboxRelay,
    program: EndpointProgram,
    keys: SecretKeys,
    jobs: JobRegistry,
    clock: Clock,
    integration_events: IntegrationEvents,
) -> tuple[list[GrpcService], list[GrpcService]]:
    """The services for clients, and those for other services and the worker queue."""

    def unit_of_work() -> SqlUnitOfWork:
        return SqlUnitOfWork(database, relay)

    reader = SqlEndpointReader(database)
    performance = PostgresIndexPerformance(database, relay, IndexNews(integration_events))
    clients = EndpointsServicer(
        EndpointUseCases(
            create=CreateEndpoint(program, keys, unit_of_work, secrets.choice),
            validate=ValidateEndpoint(program, keys),
            update=UpdateEndpoint(program, keys, reader, unit_of_work),
            delete=DeleteEndpoint(unit_of_work),
            index=IndexEndpoint(unit_of_work, clock),
            queries=EndpointQueries(reader),
        )
    )
    internal = EndpointsInternalServicer(ExecuteJob(reader, program, keys))
    tasks = EndpointsTasksServicer(
        EndpointTasks(
            PerformEndpointIndexing(performance, program, keys, jobs),
            FailEndpointIndex(performance),
            RegisterJobs(performance, jobs),
            FailRegisterJob(performance),
            ProbeEndpoint(reader, program, keys, unit_of_work),
            AutoIndexProductionEndpoints(PostgresRecurringIndexes(database, relay)),
            PurgeOldIndexings(PostgresIndexPurge(database)),
            Purge(database.pool, OF_ENVIRONMENT),
        )
    )
    return (
        [
            GrpcService(
                endpoints_service_pb2.DESCRIPTOR.services_by_name["EndpointsService"], clients
            )
        ],
        [
            GrpcService(
                endpoints_internal_service_pb2.DESCRIPTOR.services_by_name[
                    "EndpointsInternalService"
                ],
                internal,
            ),
            GrpcService(
                endpoints_tasks_service_pb2.DESCRIPTOR.services_by_name["EndpointsTasksService"],
                tasks,
            ),
        ],
    )
