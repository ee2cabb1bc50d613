"""Puts jobs into the worker queue as a service's relay does: over gRPC, with its token."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop

from bench.queue.program import main
from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as pb
from kongflow.workerqueue.internal.v1.enqueue_service_pb2_grpc import EnqueueServiceStub
from kongflow_common.auth.service_tokens import ServiceTokenSigner, parse_private_key
from kongflow_common.ids import new_id
from kongflow_common.rpc.channel import ServiceCaller, open_channel

TIMEOUT_SECONDS = 20.0


class WorkerQueue:
    """Jobs of one kind."""

    def __init__(self, caller: ServiceCaller, kind: str) -> None:
        self._caller = caller
        self._kind = kind
        self._stub = EnqueueServiceStub(caller.channel)

    async def add(self, sent: int) -> None:
        """One job in a call."""
        await self._enqueue([self._command(sent)])

    async def add_many(self, count: int) -> None:
        """So many in a call."""
        await self._enqueue([self._command(0) for _ in range(count)])

    async def _enqueue(self, commands: list[pb.EnqueueCommand]) -> None:
        response = await self._caller.call(
            self._stub.EnqueueJobs,
            pb.EnqueueJobsRequest(commands=commands),
            timeout=TIMEOUT_SECONDS,
        )
        for result in response.results:
            if not result.queued_job_id:
                raise SystemExit(f"a job was not stored: {result}")

    def _command(self, sent: int) -> pb.EnqueueCommand:
        return pb.EnqueueCommand(
            outbox_id=str(new_id()),
            operation=pb.EnqueueCommand.OPERATION_ENQUEUE,
            kind=self._kind,
            args=b'{"sent":"%d"}' % sent,
        )


@asynccontextmanager
async def open_queue() -> AsyncIterator[WorkerQueue]:
    """A channel to the server."""
    signer = ServiceTokenSigner(
        os.environ["BENCH_TARGET"], parse_private_key(os.environ["BENCH_KEY"])
    )
    async with open_channel(os.environ["BENCH_SERVER"]) as channel:
        await asyncio.wait_for(channel.channel_ready(), TIMEOUT_SECONDS)
        caller = ServiceCaller(channel, "workerqueue", signer)
        yield WorkerQueue(caller, os.environ["BENCH_KIND"])


if __name__ == "__main__":
    uvloop.install()
    main(open_queue)
