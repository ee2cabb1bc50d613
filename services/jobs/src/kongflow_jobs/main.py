"""Puts the jobs service together: the only file that constructs."""

import asyncio

from kongflow.jobs.internal.v1 import jobs_internal_service_pb2
from kongflow.jobs.tasks.v1 import jobs_tasks_service_pb2
from kongflow.jobs.v1 import jobs_service_pb2
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
from kongflow_common.eventing.domain_replays import domain_replays
from kongflow_common.eventing.shipper import EventShipper
from kongflow_common.rpc.channel import ServiceCaller, service_channel
from kongflow_common.rpc.remote_event_log import RemoteEventLog
from kongflow_common.rpc.server import GrpcServer, GrpcService
from kongflow_common.rpc.tenancy_credentials import TenancyCredentialResolver
from kongflow_common.supervision import BackgroundTasks
from kongflow_jobs.adapters.events_client import GrpcEventDispatchers, GrpcEventRecords
from kongflow_jobs.adapters.job_reader import PostgresJobReader
from kongflow_jobs.adapters.purges import OF_ENVIRONMENT, OF_PROJECT
from kongflow_jobs.adapters.registry import PostgresRegistry
from kongflow_jobs.adapters.requested_tests import PostgresRequestedTests
from kongflow_jobs.adapters.run_creator import GrpcRunCreator
from kongflow_jobs.adapters.version_lookup import PostgresVersionLookup
from kongflow_jobs.application.delete_job import DeleteJob
from kongflow_jobs.application.disable_job import DisableJob
from kongflow_jobs.application.invoke_job import InvokeJob
from kongflow_jobs.application.ports import EventDispatchers, EventRecords, RunCreator
from kongflow_jobs.application.queries import JobQueries
from kongflow_jobs.application.register_job import RegisterJob
from kongflow_jobs.application.test_job import TestJob
from kongflow_jobs.application.versions import ListLiveJobs, ResolveJobVersions
from kongflow_jobs.rpc.error_catalog import CATALOG
from kongflow_jobs.rpc.jobs_internal_servicer import JobsInternalServicer
from kongflow_jobs.rpc.jobs_servicer import JobsServicer
from kongflow_jobs.rpc.jobs_tasks_servicer import JobsTasksServicer
from kongflow_jobs.settings import JobsSettings

SERVICE = "jobs"


async def serve(settings: JobsSettings, stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set, then drains."""
    signer = ServiceTokenSigner(SERVICE, parse_private_key(settings.service_key.get_secret_value()))
    async with (
        Database.connect(
            settings.database_url.get_secret_value(),
            pool_size=settings.database_pool_size,
            application_name=settings.instance,
        ) as database,
        service_channel(settings.tenancy_target, settings) as tenancy,
        service_channel(settings.events_target, settings) as events,
        service_channel(settings.runs_target, settings) as runs,
        BackgroundTasks() as tasks,
    ):
        resolver = TenancyCredentialResolver(ServiceCaller(tenancy, "tenancy", signer))
        public_keys = {
            service: parse_public_key(key) for service, key in settings.service_public_keys.items()
        }
        events_caller = ServiceCaller(events, "events", signer)
        shipper = EventShipper(database, SERVICE, RemoteEventLog(events_caller))
        _ = tasks.supervise("event shipper", shipper.run)
        client_services, tasks_services = grpc_services(
            database,
            GrpcEventDispatchers(events_caller),
            GrpcEventRecords(events_caller),
            GrpcRunCreator(ServiceCaller(runs, "runs", signer)),
            SystemClock(),
        )
        server = GrpcServer(
            settings,
            authenticator=Authenticator(resolver, ServiceTokenVerifier(SERVICE, public_keys)),
            catalog=CATALOG,
            client_services=client_services,
            tasks_services=tasks_services,
            probe=database.ping,
        )
        try:
            await server.serve(stop)
        finally:
            await resolver.close()


def grpc_services(
    database: Database,
    dispatchers: EventDispatchers,
    events: EventRecords,
    runs: RunCreator,
    clock: Clock,
) -> tuple[list[GrpcService], list[GrpcService]]:
    """The services for clients, and those for other services."""
    registry = PostgresRegistry(database)
    reader = PostgresJobReader(database)
    lookup = PostgresVersionLookup(database)
    jobs = JobsServicer(
        JobQueries(reader),
        TestJob(reader, events, runs, PostgresRequestedTests(database), clock),
        InvokeJob(reader, events, runs),
        DeleteJob(registry),
    )
    internal = JobsInternalServicer(
        RegisterJob(registry, dispatchers),
        DisableJob(registry, dispatchers),
        ListLiveJobs(lookup),
        ResolveJobVersions(lookup),
    )
    return (
        [GrpcService(jobs_service_pb2.DESCRIPTOR.services_by_name["JobsService"], jobs)],
        [
            GrpcService(
                jobs_internal_service_pb2.DESCRIPTOR.services_by_name["JobsInternalService"],
                internal,
            ),
            GrpcService(
                jobs_tasks_service_pb2.DESCRIPTOR.services_by_name["JobsTasksService"],
                JobsTasksServicer(
                    Purge(database.pool, OF_ENVIRONMENT),
                    Purge(database.pool, OF_PROJECT),
                    domain_replays(database, SERVICE, "job"),
                ),
            ),
        ],
    )
