"""What the worker does with jobs, seen from the target and the ledger."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from uuid import uuid4

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from kongflow.workerqueue.v1.envelope_pb2 import JobResult
from kongflow_common.log_lines import EACH
from kongflow_common.testing.polling import eventually
from services.workerqueue.tests.worker.queue_under_test import (
    TRACEPARENT,
    QueueUnderTest,
    deliver_event,
    running,
)
from services.workerqueue.tests.worker.tasks_server import (
    Received,
    Refusal,
    TasksServer,
    done,
    failed,
)

TRACE_ID = TRACEPARENT[3:35]


async def test_a_job_is_called_once_with_its_envelope(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    environment = uuid4()
    job = deliver_event(event="0190d5a2-0000-7000-8000-000000000001", environment_id=environment)
    async with running(queue.settings({"events": target.address})):
        await queue.enqueue([job])
        await eventually(lambda: queue.all_completed(1))
    [received] = target.received
    assert received.argument == "0190d5a2-0000-7000-8000-000000000001"
    assert received.envelope.queued_job_id == job.id
    assert received.envelope.attempt == 1
    assert received.envelope.fencing_token == 1
    assert received.envelope.environment_id == environment
    assert received.envelope.idempotency_key == str(job.id)
    assert received.envelope.deadline is not None
    assert received.envelope.traceparent == TRACEPARENT
    assert received.metadata["authorization"].startswith("Bearer ")
    row = await queue.row(job.id)
    assert row["attempt"] == 1
    assert row["finalized_at"] is not None


async def test_many_jobs_are_called_in_batches_of_one_environment(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    environments = [uuid4(), uuid4(), None]
    jobs = [deliver_event(environment_id=environments[n % 3]) for n in range(900)]
    await queue.enqueue(jobs)
    async with running(queue.settings({"events": target.address})):
        await eventually(lambda: queue.all_completed(900))
    assert Counter(target.ids()) == Counter(str(job.id) for job in jobs)
    assert max(target.batch_sizes) <= 100
    assert len(target.batch_sizes) < 60
    environments_by_call: dict[int, set[object]] = {}
    for received in target.received:
        environments_by_call.setdefault(received.call, set()).add(received.envelope.environment_id)
        if "kongflow-environment" in received.metadata:
            environment = received.metadata["kongflow-environment"]
            assert environment == str(received.envelope.environment_id)
    assert all(len(found) == 1 for found in environments_by_call.values())


async def test_high_priority_goes_first(queue: QueueUnderTest, target: TasksServer) -> None:
    low = [deliver_event(priority=4) for _ in range(20)]
    high = [deliver_event(priority=1) for _ in range(20)]
    await queue.enqueue([*low, *high])
    # One at a time, so that the order is the order of the calls.
    async with running(queue.settings({"events": target.address}, worker_slots={"events": 1})):
        await eventually(lambda: queue.all_completed(40))
    assert set(target.ids()[:20]) == {str(job.id) for job in high}


async def test_every_outcome_has_a_log_line_with_the_trace_of_its_job(
    queue: QueueUnderTest, target: TasksServer, caplog: pytest.LogCaptureFixture
) -> None:
    refused = deliver_event(event="refused")
    traces = [f"00-{n:032x}-b7ad6b7169203331-01" for n in range(1, 11)]
    target.answer = lambda job: (
        failed(grpc.StatusCode.INVALID_ARGUMENT) if job.argument == "refused" else done(job)
    )
    await queue.enqueue([refused, *[deliver_event(traceparent=trace) for trace in traces]])
    with caplog.at_level(logging.INFO, "kongflow_workerqueue.outcome"):
        async with running(queue.settings({"events": target.address})):
            await eventually(lambda: _states_are(queue, completed=10, discarded=1))
    lines = {
        trace_id: record
        for record in caplog.records
        if record.name == "kongflow_workerqueue.outcome"
        for trace_id in _traces_of(record)
    }
    assert lines.keys() == {TRACE_ID, *(trace[3:35] for trace in traces)}
    assert lines[TRACE_ID].levelno == logging.ERROR
    assert lines[TRACE_ID].__dict__["fields"]["queued_job_id"] == refused.id
    assert lines[TRACE_ID].__dict__["fields"]["code"] == "INVALID_ARGUMENT"


def _traces_of(record: logging.LogRecord) -> list[str]:
    """The traces of the lines that a record becomes."""
    if EACH in record.__dict__:
        return [trace_id for trace_id, _ in record.__dict__[EACH]]
    return [record.__dict__["trace_id"]]


async def test_a_snooze_that_cannot_be_read_leaves_the_others_of_its_batch_alone(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    odd = JobResult(snooze=Duration(seconds=2**62))
    target.answer = lambda job: odd if job.argument == "odd" else done(job)
    strange = deliver_event(event="odd")
    await queue.enqueue([strange, *[deliver_event() for _ in range(9)]])
    async with running(queue.settings({"events": target.address})):
        await eventually(lambda: _states_are(queue, completed=9, scheduled=1))
        assert (await queue.row(strange.id))["attempt"] == 0


async def test_an_item_of_a_batch_that_fails_leaves_the_others_alone(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    jobs = [deliver_event(event=str(n)) for n in range(20)]
    target.answer = lambda job: (
        failed(grpc.StatusCode.OUT_OF_RANGE, "too far") if job.argument == "7" else done(job)
    )
    await queue.enqueue(jobs)
    async with running(queue.settings({"events": target.address})):
        await eventually(lambda: _states_are(queue, completed=19, discarded=1))
    row = await queue.row(jobs[7].id)
    assert row["state"] == "discarded"
    assert row["errors"][0]["status"]["message"] == "too far"


async def test_a_poison_item_stops_itself_only(queue: QueueUnderTest, target: TasksServer) -> None:
    async def break_down(_method: str, jobs: Sequence[Received]) -> None:
        if any(job.argument == "poison" for job in jobs):
            raise Refusal(grpc.StatusCode.UNKNOWN, "the handler fell over")

    target.on_call = break_down
    poison = deliver_event(event="poison", max_attempts=1)
    jobs = [deliver_event() for _ in range(60)]
    await queue.enqueue([*jobs[:30], poison, *jobs[30:]])
    async with running(queue.settings({"events": target.address})):
        await eventually(lambda: _states_are(queue, completed=60, discarded=1))
    assert (await queue.row(poison.id))["state"] == "discarded"
    for job in jobs:
        assert (await queue.row(job.id))["attempt"] == 1


async def test_arguments_that_are_no_request_stop_their_own_job_only(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    wrong = deliver_event(args=b'{"eventRecordId": {"nested": true}}')
    jobs = [deliver_event() for _ in range(10)]
    await queue.enqueue([*jobs, wrong])
    async with running(queue.settings({"events": target.address})):
        await eventually(lambda: _states_are(queue, completed=10, discarded=1))
    assert str(wrong.id) not in target.ids()
    row = await queue.row(wrong.id)
    assert row["errors"][0]["status"]["code"] == 3


async def test_unknown_fields_of_arguments_are_ignored(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    await queue.enqueue([deliver_event(args=b'{"eventRecordId": "e", "fromTomorrow": [1]}')])
    async with running(queue.settings({"events": target.address})):
        await eventually(lambda: queue.all_completed(1))
    assert target.received[0].argument == "e"


@pytest.mark.parametrize("in_a_batch", [False, True])
async def test_a_snoozed_job_is_called_again_without_an_attempt(
    queue: QueueUnderTest, target: TasksServer, in_a_batch: bool
) -> None:
    snoozed: set[str] = set()

    def snooze_once(job: Received) -> JobResult:
        if job.argument in snoozed:
            return JobResult()
        snoozed.add(job.argument)
        return JobResult(snooze=Duration(nanos=200_000_000))

    target.answer = snooze_once
    jobs = [deliver_event() for _ in range(5 if in_a_batch else 1)]
    await queue.enqueue(jobs)
    async with running(queue.settings({"events": target.address})):
        await eventually(lambda: queue.all_completed(len(jobs)))
    for job in jobs:
        calls = [each.envelope for each in target.received if each.envelope.queued_job_id == job.id]
        assert [each.attempt for each in calls] == [1, 1]
        assert [each.fencing_token for each in calls] == [1, 2]
        assert (await queue.row(job.id))["attempt"] == 1


async def test_a_failed_attempt_is_spent_and_tried_again_when_the_target_wishes(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    detail = AnyMessage()
    detail.Pack(error_details_pb2.RetryInfo(retry_delay=Duration(nanos=100_000_000)))
    status = status_pb2.Status(code=8, message="slower", details=[detail])
    trailing = (("grpc-status-details-bin", status.SerializeToString()),)

    async def fail_twice(_method: str, _jobs: Sequence[Received]) -> None:
        if target.calls <= 2:
            raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "slower", trailing)

    target.on_call = fail_twice
    job = deliver_event()
    await queue.enqueue([job])
    async with running(queue.settings({"events": target.address})):
        await eventually(lambda: queue.all_completed(1))
    assert [each.envelope.attempt for each in target.received] == [1, 2, 3]
    row = await queue.row(job.id)
    assert row["attempt"] == 3
    assert [error["attempt"] for error in row["errors"]] == [1, 2]


async def test_a_job_that_was_done_before_is_done_with_a_note(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    target.answer = lambda _: failed(grpc.StatusCode.ALREADY_EXISTS, "known")
    job = deliver_event()
    await queue.enqueue([job])
    async with running(queue.settings({"events": target.address})):
        await eventually(lambda: queue.all_completed(1))
    assert (await queue.row(job.id))["errors"][0]["status"]["message"] == "known"


async def test_a_batch_answered_with_too_few_results_is_no_answer(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    original = target.batch
    shortened = False

    async def drop_one(*arguments: object) -> list[JobResult]:
        nonlocal shortened
        results = await original(*arguments)  # type: ignore[arg-type]
        if shortened:
            return results
        shortened = True
        return results[:-1]

    target.batch = drop_one  # type: ignore[method-assign,assignment]
    jobs = [deliver_event() for _ in range(10)]
    await queue.enqueue(jobs)
    async with running(queue.settings({"events": target.address})):
        await eventually(lambda: queue.all_completed(10))
    assert shortened
    # None of the ten counts as done by the answer that could not be read: all were asked again.
    assert Counter(target.ids()).most_common()[-1][1] == 2


async def test_an_unknown_kind_waits_and_runs_once_it_is_known(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    job = deliver_event(kind="tomorrow.doIt")
    known = deliver_event()
    await queue.enqueue([job, known])
    settings = queue.settings({"events": target.address})
    async with running(settings):
        await eventually(lambda: _states_are(queue, completed=1, scheduled=1))
    row = await queue.row(job.id)
    assert row["waiting_for"] == "kind"
    assert row["attempt"] == 0
    await queue.database.pool.execute(
        "UPDATE workerqueue.queued_jobs SET kind = 'deliverEvent' WHERE id = %s", [job.id]
    )
    async with running(settings):
        await eventually(lambda: queue.all_completed(2))


async def test_a_job_runs_at_its_time(queue: QueueUnderTest, target: TasksServer) -> None:
    [(later,)] = await queue.database.pool.execute("SELECT now() + interval '700 ms'")
    job = deliver_event(run_at=later)
    async with running(queue.settings({"events": target.address})):
        await queue.enqueue([job])
        assert await queue.states() == {"scheduled": 1}
        await eventually(lambda: queue.all_completed(1))
    row = await queue.row(job.id)
    assert row["attempted_at"] >= row["run_at"]


async def test_jobs_beyond_the_window_run_too(queue: QueueUnderTest, target: TasksServer) -> None:
    await queue.enqueue([deliver_event() for _ in range(3_000)])
    assert (await queue.window.look("events")).length <= 1_000
    async with running(queue.settings({"events": target.address})):
        await eventually(lambda: queue.all_completed(3_000), deadline=60)
    assert len(set(target.ids())) == len(target.ids()) == 3_000


async def test_two_workers_share_the_work_and_none_runs_twice(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    settings = queue.settings({"events": target.address})
    async with running(settings), running(settings):
        for _ in range(10):
            await queue.enqueue([deliver_event() for _ in range(100)])
            await asyncio.sleep(0)
        await eventually(lambda: queue.all_completed(1_000), deadline=60)
    assert len(set(target.ids())) == len(target.ids()) == 1_000


async def _states_are(queue: QueueUnderTest, **states: int) -> bool:
    return await queue.states() == states
