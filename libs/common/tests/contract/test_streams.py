"""Methods that answer with a stream pass through the same pipeline as the others."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kongflow_common.rpc import server as server_module
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.interceptor import MethodNotImplemented
from kongflow_common.testing.echo_service import EchoStreamServicer, echo_service, watch_echoes
from kongflow_common.testing.grpc_server import InProcessServer, bearer, in_process_server
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.refusals import refusal

CATALOG = ErrorCatalog("echo.kongflow", {})


@pytest.fixture
def servicer() -> EchoStreamServicer:
    return EchoStreamServicer()


@pytest.fixture
async def server(servicer: EchoStreamServicer) -> AsyncIterator[InProcessServer]:
    async with in_process_server(
        catalog=CATALOG, client_services=[echo_service(servicer, "EchoStreamService")]
    ) as server:
        yield server


@pytest.fixture
def operator(server: InProcessServer) -> tuple[tuple[str, str], ...]:
    return bearer(server.credentials.add_operator("echo:read", name="ann"))


async def test_answers_come_as_they_are_made(
    server: InProcessServer, operator: tuple[tuple[str, str], ...], servicer: EchoStreamServicer
) -> None:
    answers = [StringValue.FromString(raw) async for raw in watch_echoes(server.channel, operator)]
    assert [answer.value.rstrip(".") for answer in answers] == ["1 ann", "2 ann"]
    assert servicer.ended.is_set()


async def test_who_may_not_call_gets_nothing(
    server: InProcessServer, servicer: EchoStreamServicer
) -> None:
    with refusal(grpc.StatusCode.UNAUTHENTICATED):
        await anext(aiter(watch_echoes(server.channel)))
    other = bearer(server.credentials.add_operator("other:read"))
    with refusal(grpc.StatusCode.PERMISSION_DENIED):
        await anext(aiter(watch_echoes(server.channel, other)))
    assert servicer.echoes == 0


async def test_an_unexpected_error_says_nothing_of_itself(
    server: InProcessServer, operator: tuple[tuple[str, str], ...]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await anext(aiter(watch_echoes(server.channel, operator, text="broken")))
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in (raised.value.details() or "")


async def test_the_callers_end_is_the_servicers(
    server: InProcessServer, operator: tuple[tuple[str, str], ...], servicer: EchoStreamServicer
) -> None:
    call = watch_echoes(server.channel, operator, text="endless")
    await anext(aiter(call))
    call.cancel()
    async with asyncio.timeout(5):
        await servicer.ended.wait()


async def test_the_callers_deadline_ends_it(
    server: InProcessServer, operator: tuple[tuple[str, str], ...], servicer: EchoStreamServicer
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await anext(aiter(watch_echoes(server.channel, operator, text="silent", timeout=0.3)))
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(5):
        await servicer.ended.wait()


async def test_without_a_deadline_it_ends_after_the_longest_time(
    monkeypatch: pytest.MonkeyPatch, servicer: EchoStreamServicer
) -> None:
    limits = replace(server_module.CLIENT_LIMITS, max_stream_time=0.2)
    async with in_process_server(
        catalog=CATALOG,
        client_services=[echo_service(servicer, "EchoStreamService")],
        client_limits=limits,
    ) as server:
        operator = bearer(server.credentials.add_operator("echo:read"))
        with refusal(grpc.StatusCode.DEADLINE_EXCEEDED):
            await anext(aiter(watch_echoes(server.channel, operator, text="silent", timeout=None)))
    assert servicer.ended.is_set()


async def test_who_reads_slowly_is_not_written_for(
    server: InProcessServer, operator: tuple[tuple[str, str], ...], servicer: EchoStreamServicer
) -> None:
    call = watch_echoes(server.channel, operator, text="endless", timeout=60)
    await anext(aiter(call))
    seen: list[int] = []

    def stands_still() -> bool:
        seen.append(servicer.echoes)
        return len(seen) > 50 and seen[-1] == seen[-50]

    # The windows of the connection fill up, and then nothing is made any more.
    await eventually(stands_still, 30)
    assert seen[-1] < 20_000
    call.cancel()


async def test_a_draining_server_ends_its_streams(
    server: InProcessServer, operator: tuple[tuple[str, str], ...], servicer: EchoStreamServicer
) -> None:
    call = watch_echoes(server.channel, operator, text="silent", timeout=60)
    waiting = asyncio.ensure_future(anext(aiter(call)))
    await eventually(lambda: server.server._client._pipeline.in_flight.now == 1)
    async with asyncio.timeout(4):
        await server.server.drain()
    with refusal(grpc.StatusCode.UNAVAILABLE):
        await waiting
    assert servicer.ended.is_set()


async def test_a_revoked_credential_ends_it(servicer: EchoStreamServicer) -> None:
    limits = replace(server_module.CLIENT_LIMITS, stream_recheck_time=0.1)
    async with in_process_server(
        catalog=CATALOG,
        client_services=[echo_service(servicer, "EchoStreamService")],
        client_limits=limits,
    ) as server:
        token = server.credentials.add_operator("echo:read")
        call = watch_echoes(server.channel, bearer(token), text="silent", timeout=60)
        waiting = asyncio.ensure_future(anext(aiter(call)))
        await eventually(lambda: server.server._client._pipeline.in_flight.now == 1)
        server.credentials.revoke(token)
        # As long as any call of a revoked key may go on being answered.
        async with asyncio.timeout(20):
            with refusal(grpc.StatusCode.UNAUTHENTICATED):
                await waiting
        assert servicer.ended.is_set()


async def test_refuses_a_servicer_that_answers_once() -> None:
    class Once:
        async def WatchEchoes(self, request: object, _context: object) -> object:  # noqa: N802
            return request

    with pytest.raises(MethodNotImplemented):
        async with in_process_server(
            catalog=CATALOG, client_services=[echo_service(Once(), "EchoStreamService")]
        ):
            pass
