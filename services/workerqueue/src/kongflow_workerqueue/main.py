"""Puts the worker queue's server together: the only file that constructs its parts.

A worker's parts are put together in worker_main.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Gauge

from kongflow.workerqueue.internal.v1 import enqueue_service_pb2
from kongflow.workerqueue.tasks.v1 import workerqueue_tasks_service_pb2
from kongflow.workerqueue.v1 import periodic_jobs_service_pb2, workerqueue_service_pb2
from kongflow_common.auth.authenticator import Authenticator
from kongflow_common.auth.service_tokens import (
    ServiceTokenSigner,
    ServiceTokenVerifier,
    parse_private_key,
    parse_public_key,
)
from kongflow_common.db.engine import Database
from kongflow_common.db.purge import Purge
from kongflow_common.ids import new_id
from kongflow_common.logging import configure_logging
from kongflow_common.rpc.channel import ServiceCaller, service_channel
from kongflow_common.rpc.filtering import parse_filter
from kongflow_common.rpc.server import GrpcServer, GrpcService
from kongflow_common.rpc.tenancy_credentials import TenancyCredentialResolver
from kongflow_common.supervision import BackgroundTasks
from kongflow_workerqueue.adapters.audit_reader import PostgresAuditReader
from kongflow_workerqueue.adapters.ledger_database import open_ledger_database
from kongflow_workerqueue.adapters.ledger_enqueue import PostgresEnqueueLedger
from kongflow_workerqueue.adapters.ledger_limits import PostgresLimitLedger
from kongflow_workerqueue.adapters.ledger_operators import PostgresOperatorLedger
from kongflow_workerqueue.adapters.ledger_periodic import PostgresPeriodicLedger
from kongflow_workerqueue.adapters.ledger_redrives import PostgresRedriveLedger
from kongflow_workerqueue.adapters.purges import OF_ENVIRONMENT
from kongflow_workerqueue.adapters.queue_reader import PostgresQueueReader
from kongflow_workerqueue.adapters.queued_job_reader import PostgresQueuedJobReader
from kongflow_workerqueue.adapters.queued_job_watcher import PostgresJobWatcher
from kongflow_workerqueue.adapters.redis_connection import open_redis
from kongflow_workerqueue.adapters.window_redis import RedisWindow
from kongflow_workerqueue.application.admit_limited import AdmitLimited
from kongflow_workerqueue.application.audit_queries import AuditQueries
from kongflow_workerqueue.application.cancel_queued_job import CancelQueuedJob
from kongflow_workerqueue.application.delete_queued_job import DeleteQueuedJob
from kongflow_workerqueue.application.dispatch import Dispatch
from kongflow_workerqueue.application.edit_dead_letters import EditDeadLetters
from kongflow_workerqueue.application.enqueue_jobs import EnqueueJobs
from kongflow_workerqueue.application.limit_queue import LimitQueue
from kongflow_workerqueue.application.pause_queue import PauseQueue
from kongflow_workerqueue.application.ports import Window
from kongflow_workerqueue.application.queries import QueuedJobQueries
from kongflow_workerqueue.application.queue_queries import QueueQueries
from kongflow_workerqueue.application.redrive_queued_jobs import (
    REDRIVE_FIELDS,
    RedriveQueuedJobs,
)
from kongflow_workerqueue.application.retry_queued_job import RetryQueuedJob
from kongflow_workerqueue.application.steer_periodic_jobs import SteerPeriodicJobs
from kongflow_workerqueue.application.watch_queued_jobs import WatchQueuedJobs
from kongflow_workerqueue.catalogue.catalogue import KindCatalogue, read_catalogue
from kongflow_workerqueue.rpc.enqueue_counts import EnqueueCounts
from kongflow_workerqueue.rpc.enqueue_servicer import EnqueueServicer
from kongflow_workerqueue.rpc.error_catalog import CATALOG
from kongflow_workerqueue.rpc.periodic_servicer import PeriodicJobsServicer
from kongflow_workerqueue.rpc.tasks_servicer import WorkerQueueTasksServicer
from kongflow_workerqueue.rpc.workerqueue_servicer import WorkerQueueServicer
from kongflow_workerqueue.settings import WorkerQueueSettings
from kongflow_workerqueue.worker_main import run_worker
from kongflow_workerqueue.worker_settings import WorkerSettings

SERVICE = "workerqueue"


async def serve(settings: WorkerQueueSettings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then drain."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            open_ledger_database(
                settings.database_url.get_secret_value(),
                pool_size=settings.database_pool_size,
                application_name=settings.instance,
            )
        )
        registry = CollectorRegistry()
        window = await _open_window(settings, registry, stack)
        services = await stack.enter_async_context(
            open_services(
                database,
                window,
                read_catalogue(settings.task_descriptor_sets),
                window_cap=settings.window_cap,
                registry=registry,
            )
        )
        server = GrpcServer(
            settings,
            authenticator=_authenticator(settings, stack),
            catalog=CATALOG,
            client_services=services.client,
            tasks_services=services.tasks,
            # Readiness is PostgreSQL's alone: without Redis jobs travel more slowly.
            probe=database.ping,
            registry=registry,
        )
        await server.serve(stop)


@dataclass(frozen=True, slots=True)
class Services:
    """What the server's two listeners serve."""

    client: Sequence[GrpcService]
    tasks: Sequence[GrpcService]


