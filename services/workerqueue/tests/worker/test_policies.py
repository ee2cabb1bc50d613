"""The policy beside a kind's method, seen through the worker.

When it is tried again, how long it may take, and what is kept of each attempt. The target is a
server that knows nothing of us.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.adapters.queued_job_reader import PostgresQueuedJobReader
from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.application.ports import NewJob
from services.workerqueue.tests.descriptor_sets import compile_descriptor_set
from services.workerqueue.tests.worker.queue_under_test import (
    QueueUnderTest,
    deliver_event,
    running,
)

BY = Intervention("operator", "ops", "op-1", None)
HOUR = 3_600.0
KINDS = {
    "Exponential": "retry: {initial_backoff: {seconds: 3600} multiplier: 3 "
    "max_backoff: {seconds: 18000}}",
    "FourthPower": "retry: {growth: GROWTH_FOURTH_POWER initial_backoff: {seconds: 3600}}",
    "Listed": "retry: {delays: {seconds: 7200} delays: {seconds: 3600}}",
    "Brief": "timeout: {nanos: 300000000} max_attempts: 2 retry: {delays: {seconds: 7200}}",
}

Handler = Callable[[str, "grpc.aio.ServicerContext[bytes, bytes]"], Awaitable[None]]


@pytest.fixture
def descriptor_set(tmp_path: Path) -> Path:
    """Chores: an empty request in, an empty answer out, a policy beside each."""
    methods = "".join(
        f"rpc {name}(Chore) returns (Chore) "
        f'{{ option (kongflow.workerqueue.v1.job) = {{ kind: "chores.{name}" {policy} }}; }}'
        for name, policy in KINDS.items()
    )
    source = f"""
        syntax = "proto3";
        package chores.v1;
        import "kongflow/workerqueue/v1/job_options.proto";
        message Chore {{}}
        service ChoresService {{ {methods} }}
    """
    return compile_descriptor_set(tmp_path, "chores", source)


@asynccontextmanager
async def chores(handler: Handler) -> AsyncIterator[str]:
    """A server of ChoresService on a port of its own."""

    def one(name: str) -> "grpc.RpcMethodHandler[bytes, bytes]":
        async def answer(_: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
            await handler(name, context)
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "chores.v1.ChoresService", {name: one(name) for name in KINDS}
            ),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def chore(name: str, **options: Any) -> NewJob:
    return deliver_event(kind=f"chores.{name}", args=b"{}", queue="default", **options)


def refusal(text: str, *details: Any) -> tuple[tuple[str, bytes], ...]:
    status = status_pb2.Status(code=grpc.StatusCode.INTERNAL.value[0], message=text)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return (("grpc-status-details-bin", status.SerializeToString()),)


async def waits(queue: QueueUnderTest, job: NewJob, attempt: int) -> bool:
    row = await queue.row(job.id)
    return (row["state"], row["attempt"]) == ("retryable", attempt)


async def wait_of(queue: QueueUnderTest, job: NewJob) -> float:
    """How long the job has to wait after its last failure, in seconds."""
    row = await queue.row(job.id)
    failed_at = datetime.fromisoformat(row["errors"][-1]["at"])
    return (datetime.fromisoformat(row["run_at"]) - failed_at).total_seconds()


@pytest.mark.parametrize(
    ("name", "hours", "jitter"),
    [
        ("Exponential", [1, 3, 5, 5], 0.1),
        ("FourthPower", [1, 16, 81, 256], 0.1),
        ("Listed", [2, 1, 1, 1], 0.0),
    ],
)
async def test_failed_attempts_wait_as_the_kind_says(
    queue: QueueUnderTest, descriptor_set: Path, name: str, hours: list[int], jitter: float
) -> None:
    async def fail(_name: str, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
        await context.abort(grpc.StatusCode.INTERNAL, "no")

    job = chore(name, max_attempts=5)
    await queue.enqueue([job])
    found = []
    async with chores(fail) as address:
        settings = queue.settings(
            {"chores": address}, task_descriptor_sets={"chores": descriptor_set}
        )
        async with running(settings):
            for attempt in range(1, 5):
                await eventually(partial(waits, queue, job, attempt))
                found.append(await wait_of(queue, job))
                await queue.operators.retry(job.id, None, BY, admit_to=[])
            await eventually(lambda: _is(queue, job, "discarded"))
    for seconds, wanted in zip(found, hours, strict=True):
        assert wanted * HOUR * (1 - jitter) - 0.001 <= seconds
        assert seconds <= wanted * HOUR * (1 + jitter) + 0.001
    row = await queue.row(job.id)
    assert [error["attempt"] for error in row["errors"]] == [1, 2, 3, 4, 5]


async def test_the_targets_wish_overrules_the_kind(
    queue: QueueUnderTest, descriptor_set: Path
) -> None:
    async def fail(_name: str, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
        wish = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=100))
        context.set_trailing_metadata(refusal("later", wish))
        await context.abort(grpc.StatusCode.INTERNAL, "later")

    job = chore("Listed")
    await queue.enqueue([job])
    async with chores(fail) as address:
        settings = queue.settings(
            {"chores": address}, task_descriptor_sets={"chores": descriptor_set}
        )
        async with running(settings):
            await eventually(lambda: waits(queue, job, 1))
    assert await wait_of(queue, job) == pytest.approx(100, abs=0.001)


async def test_a_call_ends_with_the_timeout_of_its_kind(
    queue: QueueUnderTest, descriptor_set: Path
) -> None:
    lasted: list[float] = []
    cancelled = asyncio.Event()

    async def dawdle(_name: str, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
        remaining = context.time_remaining()
        assert remaining is not None
        lasted.append(remaining)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    job = chore("Brief", max_attempts=2)
    await queue.enqueue([job])
    async with chores(dawdle) as address:
        settings = queue.settings(
            {"chores": address}, task_descriptor_sets={"chores": descriptor_set}
        )
        async with running(settings):
            await eventually(lambda: waits(queue, job, 1))
            await asyncio.wait_for(cancelled.wait(), 5)
            await queue.operators.retry(job.id, None, BY, admit_to=[])
            await eventually(lambda: _is(queue, job, "discarded"))
    assert len(lasted) == 2
    # gRPC rounds deadlines up.
    assert max(lasted) < 0.4
    row = await queue.row(job.id)
    assert [error["status"]["code"] for error in row["errors"]] == [
        grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
    ] * 2


async def test_what_each_attempt_ended_with_is_kept_whole(
    queue: QueueUnderTest, descriptor_set: Path
) -> None:
    attempts = 0

    async def fail(_name: str, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
        nonlocal attempts
        attempts += 1
        info = error_details_pb2.ErrorInfo(reason=f"REASON_{attempts}", domain="chores")
        context.set_trailing_metadata(refusal(f"attempt {attempts}", info))
        await context.abort(grpc.StatusCode.INTERNAL, f"attempt {attempts}")

    job = chore("Listed", max_attempts=2)
    await queue.enqueue([job])
    async with chores(fail) as address:
        settings = queue.settings(
            {"chores": address}, task_descriptor_sets={"chores": descriptor_set}
        )
        async with running(settings):
            await eventually(lambda: waits(queue, job, 1))
            await queue.operators.retry(job.id, None, BY, admit_to=[])
            await eventually(lambda: _is(queue, job, "discarded"))
    shown = await PostgresQueuedJobReader(queue.database).find(job.id, None)
    assert shown is not None
    assert [error.status.message for error in shown.errors] == ["attempt 1", "attempt 2"]
    reasons = []
    for error in shown.errors:
        info = error_details_pb2.ErrorInfo()
        [detail] = status_pb2.Status.FromString(error.status.details).details
        assert detail.Unpack(info)
        reasons.append(info.reason)
    assert reasons == ["REASON_1", "REASON_2"]
    assert shown.errors[1].at - shown.errors[0].at > timedelta()


async def _is(queue: QueueUnderTest, job: NewJob, state: str) -> bool:
    return bool((await queue.row(job.id))["state"] == state)
