"""What clients see while PostgreSQL or Valkey is away, and that all is well afterwards."""

import asyncio
import signal
from collections.abc import Iterator
from uuid import uuid4

import grpc
import pytest
import redis
import redis.asyncio
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from kongflow.events.v1 import event_record_pb2, events_service_pb2
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from tests.faults.chaos import hold_down
from tests.faults.program import EVENT_NAME, counting_program
from tests.faults.verify import wait_for_runs
from tests.local_system import LocalSystem, poll_until

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(240)]

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SECONDS = 60.0


@pytest.fixture(scope="module", autouse=True)
def program(system: LocalSystem) -> Iterator[None]:
    """The program that the events are for."""
    with counting_program(system):
        yield


async def send(system: LocalSystem, channel: grpc.aio.Channel) -> str:
    """Sends an event that the fault job takes, without any retry; answers its record."""
    answer = await EventsServiceStub(channel).SendEvent(
        events_service_pb2.SendEventRequest(
            event=event_record_pb2.EventRecord(event_id=str(uuid4()), name=EVENT_NAME)
        ),
        metadata=system.metadata,
        timeout=20,
    )
    return answer.event_record.id


async def health_becomes(channel: grpc.aio.Channel, wanted: int) -> None:
    """Waits for the events service to say so."""
    stub = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(SECONDS):
        watch = stub.Watch(  # type: ignore[attr-defined]
            health_pb2.HealthCheckRequest(service="")
        )
        async for answer in watch:
            if answer.status == wanted:
                watch.cancel()
                return


async def test_postgresql_away_is_unavailable_and_passes_by_itself(system: LocalSystem) -> None:
    async with grpc.aio.insecure_channel(system.target("events")) as channel:
        await send(system, channel)
        down = asyncio.create_task(hold_down(system, ("postgres",), 6))
        await health_becomes(channel, NOT_SERVING)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await send(system, channel)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        status = rpc_status.from_call(refused.value)  # type: ignore[arg-type]
        assert status is not None
        retry = error_details_pb2.RetryInfo()
        assert any(detail.Unpack(retry) for detail in status.details)
        assert retry.retry_delay.ToTimedelta().total_seconds() > 0
        await down
        await health_becomes(channel, SERVING)
        record_id = await send(system, channel)
    assert not wait_for_runs(system, [record_id], seconds=SECONDS).problems(1)


def valkey_answers(system: LocalSystem) -> bool:
    """Whether the Valkey that the system runs now takes commands."""
    if system.pid("valkey") is None:
        return False
    with redis.Redis.from_url(system.connection()["redis_url"], socket_timeout=1) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


@pytest.mark.parametrize("state", ["killed", "frozen", "full"])
async def test_without_valkey_nothing_is_refused_and_nothing_lost(
    system: LocalSystem, state: str
) -> None:
    await asyncio.to_thread(poll_until, lambda: valkey_answers(system), seconds=30, what="Valkey")
    async with grpc.aio.insecure_channel(system.target("events")) as channel:
        url = system.connection()["redis_url"]
        held: asyncio.Task[None] | None = None
        async with redis.asyncio.Redis.from_url(url) as client:
            if state == "killed":
                held = asyncio.create_task(hold_down(system, ("valkey",), 8))
            elif state == "frozen":
                assert system.signal("valkey", signal.SIGSTOP)
            else:
                await client.config_set("maxmemory-policy", "noeviction")
                await client.config_set("maxmemory", "1")
            try:
                record_ids = [await send(system, channel) for _ in range(20)]
                # The runs come while it is still away: the ledger is enough.
                findings = await asyncio.to_thread(
                    wait_for_runs, system, record_ids, seconds=SECONDS
                )
                assert not findings.problems(20)
            finally:
                if state == "frozen":
                    system.signal("valkey", signal.SIGCONT)
                elif state == "full":
                    await client.config_set("maxmemory", "0")
                elif held is not None:
                    await held
        record_id = await send(system, channel)
    assert not wait_for_runs(system, [record_id], seconds=SECONDS).problems(1)
