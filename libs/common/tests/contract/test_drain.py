import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.testing.echo_service import EchoServicer, call_echo, echo_service
from kongflow_common.testing.grpc_server import (
    StaticCredentials,
    bearer,
    in_process_server,
    local_settings,
)
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.refusals import refusal

CATALOG = ErrorCatalog("echo.kongflow", {})
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def health_stub(channel: grpc.aio.Channel) -> Any:
    """Any: the stub's types do not name its methods."""
    return health_pb2_grpc.HealthStub(channel)


@contextmanager
def refused_as_new() -> Iterator[None]:
    """Expect that the call inside the block is not taken.

    On a busy machine it may come after the server's quiet moment and before its goodbye: grpc
    itself then answers with CANCELLED, and nothing of ours has run for it.
    """
    with refusal() as refused:
        yield
    assert refused.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


class TestDrain:
    async def test_what_runs_ends_well_and_what_is_new_is_refused(
        self, servicer: EchoServicer
    ) -> None:
        servicer.act = servicer.hold
        async with in_process_server(
            catalog=CATALOG,
            client_services=[echo_service(servicer)],
            tasks_services=[echo_service(servicer, "EchoTasksService")],
        ) as server:
            key = server.credentials.add_secret_key(server.credentials.add_environment())
            watch = health_stub(server.channel).Watch(health_pb2.HealthCheckRequest(), timeout=10)
            states = aiter(watch)
            assert (await anext(states)).status == SERVING
            running = asyncio.create_task(call_echo(server.channel, "Send", bearer(key)))
            await servicer.entered.wait()
            draining = asyncio.create_task(server.server.drain())
            assert (await anext(states)).status == NOT_SERVING
            with refused_as_new():
                await call_echo(server.channel, "Send", bearer(key))
            with refused_as_new():
                await call_echo(server.tasks_channel, "Run", bearer(server.service_token()))
            assert not draining.done()
            servicer.release.set()
            assert await running == "hello"
            async with asyncio.timeout(3):
                await draining
            watch.cancel()

    async def test_ends_in_time_when_a_call_does_not(self, servicer: EchoServicer) -> None:
        servicer.act = servicer.hold
        async with in_process_server(
            catalog=CATALOG,
            client_services=[echo_service(servicer)],
            settings=local_settings(drain_seconds=0.2),
        ) as server:
            key = server.credentials.add_secret_key(server.credentials.add_environment())
            running = asyncio.create_task(call_echo(server.channel, "Send", bearer(key)))
            await servicer.entered.wait()
            async with asyncio.timeout(3):
                await server.server.drain()
            assert servicer.cancelled.is_set()
            with refusal(grpc.StatusCode.UNAVAILABLE):
                await running

    async def test_who_asks_again_waits_for_the_same_end(self, servicer: EchoServicer) -> None:
        servicer.act = servicer.hold
        async with in_process_server(
            catalog=CATALOG, client_services=[echo_service(servicer)]
        ) as server:
            key = server.credentials.add_secret_key(server.credentials.add_environment())
            running = asyncio.create_task(call_echo(server.channel, "Send", bearer(key)))
            await servicer.entered.wait()
            drains = [asyncio.create_task(server.server.drain()) for _ in range(3)]
            done, _ = await asyncio.wait(drains, timeout=0.2)
            assert not done
            servicer.release.set()
            assert await running == "hello"
            async with asyncio.timeout(3):
                await asyncio.gather(*drains)

    async def test_a_channel_finds_a_server_that_is_back(self, servicer: EchoServicer) -> None:
        credentials = StaticCredentials()
        key = credentials.add_secret_key(credentials.add_environment())
        services = [echo_service(servicer)]
        async with in_process_server(
            catalog=CATALOG, client_services=services, credentials=credentials
        ) as first:
            await call_echo(first.channel, "Send", bearer(key))
            await first.server.drain()
            with refusal(grpc.StatusCode.UNAVAILABLE):
                await call_echo(first.channel, "Send", bearer(key))
            settings = local_settings().model_copy(update={"listen": first.server.listen})
            async with in_process_server(
                catalog=CATALOG,
                client_services=services,
                credentials=credentials,
                settings=settings,
            ):
                answer = await asyncio.wait_for(_until_answered(first.channel, key), 3)
        assert answer.startswith("hello")


async def _until_answered(channel: grpc.aio.Channel, key: str) -> str:
    while True:
        try:
            return await call_echo(channel, "Send", bearer(key))
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017
            await asyncio.sleep(0.02)


class TestClientsThatTryAgain:
    async def test_a_retry_policy_covers_a_drain_under_load(self, servicer: EchoServicer) -> None:
        """The calls of busy clients are answered by the server's successor, every one.

        CANCELLED is what grpc itself answers to a call that reached the server and was not taken
        before it closed; nothing of ours has run for it. The drain makes it rare, not impossible.
        """
        credentials = StaticCredentials()
        key = credentials.add_secret_key(credentials.add_environment())
        policy = {
            "methodConfig": [
                {
                    "name": [{}],
                    "retryPolicy": {
                        "maxAttempts": 5,
                        "initialBackoff": "0.2s",
                        "maxBackoff": "1s",
                        "backoffMultiplier": 2,
                        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                    },
                }
            ]
        }
        done = asyncio.Event()
        answered = 0

        async def client(channel: grpc.aio.Channel) -> None:
            nonlocal answered
            while not done.is_set():
                await call_echo(channel, "Send", bearer(key), timeout=10)
                answered += 1

        async with in_process_server(
            catalog=CATALOG, client_services=[echo_service(servicer)], credentials=credentials
        ) as first:
            settings = local_settings().model_copy(update={"listen": first.server.listen})
            options = [("grpc.service_config", json.dumps(policy))]
            async with grpc.aio.insecure_channel(first.server.listen, options=options) as channel:
                clients = [asyncio.create_task(client(channel)) for _ in range(8)]
                await eventually(lambda: answered > 50)
                await first.server.drain()
                async with in_process_server(
                    catalog=CATALOG,
                    client_services=[echo_service(servicer)],
                    credentials=credentials,
                    settings=settings,
                ):
                    before = answered
                    await eventually(lambda: answered > before + 50)
                    done.set()
                    await asyncio.gather(*clients)
