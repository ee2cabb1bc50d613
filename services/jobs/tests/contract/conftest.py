"""The jobs service in this process, with its real database and neighbours in memory."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from kongflow.jobs.internal.v1 import jobs_internal_service_pb2 as internal_pb
from kongflow.jobs.internal.v1.jobs_internal_service_pb2_grpc import JobsInternalServiceStub
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.clock import SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import InProcessServer, in_process_server
from kongflow_jobs.main import grpc_services
from kongflow_jobs.rpc.error_catalog import CATALOG
from services.jobs.tests.conftest import KeptDispatchers, KeptEvents, KeptRuns

TIMEOUT = 10.0


@pytest.fixture
def dispatchers() -> KeptDispatchers:
    return KeptDispatchers()


@pytest.fixture
def events() -> KeptEvents:
    return KeptEvents()


@pytest.fixture
def runs() -> KeptRuns:
    return KeptRuns()


@pytest.fixture
async def server(
    database: Database, dispatchers: KeptDispatchers, events: KeptEvents, runs: KeptRuns
) -> AsyncIterator[InProcessServer]:
    client_services, tasks_services = grpc_services(
        database, dispatchers, events, runs, SystemClock()
    )
    async with in_process_server(
        catalog=CATALOG, client_services=client_services, tasks_services=tasks_services
    ) as server:
        yield server


@pytest.fixture
def here(server: InProcessServer) -> EnvironmentScope:
    return server.credentials.add_environment()


async def register(
    server: InProcessServer,
    scope: EnvironmentScope,
    document: dict[str, Any],
    generation: int = 1,
) -> internal_pb.RegisterJobResponse:
    return await server.caller("endpoints").call(
        JobsInternalServiceStub(server.tasks_channel).RegisterJob,
        internal_pb.RegisterJobRequest(
            environment_id=str(scope.environment_id),
            project_id=str(scope.project_id),
            organization_id=str(scope.organization_id),
            endpoint_id=str(new_id()),
            metadata=orjson.dumps(document),
            generation=generation,
        ),
        timeout=TIMEOUT,
    )
