"""WatchQueuedJobs over a real channel."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import grpc
import pytest

from kongflow.workerqueue.v1 import workerqueue_service_pb2 as pb
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob
from kongflow_common.testing.grpc_server import bearer
from kongflow_workerqueue.application import watch_queued_jobs
from kongflow_workerqueue.domain.outcome import COMPLETED, CallStatus, StatusCode, Transition
from kongflow_workerqueue.domain.states import JobState
from services.workerqueue.tests.contract.server_under_test import (
    ServerUnderTest,
    command,
    reason,
    status_of,
)

RETRYABLE = Transition(
    JobState.RETRYABLE,
    spends_attempt=True,
    delay=timedelta(hours=1),
    error=CallStatus(StatusCode.INTERNAL, "it broke"),
)
COMPLETED_STATE = QueuedJob.STATE_COMPLETED


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_queued_jobs, "_LOOK_SECONDS", 0.05)


class Watch:
    """A watch, and what it has told so far."""

    def __init__(self, server: ServerUnderTest, environment_id: UUID | None, **fields: Any) -> None:
        self.call = server.stub.WatchQueuedJobs(
            pb.WatchQueuedJobsRequest(**fields),
            metadata=bearer(server.operator, environment_id=environment_id),
            timeout=60,
        )
        self.answers: AsyncIterator[pb.WatchQueuedJobsResponse] = aiter(self.call)
        self.told: list[tuple[str, int]] = []
        self.deleted: list[str] = []
        self.skipped = False

    async def until(self, is_told: Callable[["Watch"], bool]) -> None:
        async with asyncio.timeout(30):
            while not is_told(self):
                answer = await anext(self.answers)
                self.told += [(job.id, job.state) for job in answer.queued_jobs]
                self.deleted += answer.deleted_ids
                self.skipped = self.skipped or answer.skipped
                assert not any(job.HasField("args") for job in answer.queued_jobs)


@pytest.fixture
async def watch(
    server: ServerUnderTest,
) -> AsyncIterator[Callable[..., Watch]]:
    watches: list[Watch] = []

    def begin(environment_id: UUID | None = None, **fields: Any) -> Watch:
        watches.append(Watch(server, environment_id, **fields))
        return watches[-1]

    yield begin
    for each in watches:
        each.call.cancel()


async def enqueued(server: ServerUnderTest, **options: Any) -> str:
    [result] = await server.enqueue(command(**options))
    return result.queued_job_id


async def test_tells_what_there_is_and_then_what_changes(
    server: ServerUnderTest, watch: Callable[..., Watch]
) -> None:
    first = await enqueued(server)
    second = await enqueued(server, kind="comesLater")
    watching = watch(with_present=True)
    present = await anext(watching.answers)
    assert present.present
    assert [job.id for job in present.queued_jobs] == [first, second]
    await server.finish(first, COMPLETED)
    third = await enqueued(server)
    await watching.until(lambda it: len(it.told) >= 2)
    assert sorted(watching.told) == sorted(
        [(first, COMPLETED_STATE), (third, QueuedJob.STATE_AVAILABLE)]
    )
    await server.finish(third, RETRYABLE)
    await watching.until(lambda it: (third, QueuedJob.STATE_RETRYABLE) in it.told)
    assert len(watching.told) == len(set(watching.told)), "told twice"
    assert not watching.skipped


async def test_begins_and_ceases_to_match(
    server: ServerUnderTest, watch: Callable[..., Watch]
) -> None:
    job_id = await enqueued(server)
    other = await enqueued(server)
    watching = watch(with_present=True, filter="state = RETRYABLE")
    assert (await anext(watching.answers)).queued_jobs == []
    await server.finish(other, COMPLETED)
    await server.finish(job_id, RETRYABLE)
    await watching.until(lambda it: (job_id, QueuedJob.STATE_RETRYABLE) in it.told)
    await server.retry(job_id)
    await watching.until(lambda it: (job_id, QueuedJob.STATE_AVAILABLE) in it.told)
    assert {id_ for id_, _ in watching.told} == {job_id}


async def test_tells_of_deleted_jobs_and_of_one_environment_only(
    server: ServerUnderTest, watch: Callable[..., Watch]
) -> None:
    mine = server.server.credentials.add_environment().environment_id
    own = await enqueued(server, environment_id=str(mine))
    foreign = await enqueued(server)
    watching = watch(mine, with_present=True)
    assert [job.id for job in (await anext(watching.answers)).queued_jobs] == [own]
    await server.finish(foreign, COMPLETED)
    await server.finish(own, COMPLETED)
    await watching.until(lambda it: bool(it.told))
    await server.stub.DeleteQueuedJob(
        pb.DeleteQueuedJobRequest(id=own), metadata=bearer(server.operator), timeout=10
    )
    await watching.until(lambda it: it.deleted == [own])
    assert watching.told == [(own, COMPLETED_STATE)]


async def test_says_when_more_has_changed_than_it_sees(
    server: ServerUnderTest, watch: Callable[..., Watch]
) -> None:
    watching = watch(with_present=True)
    await anext(watching.answers)
    await server.enqueue(*(command(kind="comesLater") for _ in range(1_500)))
    await watching.until(lambda it: it.skipped)
    assert len(watching.told) >= 1_000


async def test_what_was_there_already_is_not_told_unasked(
    server: ServerUnderTest, watch: Callable[..., Watch]
) -> None:
    await enqueued(server)
    watching = watch()
    # The watch has begun when it tells of its first change: until then, change.
    seen = asyncio.ensure_future(watching.until(lambda it: bool(it.told)))
    ids = set()
    while not seen.done():
        ids.add(await enqueued(server))
        await asyncio.wait((seen,), timeout=0.2)
    await seen
    assert {id_ for id_, _ in watching.told} <= ids


async def test_only_so_many_watch_at_a_time(
    server: ServerUnderTest, watch: Callable[..., Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What so many quick ones would read is of no interest here.
    monkeypatch.setattr(watch_queued_jobs, "_LOOK_SECONDS", 60)
    begun = [watch(with_present=True) for _ in range(watch_queued_jobs.MAX_WATCHES)]
    for each in begun:
        await anext(each.answers)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await anext(watch(with_present=True).answers)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason(status_of(raised.value)) == "TOO_MANY_WATCHES"
    begun[0].call.cancel()
    async with asyncio.timeout(10):
        while True:
            again = watch(with_present=True)
            try:
                await anext(again.answers)
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0)


async def test_a_filter_over_arguments_needs_their_scope(server: ServerUnderTest) -> None:
    reader = server.server.credentials.add_operator("queue:read", "queue:write")
    text = 'args.eventRecordId = "x"'
    calls: list[Any] = [
        server.stub.ListQueuedJobs(
            pb.ListQueuedJobsRequest(filter=text), metadata=bearer(reader), timeout=10
        ),
        server.stub.RedriveQueuedJobs(
            pb.RedriveQueuedJobsRequest(filter=text, validate_only=True),
            metadata=bearer(reader),
            timeout=10,
        ),
        anext(
            aiter(
                server.stub.WatchQueuedJobs(
                    pb.WatchQueuedJobsRequest(filter=text), metadata=bearer(reader), timeout=10
                )
            )
        ),
    ]
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert reason(status_of(raised.value)) == "ARGUMENTS_HIDDEN"
    job_id = await enqueued(server, args=b'{"eventRecordId": "x", "deliveryRevision": 1}')
    await enqueued(server)
    found = await server.list(filter=text)
    assert [job.id for job in found.queued_jobs] == [job_id]
