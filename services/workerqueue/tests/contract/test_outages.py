"""What callers see while PostgreSQL or Valkey is away, and after."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kongflow_common.ids import new_id
from kongflow_common.testing.polling import eventually
from kongflow_embedded.postgres import PostgresServer
from kongflow_embedded.temporary import RunningServer
from kongflow_embedded.valkey import ValkeyServer
from kongflow_workerqueue.adapters.ledger_worker import PostgresWorkerLedger
from services.workerqueue.tests.contract.server_under_test import (
    ServerUnderTest,
    command,
    reason,
    status_of,
)

pytestmark = pytest.mark.faults


@pytest.fixture
def postgres(
    postgres_server: RunningServer[PostgresServer], server: ServerUnderTest
) -> Iterator[RunningServer[PostgresServer]]:
    yield postgres_server
    postgres_server.start()


@pytest.fixture
def valkey(
    valkey_server: RunningServer[ValkeyServer], server: ServerUnderTest
) -> Iterator[RunningServer[ValkeyServer]]:
    yield valkey_server
    valkey_server.start()


async def health(server: ServerUnderTest) -> str:
    # Any: the stub's types do not know the methods that it makes when it is built.
    stub: Any = health_pb2_grpc.HealthStub(server.server.tasks_channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


async def test_without_postgresql_callers_are_told_when_to_come_again(
    server: ServerUnderTest, postgres: RunningServer[PostgresServer]
) -> None:
    sent = command()
    assert await health(server) == "SERVING"
    postgres.kill()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await server.enqueue(sent)
    status = status_of(raised.value)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert reason(status) == "DEPENDENCY_UNAVAILABLE"
    assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await server.list()
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE

    async def is_not_serving() -> bool:
        return await health(server) == "NOT_SERVING"

    async def is_serving() -> bool:
        return await health(server) == "SERVING"

    await eventually(is_not_serving, 20)
    postgres.start()
    await eventually(is_serving, 20)
    [result] = await server.enqueue(sent)
    assert result.queued_job_id == sent.outbox_id
    assert (await server.get(sent.outbox_id)).id == sent.outbox_id


async def test_without_valkey_nothing_is_refused_and_workers_find_the_jobs(
    server: ServerUnderTest, valkey: RunningServer[ValkeyServer]
) -> None:
    await server.enqueue(command())
    valkey.kill()
    sent = [command() for _ in range(5)]
    for each in sent:
        [result] = await server.enqueue(each)
        assert result.queued_job_id == each.outbox_id
    later = command(run_time=Timestamp(seconds=int(datetime(2090, 1, 1, tzinfo=UTC).timestamp())))
    await server.enqueue(later)
    await server.retry(later.outbox_id)
    assert await health(server) == "SERVING"
    ledger, worker_id = PostgresWorkerLedger(server.database), new_id()
    await ledger.register_worker(worker_id, host="test", pid=1)
    claimed = {job.id for job in await ledger.claim_available(worker_id, "events", 100)}
    assert {UUID(each.outbox_id) for each in [*sent, later]} <= claimed
    valkey.start()
    await eventually(lambda: server.window.is_up, 20)

    async def is_admitted_again() -> bool:
        after = command()
        await server.enqueue(after)
        popped = await server.window.pop("events", 100)
        return UUID(after.outbox_id) in {id_ for id_, _ in popped.entries}

    # Half a second after the window last took nothing.
    await eventually(is_admitted_again)