def _redrives(database: Database, catalogue: KindCatalogue) -> RedriveQueuedJobs:
    edits = EditDeadLetters(catalogue)
    ledger = PostgresRedriveLedger(database, partial(parse_filter, fields=REDRIVE_FIELDS), edits)
    return RedriveQueuedJobs(ledger, edits, new_id)


@asynccontextmanager
async def open_services(
    database: Database,
    window: Window,
    catalogue: KindCatalogue,
    *,
    window_cap: int,
    registry: CollectorRegistry | None = None,
) -> AsyncIterator[Services]:
    """Put the services together; what they have taken is stored before the block is left."""
    registry = registry if registry is not None else CollectorRegistry()
    ledger = PostgresEnqueueLedger(database)
    dispatch = Dispatch(window, ledger, cap=window_cap)
    admit_limited = AdmitLimited(PostgresLimitLedger(database), window, cap=window_cap)
    enqueue_jobs = EnqueueJobs(ledger, catalogue, dispatch, admit_limited)
    queries = QueuedJobQueries(
        PostgresQueuedJobReader(database),
        lambda service: [kind.kind for kind in catalogue if kind.target == service],
    )
    operators = PostgresOperatorLedger(database)
    queues = QueueQueries(PostgresQueueReader(database))
    redrives = _redrives(database, catalogue)
    servicer = WorkerQueueServicer(
        queries,
        queues,
        retry_queued_job=RetryQueuedJob(operators, queries, dispatch, catalogue),
        cancel_queued_job=CancelQueuedJob(operators, queries, catalogue, new_id),
        delete_queued_job=DeleteQueuedJob(operators),
        pause_queue=PauseQueue(operators, queues),
        limit_queue=LimitQueue(operators, queues),
        redrives=redrives,
        audit=AuditQueries(PostgresAuditReader(database)),
        watch_queued_jobs=_watch_queued_jobs(database, registry),
    )
    periodic = SteerPeriodicJobs(PostgresPeriodicLedger(database), new_id)
    tasks = BackgroundTasks()
    try:
        async with tasks:
            _ = tasks.supervise("redrives", redrives.run)
            yield Services(
                client=[
                    GrpcService(
                        workerqueue_service_pb2.DESCRIPTOR.services_by_name["WorkerQueueService"],
                        servicer,
                    ),
                    GrpcService(
                        periodic_jobs_service_pb2.DESCRIPTOR.services_by_name[
                            "PeriodicJobsService"
                        ],
                        PeriodicJobsServicer(periodic),
                    ),
                ],
                tasks=[
                    GrpcService(
                        enqueue_service_pb2.DESCRIPTOR.services_by_name["EnqueueService"],
                        EnqueueServicer(enqueue_jobs, EnqueueCounts(registry)),
                    ),
                    GrpcService(
                        workerqueue_tasks_service_pb2.DESCRIPTOR.services_by_name[
                            "WorkerQueueTasksService"
                        ],
                        WorkerQueueTasksServicer(Purge(database.pool, OF_ENVIRONMENT)),
                    ),
                ],
            )
    finally:
        await enqueue_jobs.close()


def _watch_queued_jobs(database: Database, registry: CollectorRegistry) -> WatchQueuedJobs:
    watch_queued_jobs = WatchQueuedJobs(PostgresJobWatcher(database))
    gauge = Gauge(
        "kongflow_workerqueue_watches", "Watches of queued jobs that go on.", registry=registry
    )
    gauge.set_function(lambda: watch_queued_jobs.watches)
    return watch_queued_jobs


def worker() -> int:
    """Run a worker as this process; return its exit code."""
    settings = WorkerSettings()
    configure_logging("worker", settings.instance, settings.log_level, settings.log_format)
    return run_worker(settings)


async def _open_window(
    settings: WorkerQueueSettings, registry: CollectorRegistry, stack: AsyncExitStack
) -> RedisWindow:
    redis = open_redis(settings.redis_url.get_secret_value())
    stack.push_async_callback(redis.aclose)
    probes = await stack.enter_async_context(BackgroundTasks())
    gauge = Gauge(
        "kongflow_workerqueue_fast_path_up",
        "1 while jobs travel through Redis, 0 while PostgreSQL is polled.",
        registry=registry,
    )
    return RedisWindow(redis, probes, on_change=lambda up: gauge.set(int(up)))


def _authenticator(settings: WorkerQueueSettings, stack: AsyncExitStack) -> Authenticator:
    signer = ServiceTokenSigner(SERVICE, parse_private_key(settings.service_key.get_secret_value()))
    channel = service_channel(settings.tenancy_target, settings)
    stack.push_async_callback(channel.close)
    resolver = TenancyCredentialResolver(ServiceCaller(channel, "tenancy", signer))
    stack.push_async_callback(resolver.close)
    public_keys = {
        service: parse_public_key(key) for service, key in settings.service_public_keys.items()
    }
    return Authenticator(resolver, ServiceTokenVerifier(SERVICE, public_keys))
