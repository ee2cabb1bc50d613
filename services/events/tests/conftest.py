from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kongflow_common.db.engine import Database
from kongflow_common.db.migrate import upgrade
from kongflow_common.http.addresses import AddressPolicy
from kongflow_common.http.guarded_client import GuardedHttpClient
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.supervision import BackgroundTasks
from kongflow_common.testing.grpc_server import in_process_server
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_events.adapters.compiled_dispatchers import CompiledDispatchers
from kongflow_events.adapters.dispatcher_directory import MemoryDispatcherDirectory
from kongflow_events.adapters.ephemeral_caller import HttpEphemeralCaller
from kongflow_events.adapters.event_intake import BatchingEventIntake
from kongflow_events.adapters.tables import SCHEMA
from kongflow_events.adapters.unit_of_work import SqlEventsUnitOfWork
from kongflow_events.main import Neighbours, grpc_services
from kongflow_events.rpc.error_catalog import CATALOG
from services.events.tests.events_context import (
    EventsContext,
    KnownTriggers,
    KnownUnfinished,
    RecordingCanceller,
    RecordingRuns,
    ShiftedClock,
)

MIGRATIONS = Path(__file__).parents[1] / "migrations"


@pytest.fixture(scope="module")
def events_url(database_url: str) -> str:
    """A database with the schema of this context."""
    upgrade(database_url, MIGRATIONS, SCHEMA)
    return database_url


@pytest.fixture
async def database(events_url: str) -> AsyncIterator[Database]:
    async with Database.connect(
        events_url, pool_size=4, application_name="events-tests"
    ) as database:
        yield database
        await database.pool.execute(
            "TRUNCATE events.outbox, events.event_records, events.event_dispatchers, "
            "events.external_accounts, events.dispatcher_versions, events.event_schemas, "
            "events.ephemeral_claims, events.resource_events, events.event_replays, "
            "events.resource_event_replays, events.replayed_events"
        )


@pytest.fixture
async def relay(
    database: Database, worker_queue: RecordingWorkerQueue
) -> AsyncIterator[OutboxRelay]:
    async with OutboxRelay(database, SCHEMA, worker_queue, instance="events-tests") as relay:
        yield relay


@pytest.fixture
async def intake(database: Database, relay: OutboxRelay) -> AsyncIterator[BatchingEventIntake]:
    async with BatchingEventIntake(database, relay) as intake:
        yield intake


@pytest.fixture
async def context(
    database: Database, relay: OutboxRelay, worker_queue: RecordingWorkerQueue
) -> AsyncIterator[EventsContext]:
    """The context as it is while nothing is known in memory: the queue delivers every event."""
    async with events_context(database, relay, worker_queue, CompiledDispatchers(), None) as it:
        yield it


@pytest.fixture
async def directory(database: Database) -> AsyncIterator[MemoryDispatcherDirectory]:
    directory = MemoryDispatcherDirectory(database, CompiledDispatchers())
    async with BackgroundTasks() as tasks:
        _ = tasks.supervise("dispatcher directory", directory.run)
        yield directory


@pytest.fixture
async def matching_context(
    database: Database,
    relay: OutboxRelay,
    worker_queue: RecordingWorkerQueue,
    directory: MemoryDispatcherDirectory,
) -> AsyncIterator[EventsContext]:
    """The context with dispatchers in memory."""
    async with events_context(
        database, relay, worker_queue, CompiledDispatchers(), directory
    ) as it:
        yield it


@asynccontextmanager
async def events_context(
    database: Database,
    relay: OutboxRelay,
    worker_queue: RecordingWorkerQueue,
    compiled: CompiledDispatchers,
    directory: MemoryDispatcherDirectory | None,
) -> AsyncIterator[EventsContext]:
    clock, runs = ShiftedClock(), RecordingRuns()
    triggers, canceller = KnownTriggers(), RecordingCanceller()
    runs_of_events = KnownUnfinished()
    async with (
        BatchingEventIntake(database, relay) as intake,
        GuardedHttpClient(AddressPolicy(allow_private=True)) as client,
    ):
        neighbours = Neighbours(
            runs=runs,
            run_canceller=canceller,
            triggers=triggers,
            ephemeral=HttpEphemeralCaller(client, timeout_seconds=5.0),
            runs_of_events=runs_of_events,
        )
        client_services, tasks_services = grpc_services(
            database, relay, intake, neighbours, clock, compiled, directory
        )
        async with in_process_server(
            catalog=CATALOG,
            client_services=client_services,
            tasks_services=tasks_services,
            probe=database.ping,
        ) as server:
            environment = server.credentials.add_environment()
            yield EventsContext(
                server=server,
                database=database,
                unit_of_work=lambda: SqlEventsUnitOfWork(database, relay, compiled),
                relay=relay,
                worker_queue=worker_queue,
                runs=runs,
                triggers=triggers,
                canceller=canceller,
                runs_of_events=runs_of_events,
                clock=clock,
                environment=environment,
                key=server.credentials.add_secret_key(environment),
            )
