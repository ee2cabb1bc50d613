"""A target that the worker knows by its descriptor set alone: its messages are of its own pool."""

import os
import socket
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from bench.queue.kongflow import BATCH_KIND, SINGLE_KIND, TARGET, compile_descriptors
from bench.queue.target import handler
from kongflow_common.ids import new_id
from kongflow_common.rpc.channel import FOREIGN_SERVERS
from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.application.ports import NewJob
from kongflow_workerqueue.domain.states import Priority
from services.workerqueue.tests.worker.queue_under_test import (
    TRACEPARENT,
    QueueUnderTest,
    running,
)

JOBS = 7


def noop(number: int, kind: str) -> NewJob:
    return NewJob(
        id=new_id(),
        kind=kind,
        args=b'{"sent":"%d"}' % number,
        queue="events",
        priority=Priority.NORMAL,
        max_attempts=3,
        traceparent=TRACEPARENT,
    )


def patience(port: int) -> set[int]:
    """How long this process's connections to a port wait for an acknowledgement, in ms."""
    found: set[int] = set()
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError), socket.socket(fileno=os.dup(int(file.name))) as connection:
            if connection.getpeername()[1:2] == (port,):
                found.add(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    return found


@pytest.mark.parametrize("kind", [BATCH_KIND, SINGLE_KIND])
async def test_its_jobs_are_called(queue: QueueUnderTest, tmp_path: Path, kind: str) -> None:
    descriptors = tmp_path / "noop.binpb"
    compile_descriptors(descriptors)
    received: list[int] = []
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler(descriptors, received.append),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    settings = queue.settings(
        {TARGET: f"127.0.0.1:{port}"}, task_descriptor_sets={TARGET: descriptors}
    )
    try:
        await queue.enqueue([noop(number, kind) for number in range(JOBS)])
        async with running(settings):
            await eventually(lambda: queue.all_completed(JOBS))
            assert patience(port) == {FOREIGN_SERVERS.timeout_ms}
    finally:
        await server.stop(0)
    assert sorted(received) == list(range(JOBS))
    rows = await queue.database.pool.execute("SELECT attempt FROM workerqueue.queued_jobs")
    assert [attempt for (attempt,) in rows] == [1] * JOBS
