"""EnqueueService over a real channel."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import grpc
import orjson
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as pb
from kongflow.workerqueue.internal.v1.enqueue_service_pb2_grpc import EnqueueServiceStub
from kongflow.workerqueue.v1 import job_options_pb2
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import bearer
from services.workerqueue.tests.contract.server_under_test import (
    TIMEOUT,
    WINDOW_CAP,
    ServerUnderTest,
    command,
    fields,
    reason,
    status_of,
)

Rule = job_options_pb2.Uniqueness
ALL_STATES = [state for state in Rule.State.values() if state]
ODD: Any = 9
REMOVAL = {"operation": pb.EnqueueCommand.OPERATION_REMOVE, "job_key": "k"}
CODES = {code.value[0]: code for code in grpc.StatusCode}


async def test_what_the_command_leaves_out_the_kind_decides(server: ServerUnderTest) -> None:
    environment = str(new_id())
    sent = command(environment_id=environment, job_key="event:1", tags=["a", "b"])
    [result] = await server.enqueue(sent)
    assert result.status.code == 0
    assert result.queued_job_id == sent.outbox_id
    job = await server.get(result.queued_job_id)
    assert (job.kind, job.queue, job.max_attempts) == ("deliverEvent", "events", 6)
    assert job.priority == job_options_pb2.PRIORITY_HIGH
    assert job.state == QueuedJob.STATE_AVAILABLE
    assert (job.environment_id, job.job_key, list(job.tags)) == (environment, "event:1", ["a", "b"])
    assert job.waiting_for == ""


async def test_what_the_command_says_counts(server: ServerUnderTest) -> None:
    metadata = Struct()
    metadata.update({"by": "test", "n": 3})
    sent = command(
        queue="mine",
        priority=job_options_pb2.PRIORITY_LOW,
        max_attempts=2,
        run_time=Timestamp(seconds=int(datetime(2090, 1, 1, tzinfo=UTC).timestamp())),
        metadata=metadata,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    [result] = await server.enqueue(sent)
    job = await server.get(result.queued_job_id)
    assert (job.queue, job.max_attempts) == ("mine", 2)
    assert job.priority == job_options_pb2.PRIORITY_LOW
    assert job.state == QueuedJob.STATE_SCHEDULED
    assert job.run_time == sent.run_time
    assert job.metadata == metadata
    assert job.traceparent == sent.traceparent


async def test_a_job_that_is_due_stands_in_the_window(server: ServerUnderTest) -> None:
    sent = command()
    await server.enqueue(sent)
    popped = await server.window.pop("events", 10)
    assert [(str(id_), turn) for id_, turn in popped.entries] == [(sent.outbox_id, 1)]


async def test_a_full_window_takes_no_more_and_nothing_is_lost(server: ServerUnderTest) -> None:
    for size in (8, 15, 15):
        await server.enqueue(*(command() for _ in range(size)))
    assert (await server.window.look("events")).length == WINDOW_CAP
    rows = await server.database.pool.execute(
        "SELECT count(*) FILTER (WHERE admitted_at IS NOT NULL), count(*)"
        " FROM workerqueue.queued_jobs"
    )
    assert rows == [(WINDOW_CAP, 38)]
    # A window that empties is admitted to again.
    await server.window.pop("events", WINDOW_CAP)
    await server.enqueue(command())
    assert (await server.window.look("events")).length == 1


async def test_a_repeat_has_the_same_answer(server: ServerUnderTest) -> None:
    sent = [command() for _ in range(3)]
    first = await server.enqueue(*sent)
    second = await server.enqueue(*sent)
    assert list(first) == list(second)
    assert await server.count() == 3


async def test_the_same_arguments_are_stored_once_and_the_answer_says_so(
    server: ServerUnderTest,
) -> None:
    first = command()
    again = command(args=first.args)
    [one], [two] = await server.enqueue(first), await server.enqueue(again)
    assert (two.queued_job_id, two.unique_skipped_as_duplicate) == (one.queued_job_id, True)
    assert not one.unique_skipped_as_duplicate
    assert list(await server.enqueue(again)) == [two]
    [three] = await server.enqueue(
        command(args=first.args, unique=job_options_pb2.Uniqueness(by_args=False))
    )
    assert three.queued_job_id not in {one.queued_job_id, ""}


async def test_one_bad_command_does_not_hold_up_the_others(server: ServerUnderTest) -> None:
    good = [command() for _ in range(4)]
    bad = command(args=b"{")
    results = await server.enqueue(*good[:2], bad, *good[2:])
    assert [result.status.code for result in results] == [0, 0, 3, 0, 0]
    assert [result.queued_job_id for result in results if result.queued_job_id] == [
        each.outbox_id for each in good
    ]
    assert fields(results[2].status) == ["commands[2].args"]
    assert await server.count() == 4


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"outbox_id": ""}, "commands[0].outbox_id"),
        ({"outbox_id": "1"}, "commands[0].outbox_id"),
        ({"operation": 0}, "commands[0].operation"),
        ({"operation": 9}, "commands[0].operation"),
        ({"kind": ""}, "commands[0].kind"),
        ({"kind": "k" * 201}, "commands[0].kind"),
        ({"kind": "a\0b"}, "commands[0].kind"),
        ({"queue": "q" * 129}, "commands[0].queue"),
        ({"job_key": "k" * 513}, "commands[0].job_key"),
        ({"job_key_mode": 9}, "commands[0].job_key_mode"),
        ({"generation": -1}, "commands[0].generation"),
        ({"priority": 9}, "commands[0].priority"),
        ({"max_attempts": -1}, "commands[0].max_attempts"),
        ({"max_attempts": 1001}, "commands[0].max_attempts"),
        ({"run_time": Timestamp(seconds=-1)}, "commands[0].run_time"),
        ({"run_time": Timestamp(seconds=4_200_000_000)}, "commands[0].run_time"),
        ({"tags": ["t"] * 21}, "commands[0].tags"),
        ({"tags": ["t" * 65]}, "commands[0].tags[0]"),
        ({"tags": [""]}, "commands[0].tags[0]"),
        ({"environment_id": "x"}, "commands[0].environment_id"),
        (
            {"unique": job_options_pb2.Uniqueness(by_args=True, args=["a"] * 21)},
            "commands[0].unique.args",
        ),
        ({"unique": Rule(args=["a"])}, "commands[0].unique.args"),
        ({"unique": Rule(window=Duration(seconds=1))}, "commands[0].unique.window"),
        ({"unique": Rule(states=ALL_STATES)}, "commands[0].unique.states"),
        ({"unique": Rule(by_args=True, window=Duration())}, "commands[0].unique.window"),
        (
            {"unique": Rule(by_args=True, window=Duration(seconds=-1))},
            "commands[0].unique.window",
        ),
        (
            {"unique": Rule(by_kind=True, window=Duration(seconds=32 * 86_400))},
            "commands[0].unique.window",
        ),
        (
            {"unique": Rule(by_args=True, states=[Rule.STATE_AVAILABLE, Rule.STATE_RUNNING])},
            "commands[0].unique.states",
        ),
        (
            {"unique": Rule(by_kind=True, states=set(ALL_STATES) - {Rule.STATE_RUNNING})},
            "commands[0].unique.states",
        ),
        (
            {"unique": Rule(by_args=True, states=[Rule.STATE_AVAILABLE, Rule.STATE_UNSPECIFIED])},
            "commands[0].unique.states[1]",
        ),
        ({"unique": Rule(by_args=True, states=[ODD])}, "commands[0].unique.states[0]"),
        ({"delay": Duration(seconds=-1)}, "commands[0].delay"),
        ({"delay": Duration(seconds=100 * 366 * 86_400)}, "commands[0].delay"),
        ({"delay": Duration(seconds=1), "run_time": Timestamp()}, "commands[0].delay"),
        (
            {"longest_wait": Duration(seconds=9), "delay": Duration(seconds=1)},
            "commands[0].longest_wait",
        ),
        ({"longest_wait": Duration(seconds=9), "job_key": "k"}, "commands[0].longest_wait"),
        (
            {
                "longest_wait": Duration(seconds=9),
                "job_key": "k",
                "delay": Duration(seconds=1),
                "job_key_mode": pb.EnqueueCommand.JOB_KEY_MODE_KEEP_FIRST,
            },
            "commands[0].longest_wait",
        ),
        (
            {"longest_wait": Duration(), "job_key": "k", "delay": Duration(seconds=1)},
            "commands[0].longest_wait",
        ),
        (
            {"job_key_mode": pb.EnqueueCommand.JOB_KEY_MODE_PRESERVE_RUN_TIME},
            "commands[0].job_key_mode",
        ),
        (
            {"job_key_mode": pb.EnqueueCommand.JOB_KEY_MODE_KEEP_FIRST},
            "commands[0].job_key_mode",
        ),
        ({"generation": 1}, "commands[0].generation"),
        (
            {"operation": pb.EnqueueCommand.OPERATION_REMOVE, "job_key": ""},
            "commands[0].job_key",
        ),
        ({**REMOVAL, "run_time": Timestamp()}, "commands[0].run_time"),
        ({**REMOVAL, "delay": Duration()}, "commands[0].delay"),
        ({**REMOVAL, "longest_wait": Duration(seconds=1)}, "commands[0].longest_wait"),
        ({**REMOVAL, "unique": Rule(by_args=True)}, "commands[0].unique"),
        ({"args": b"[]"}, "commands[0].args"),
        ({"args": b"\xff"}, "commands[0].args"),
        ({"args": b'{"eventRecordId": "\\u0000"}'}, "commands[0].args"),
        ({"args": b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}"}, "commands[0].args"),
        ({"args": b'{"eventRecordId": 7}'}, "commands[0].args"),
        ({"args": b'{"deliveryRevision": "many"}'}, "commands[0].args"),
        ({"args": b'{"eventRecordId": "' + b"x" * 600_000 + b'"}'}, "commands[0].args"),
    ],
)
async def test_a_bad_field_is_named_and_nothing_is_stored(
    server: ServerUnderTest, wrong: dict[str, Any], field: str
) -> None:
    [result] = await server.enqueue(command(**wrong))
    assert CODES[result.status.code] is grpc.StatusCode.INVALID_ARGUMENT
    assert reason(result.status) == "FIELD_INVALID"
    assert fields(result.status) == [field]
    assert result.queued_job_id == ""
    assert await server.count() == 0


async def test_a_bad_trace_is_no_reason_to_refuse_a_job(server: ServerUnderTest) -> None:
    [result] = await server.enqueue(command(traceparent="nonsense"))
    assert (await server.get(result.queued_job_id)).traceparent == ""


async def test_unknown_fields_of_arguments_are_kept(server: ServerUnderTest) -> None:
    args = {"eventRecordId": "x", "comesLater": [1, {"a": None}]}
    [result] = await server.enqueue(command(args=orjson.dumps(args)))
    job = await server.get(result.queued_job_id)
    assert dict(job.args)["eventRecordId"] == "x"
    assert "comesLater" in job.args


async def test_a_kind_that_nobody_declares_is_stored_and_waits(server: ServerUnderTest) -> None:
    [result] = await server.enqueue(command(kind="comesLater", args=b""), service="runs")
    job = await server.get(result.queued_job_id)
    assert (job.queue, job.max_attempts, job.waiting_for) == ("default", 25, "kind")
    assert job.priority == job_options_pb2.PRIORITY_NORMAL
    assert job.state == QueuedJob.STATE_AVAILABLE


async def test_a_service_enqueues_only_its_own_kinds(server: ServerUnderTest) -> None:
    start = command(kind="startRun", args=b'{"runId": "x"}')
    theirs = command(operation=pb.EnqueueCommand.OPERATION_REMOVE, kind="startRun", job_key="k")
    for result in await server.enqueue(start, theirs, service="events"):
        assert CODES[result.status.code] is grpc.StatusCode.PERMISSION_DENIED
        assert reason(result.status) == "KIND_NOT_OWNED"
    [own] = await server.enqueue(start, service="runs")
    assert own.status.code == 0


async def test_keys_replace_and_remove(server: ServerUnderTest) -> None:
    later = Timestamp(seconds=int(datetime(2090, 1, 1, tzinfo=UTC).timestamp()))
    first = command(job_key="k", run_time=later, generation=1)
    second = command(job_key="k", generation=2)
    remove = command(
        job_key="k", generation=3, operation=pb.EnqueueCommand.OPERATION_REMOVE, args=b""
    )
    old = command(job_key="k", generation=1)
    results = await server.enqueue(first, second, old)
    assert {result.queued_job_id for result in results} == {first.outbox_id}
    job = await server.get(first.outbox_id)
    assert job.state == QueuedJob.STATE_AVAILABLE
    assert job.args["eventRecordId"] == orjson.loads(second.args)["eventRecordId"]
    [removed] = await server.enqueue(remove)
    assert removed.queued_job_id == first.outbox_id
    assert (await server.get(first.outbox_id)).state == QueuedJob.STATE_CANCELLED
    [again] = await server.enqueue(command(job_key="k", operation=remove.operation, args=b""))
    assert (again.status.code, again.queued_job_id) == (0, "")


async def test_too_many_commands_are_refused_as_a_whole(server: ServerUnderTest) -> None:
    one = command()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await server.enqueue(*([one] * 10_001))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(status_of(raised.value)) == ["commands"]
    assert await server.count() == 0


async def test_ten_thousand_commands_are_taken(server: ServerUnderTest) -> None:
    commands = [command() for _ in range(10_000)]
    results = await server.enqueue(*commands)
    assert [result.queued_job_id for result in results] == [each.outbox_id for each in commands]
    assert await server.count() == 10_000


async def test_nothing_is_answered_with_nothing(server: ServerUnderTest) -> None:
    assert list(await server.enqueue()) == []


async def test_calls_at_the_same_time_each_get_their_own_answers(server: ServerUnderTest) -> None:
    calls = [[command() for _ in range(1 + index % 5)] for index in range(40)]
    answers = await asyncio.gather(*(server.enqueue(*call) for call in calls))
    for call, results in zip(calls, answers, strict=True):
        assert [result.queued_job_id for result in results] == [each.outbox_id for each in call]


async def test_only_services_may_enqueue(server: ServerUnderTest) -> None:
    stub = EnqueueServiceStub(server.server.tasks_channel)
    environment = server.server.credentials.add_environment()
    key = server.server.credentials.add_secret_key(environment)
    wrong_audience = server.server.service_token("events", audience="runs")
    for credential, code in [
        (key, grpc.StatusCode.PERMISSION_DENIED),
        (server.operator, grpc.StatusCode.PERMISSION_DENIED),
        (wrong_audience, grpc.StatusCode.UNAUTHENTICATED),
    ]:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.EnqueueJobs(
                pb.EnqueueJobsRequest(commands=[command()]),
                metadata=bearer(credential),
                timeout=TIMEOUT,
            )
        assert raised.value.code() is code
    assert await server.count() == 0


async def test_the_service_is_not_on_the_clients_listener(server: ServerUnderTest) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await EnqueueServiceStub(server.server.channel).EnqueueJobs(
            pb.EnqueueJobsRequest(commands=[command()]),
            metadata=bearer(server.server.service_token("events")),
            timeout=TIMEOUT,
        )
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_the_args_of_a_unique_rule_may_be_named(server: ServerUnderTest) -> None:
    rule = job_options_pb2.Uniqueness(by_args=True, args=["eventRecordId"])
    event = str(uuid4())
    results = await server.enqueue(
        *(
            command(
                unique=rule,
                args=orjson.dumps({"eventRecordId": event, "deliveryRevision": revision}),
            )
            for revision in (1, 2)
        )
    )
    assert [each.unique_skipped_as_duplicate for each in results] == [False, True]


async def test_a_request_of_many_bytes_is_taken(server: ServerUnderTest) -> None:
    commands = [
        command(args=orjson.dumps({"eventRecordId": f"{n}", "more": "x" * 500_000}))
        for n in range(30)
    ]
    results = await server.enqueue(*commands)
    assert [each.queued_job_id for each in results] == [each.outbox_id for each in commands]
