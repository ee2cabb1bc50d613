"""What a target is told when the worker gives a job of its own up."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import grpc
import orjson
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from kongflow.workerqueue.v1.envelope_pb2 import JobResult
from kongflow_common.ids import new_id
from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.application.ports import NewJob
from kongflow_workerqueue.domain.states import Priority
from services.workerqueue.tests.worker.queue_under_test import (
    TRACEPARENT,
    QueueUnderTest,
    running,
)
from services.workerqueue.tests.worker.tasks_server import (
    Received,
    Refusal,
    TasksServer,
    done,
    failed,
)

INFO = error_details_pb2.ErrorInfo(reason="JOB_NOT_READABLE", domain="jobs.kongflow")


def register_job(item: str, environment: UUID | None = None, max_attempts: int = 3) -> NewJob:
    return NewJob(
        id=new_id(),
        kind="registerJob",
        args=orjson.dumps({"endpointIndexId": "index", "itemId": item}),
        queue="default",
        priority=Priority.NORMAL,
        max_attempts=max_attempts,
        environment_id=environment,
        traceparent=TRACEPARENT,
    )


async def test_a_refusal_reaches_the_discarded_method_with_its_request(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    def refuse_one(job: Received) -> JobResult:
        if job.argument != "bad" or job.method == "FailRegisterJob":
            return done(job)
        detail = AnyMessage()
        detail.Pack(INFO)
        return JobResult(status=status_pb2.Status(code=3, message="no", details=[detail]))

    target.answer = refuse_one
    environment = uuid4()
    bad = register_job("bad", environment)
    await queue.enqueue([bad, *[register_job(str(n), environment) for n in range(10)]])
    async with running(queue.settings({"endpoints": target.address})):
        await eventually(lambda: _ended(queue, completed=11, discarded=1))
    [told] = target.given_up
    assert (told.request.endpoint_index_id, told.request.item_id) == ("index", "bad")
    assert (told.discard.attempts, told.discard.queued_job_id) == (1, str(bad.id))
    assert (told.discard.status.code, told.discard.status.message) == (3, "no")
    [detail] = told.discard.status.details
    read = error_details_pb2.ErrorInfo()
    assert detail.Unpack(read)
    assert read == INFO
    [received] = [job for job in target.received if job.method == "FailRegisterJob"]
    assert received.envelope.environment_id == environment
    assert received.envelope.traceparent == TRACEPARENT
    assert received.envelope.queued_job_id != bad.id


async def test_the_last_attempt_tells_how_many_there_were_and_what_it_ended_with(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    async def fall_over(method: str, _jobs: Sequence[Received]) -> None:
        if method != "FailRegisterJob":
            raise Refusal(grpc.StatusCode.INTERNAL, f"failure {target.calls} " + "x" * 5_000)

    target.on_call = fall_over
    job = register_job("bad", max_attempts=2)
    await queue.enqueue([job])
    async with running(queue.settings({"endpoints": target.address})):
        await eventually(lambda: _ended(queue, completed=1, discarded=1))
    [told] = target.given_up
    assert told.discard.attempts == 2
    assert told.discard.status.code == 13
    assert told.discard.status.message.startswith("failure 2 xxx")
    assert len(told.discard.status.message) == 2_000
    assert (await queue.row(job.id))["attempt"] == 2


async def test_an_endless_name_in_an_answer_does_not_keep_the_word_from_arriving(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    detail = AnyMessage()
    detail.Pack(error_details_pb2.DebugInfo(detail="\0" + "\1" * 15_000))
    status = status_pb2.Status(code=9, message="no\0", details=[detail])
    target.answer = lambda job: (
        done(job) if job.method == "FailRegisterJob" else JobResult(status=status)
    )
    # In a batch: a single call cannot carry such an answer.
    await queue.enqueue([register_job("a"), register_job("b")])
    async with running(queue.settings({"endpoints": target.address})):
        await eventually(lambda: _ended(queue, completed=2, discarded=2))
    assert {told.request.item_id for told in target.given_up} == {"a", "b"}
    for told in target.given_up:
        assert told.discard.status.message == "no\N{REPLACEMENT CHARACTER}"
        assert not told.discard.status.details


async def test_the_word_waits_for_a_target_that_is_away(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    away = True

    async def refuse_then_be_away(method: str, _jobs: Sequence[Received]) -> None:
        if method == "FailRegisterJob" and away:
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "going down")

    target.on_call = refuse_then_be_away
    target.answer = lambda job: (
        done(job)
        if job.method == "FailRegisterJob"
        else failed(grpc.StatusCode.INVALID_ARGUMENT, "no")
    )
    await queue.enqueue([register_job("bad")])
    async with running(queue.settings({"endpoints": target.address})):
        await eventually(lambda: _ended(queue, scheduled=1, discarded=1))
        away = False
        await eventually(lambda: _ended(queue, completed=1, discarded=1), deadline=30)
    [told] = target.given_up
    assert told.discard.status.message == "no"


async def _ended(queue: QueueUnderTest, **states: int) -> bool:
    return await queue.states() == states
