"""Puts the runs service together: the only file that constructs."""

import asyncio

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
from kongflow_common.db.engine import Database
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.rpc.channel import ServiceCaller, service_channel
from kongflow_common.rpc.server import GrpcServer, GrpcService
from kongflow_common.rpc.tenancy_credentials import TenancyCredentialResolver
from kongflow_common.rpc.worker_queue_enqueuer import GrpcEnqueuer
from kongflow_runs.adapters.run_reader import PostgresRunReader
from kongflow_runs.adapters.run_starter import PostgresRunStarter
from kongflow_runs.adapters.run_writer import BatchingRunWriter
from kongflow_runs.application.create_run import CreateRun
from kongflow_runs.application.queries import GetRun, ListRuns
from kongflow_runs.application.start_run import StartRuns
from kongflow_runs.rpc.error_catalog import CATALOG
from kongflow_runs.rpc.runs_internal_servicer import RunsInternalServicer
from kongflow_runs.rpc.runs_servicer import RunsServicer
from kongflow_runs.rpc.runs_tasks_servicer import RunsTasksServicer
from kongflow_runs.settings import RunsSettings

SERVICE = "runs"


async def serve(settings: RunsSettings, stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set, then drains."""
    signer = ServiceTokenSigner(SERVICE, parse_private_key(settings.service_key.get_secret_value()))
    async with (
        Database.connect(
            settings.database_url.get_secret_value(),
            pool_size=settings.database_pool_size,
            application_name=settings.instance,
        ) as database,
        service_channel(settings.tenancy_target, settings) as tenancy,
        service_channel(settings.workerqueue_target, settings) as worker_queue,
        OutboxRelay(
            database,
            SERVICE,
            GrpcEnqueuer(ServiceCaller(worker_queue, "workerqueue", signer)),
            instance=settings.instance,
        ) as relay,
        BatchingRunWriter(database, relay) as writer,
    ):
        resolver = TenancyCredentialResolver(ServiceCaller(tenancy, "tenancy", signer))
        public_keys = {
            service: parse_public_key(key) for service, key in settings.service_public_keys.items()
        }
        reader = PostgresRunReader(database)
        server = GrpcServer(
            settings,
            authenticator=Authenticator(resolver, ServiceTokenVerifier(SERVICE, public_keys)),
            catalog=CATALOG,
            client_services=[
                GrpcService(
                    runs_service_pb2.DESCRIPTOR.services_by_name["RunsService"],
                    RunsServicer(GetRun(reader), ListRuns(reader)),
                )
            ],
            tasks_services=[
                GrpcService(
                    runs_internal_service_pb2.DESCRIPTOR.services_by_name["RunsInternalService"],
                    RunsInternalServicer(CreateRun(writer)),
                ),
                GrpcService(
                    runs_tasks_service_pb2.DESCRIPTOR.services_by_name["RunsTasksService"],
                    RunsTasksServicer(StartRuns(PostgresRunStarter(database))),
                ),
            ],
            probe=database.ping,
        )
        try:
            await server.serve(stop)
        finally:
            await resolver.close()
