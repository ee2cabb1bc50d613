"""A migrated database for the tests of runs."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from kongflow_common.db.engine import Database
from kongflow_common.db.migrate import upgrade
from kongflow_common.ids import new_id
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.grpc_server import InProcessServer, in_process_server
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_runs.adapters.run_news import RunNews
from kongflow_runs.adapters.run_writer import BatchingRunWriter
from kongflow_runs.domain.run import NewRun, VersionSelector
from kongflow_runs.main import grpc_services
from kongflow_runs.rpc.error_catalog import CATALOG
from services.runs.tests.neighbours import Others

MIGRATIONS = Path(__file__).parents[1] / "migrations"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The context's database, migrated."""
    upgrade(database_url, MIGRATIONS, "runs")
    async with Database.connect(database_url, pool_size=4, application_name="tests") as database:
        yield database


@pytest.fixture
async def relay(
    database: Database, worker_queue: RecordingWorkerQueue
) -> AsyncIterator[OutboxRelay]:
    """A relay that hands messages to the recording worker queue."""
    async with OutboxRelay(database, "runs", worker_queue, instance="tests") as relay:
        yield relay


@pytest.fixture
async def writer(
    database: Database, relay: OutboxRelay, others: Others
) -> AsyncIterator[BatchingRunWriter]:
    """The writer on the real database."""
    async with BatchingRunWriter(database, relay, RunNews(others.neighbours.news)) as writer:
        yield writer


@pytest.fixture
def others() -> Others:
    return Others()


@pytest.fixture
async def server(
    database: Database, relay: OutboxRelay, writer: BatchingRunWriter, others: Others
) -> AsyncIterator[InProcessServer]:
    """The runs service in this process, as its main puts it together."""
    client_services, tasks_services = grpc_services(database, relay, writer, others.neighbours)
    async with in_process_server(
        catalog=CATALOG, client_services=client_services, tasks_services=tasks_services
    ) as server:
        yield server


def a_run(*, like: NewRun | None = None, job_id: UUID | None = None) -> NewRun:
    """A run of its own, or one for the same place as another."""
    if like is not None:
        return replace(like, id=new_id())
    return NewRun(
        id=new_id(),
        environment_id=new_id(),
        project_id=new_id(),
        organization_id=new_id(),
        event_record_id=new_id(),
        dispatcher_id=new_id(),
        job_id=job_id or new_id(),
        selector=VersionSelector(alias="latest", version=None),
        external_account_id=None,
        is_test=False,
        internal=False,
        traceparent=TRACEPARENT,
    )
