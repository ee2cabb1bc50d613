import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from kongflow_common.rpc.deadline import time_left
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.interceptor import CallLimits
from kongflow_common.testing.echo_service import EchoContext, EchoServicer, call_echo, echo_service
from kongflow_common.testing.grpc_server import InProcessServer, bearer, in_process_server
from kongflow_common.testing.refusals import refusal

LIMITS = CallLimits(
    max_answer_bytes=1_000, default_timeout=0.2, max_timeout=0.4, max_in_flight_per_key=2
)


@pytest.fixture
async def strict_server(servicer: EchoServicer) -> AsyncIterator[InProcessServer]:
    async with in_process_server(
        catalog=ErrorCatalog("echo.kongflow", {}),
        client_services=[echo_service(servicer)],
        client_limits=LIMITS,
    ) as running:
        yield running


class TestInFlight:
    async def test_a_key_has_so_many_calls_under_way_and_no_more(
        self, strict_server: InProcessServer, servicer: EchoServicer
    ) -> None:
        server = strict_server
        environment = server.credentials.add_environment()
        key = server.credentials.add_secret_key(environment)
        other_key = server.credentials.add_secret_key(environment)
        inside = asyncio.Semaphore(0)

        async def hold(text: str, _context: EchoContext) -> str:
            inside.release()
            await servicer.release.wait()
            return text

        servicer.act = hold
        held = [
            asyncio.create_task(call_echo(server.channel, "Send", bearer(key), timeout=0.39))
            for _ in range(2)
        ]
        await inside.acquire()
        await inside.acquire()
        with refusal(grpc.StatusCode.RESOURCE_EXHAUSTED) as refused:
            await call_echo(server.channel, "Send", bearer(key), timeout=0.39)
        assert refused.reason == "TOO_MANY_CALLS"
        assert refused.retry_seconds is not None
        others = asyncio.create_task(call_echo(server.channel, "Send", bearer(other_key)))
        await inside.acquire()
        servicer.release.set()
        await asyncio.gather(*held, others)
        # The places were given back, after failures too.
        for _ in range(3):
            with refusal(grpc.StatusCode.INVALID_ARGUMENT):
                await call_echo(server.channel, "Send", bearer(key), raw=b"\xff")
        await asyncio.gather(
            *(call_echo(server.channel, "Send", bearer(key), timeout=0.39) for _ in range(2))
        )


class TestDeadlines:
    @pytest.mark.parametrize(("timeout", "ends_after"), [(None, 0.2), (30.0, 0.4)])
    async def test_a_call_without_or_with_a_long_deadline_ends_all_the_same(
        self,
        strict_server: InProcessServer,
        servicer: EchoServicer,
        timeout: float | None,
        ends_after: float,
    ) -> None:
        key = strict_server.credentials.add_secret_key(strict_server.credentials.add_environment())
        servicer.act = servicer.hold
        with refusal(grpc.StatusCode.DEADLINE_EXCEEDED) as refused:
            await call_echo(strict_server.channel, "Send", bearer(key), timeout=timeout)
        assert refused.reason == "DEADLINE_EXCEEDED"
        assert refused.info.metadata["seconds"] == str(ends_after)
        assert servicer.cancelled.is_set()

    async def test_the_servicer_is_cancelled_at_the_callers_deadline(
        self, server: InProcessServer, servicer: EchoServicer, secret_key: str
    ) -> None:
        servicer.act = servicer.hold
        with refusal(grpc.StatusCode.DEADLINE_EXCEEDED):
            await call_echo(server.channel, "Send", bearer(secret_key), timeout=0.1)
        async with asyncio.timeout(5):
            await servicer.cancelled.wait()

    async def test_the_servicer_is_cancelled_when_the_caller_leaves(
        self, server: InProcessServer, servicer: EchoServicer, secret_key: str
    ) -> None:
        servicer.act = servicer.hold
        pending = asyncio.create_task(call_echo(server.channel, "Send", bearer(secret_key)))
        await servicer.entered.wait()
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
        async with asyncio.timeout(5):
            await servicer.cancelled.wait()

    async def test_outgoing_calls_see_what_is_left(
        self, server: InProcessServer, servicer: EchoServicer, secret_key: str
    ) -> None:
        async def left(_text: str, _context: EchoContext) -> str:
            return f"{time_left(at_most=60)} {time_left(at_most=0.5)}"

        servicer.act = left
        answer = await call_echo(server.channel, "Send", bearer(secret_key), timeout=3)
        long, short = (float(each) for each in answer.split())
        # What is kept back is for telling the caller. gRPC rounds up what it tells the server.
        assert 1 < long <= 3 * 0.9 * 1.01
        assert short == 0.5

    def test_outside_of_a_call_nothing_shortens(self) -> None:
        assert time_left(at_most=60) == 60
