from collections.abc import AsyncIterator

import pytest

from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.testing.echo_service import EchoServicer, echo_service
from kongflow_common.testing.grpc_server import InProcessServer, in_process_server


@pytest.fixture
def servicer() -> EchoServicer:
    return EchoServicer()


@pytest.fixture
async def server(servicer: EchoServicer) -> AsyncIterator[InProcessServer]:
    async with in_process_server(
        catalog=ErrorCatalog("echo.kongflow", {}),
        client_services=[echo_service(servicer)],
        tasks_services=[echo_service(servicer, "EchoTasksService")],
    ) as running:
        yield running


@pytest.fixture
def environment(server: InProcessServer) -> EnvironmentScope:
    return server.credentials.add_environment()


@pytest.fixture
def secret_key(server: InProcessServer, environment: EnvironmentScope) -> str:
    return server.credentials.add_secret_key(environment)
