"""A target that has calls is written to; one that has none is left alone."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from kongflow_common.ids import new_id
from kongflow_common.rpc.channel import FOREIGN_SERVERS, open_channel
from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.adapters.target_grpc import GrpcTarget
from kongflow_workerqueue.application.ports import ClaimedJob
from kongflow_workerqueue.catalogue.catalogue import KindCatalogue, built_in_kinds
from kongflow_workerqueue.domain.states import Priority


async def test_a_target_is_written_to_while_it_has_calls_whatever_it_answers() -> None:
    kind = KindCatalogue(built_in_kinds()).find("startRun")
    assert kind is not None
    asked = 0
    go_on = asyncio.Event()

    async def start(_request: bytes, _context: Any) -> bytes:
        await go_on.wait()
        return b""

    async def check(_request: bytes, context: Any) -> bytes:
        nonlocal asked
        asked += 1
        await context.abort(grpc.StatusCode.PERMISSION_DENIED)
        raise AssertionError("aborted")

    server = grpc.aio.server()
    for path, behaviour in [(kind.unary.path, start), ("/grpc.health.v1.Health/Check", check)]:
        service, method = path[1:].split("/")
        handlers: dict[str, Any] = {method: grpc.unary_unary_rpc_method_handler(behaviour)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    job = ClaimedJob(new_id(), 1, kind.kind, b"{}", "runs", Priority.HIGH, 0, 3, 0, None, None)
    async with open_channel(f"127.0.0.1:{port}", keepalive=FOREIGN_SERVERS) as channel:
        target = GrpcTarget(channel, [kind], lambda: "token")
        touch = asyncio.create_task(target.keep_in_touch(every=0.01))
        deadline = datetime.now(UTC) + timedelta(seconds=30)
        call = asyncio.create_task(target.call(kind, [job], deadline=deadline))
        await eventually(lambda: asked >= 3)
        assert not touch.done()
        go_on.set()
        await call
        touch.cancel()
        with suppress(asyncio.CancelledError):
            await touch
    await server.stop(0)
