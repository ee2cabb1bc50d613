"""The endpoints service in this process, with its real database and programs."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.db.engine import Database
from kongflow_common.eventing.publisher import EventPublisher
from kongflow_common.ids import new_id
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.clocks import FixedClock
from kongflow_common.testing.grpc_server import InProcessServer, bearer, in_process_server
from kongflow_common.testing.interest import FixedInterest
from kongflow_endpoints.adapters.endpoint_program import HttpEndpointProgram
from kongflow_endpoints.main import grpc_services
from kongflow_endpoints.rpc.error_catalog import CATALOG
from services.endpoints.tests.conftest import KeptJobs, Keys

Metadata = tuple[tuple[str, str], ...]


@pytest.fixture
def jobs() -> KeptJobs:
    return KeptJobs()


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
async def server(
    database: Database,
    relay: OutboxRelay,
    program: HttpEndpointProgram,
    keys: Keys,
    jobs: KeptJobs,
) -> AsyncIterator[InProcessServer]:
    client_services, tasks_services = grpc_services(
        database,
        relay,
        program,
        keys,
        jobs,
        FixedClock(datetime.now(UTC)),
        EventPublisher(FixedInterest(), FixedClock(), new_id),
    )
    async with in_process_server(
        catalog=CATALOG, client_services=client_services, tasks_services=tasks_services
    ) as server:
        yield server


@pytest.fixture
def here(server: InProcessServer) -> EnvironmentScope:
    return server.credentials.add_environment()


@pytest.fixture
def mine(server: InProcessServer, here: EnvironmentScope) -> Metadata:
    return bearer(server.credentials.add_secret_key(here))


@pytest.fixture
def strangers(server: InProcessServer) -> Metadata:
    return bearer(server.credentials.add_secret_key(server.credentials.add_environment()))
