"""Channels to servers with their own defaults, of which gRPC's endure few pings."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest

from kongflow_common.rpc.channel import FOREIGN_SERVERS, OWN_SERVERS, Keepalive, open_channel

# gRPC sends no more than a ping a second: the fourth of them is one too many.
HASTE = 40
CALL_SECONDS = 5.5


async def _slow(_request: bytes, _context: Any) -> bytes:
    await asyncio.sleep(CALL_SECONDS)
    return b"done"


@pytest.fixture
async def target() -> AsyncIterator[str]:
    server = grpc.aio.server()
    method: Any = grpc.unary_unary_rpc_method_handler(_slow)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("foreign.Slow", {"Call": method}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


async def call(target: str, keepalive: Keepalive) -> bytes:
    hasty = replace(keepalive, ping_ms=keepalive.ping_ms // HASTE)
    async with open_channel(target, keepalive=hasty) as channel:
        method: Any = channel.unary_unary("/foreign.Slow/Call")
        return bytes(await method(b"", timeout=30))


async def test_a_long_call_of_a_foreign_server_is_not_ended_for_its_pings(target: str) -> None:
    # The trap is real: our own servers' settings would end the call.
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await call(target, OWN_SERVERS)
    assert ended.value.details() == "Too many pings"
    assert await call(target, FOREIGN_SERVERS) == b"done"
