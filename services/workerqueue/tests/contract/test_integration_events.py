"""Publishing over EnqueueService: one queued job per subscriber and event."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as pb
from kongflow.workerqueue.internal.v1.enqueue_service_pb2_grpc import EnqueueServiceStub
from kongflow.workerqueue.v1 import job_options_pb2
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob
from kongflow_common.ids import new_id
from kongflow_common.rpc.consumed_types import ConsumedTypes
from kongflow_common.testing.grpc_server import bearer
from kongflow_workerqueue.catalogue.catalogue import read_catalogue
from services.workerqueue.tests.consumers import compile_target, consumer
from services.workerqueue.tests.contract.server_under_test import (
    TIMEOUT,
    ServerUnderTest,
    command,
    fields,
    reason,
    server_under_test,
)

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SUCCESS = "run.completed.success"


@pytest.fixture
async def server(
    ledger_url: str, valkey_url: str, tmp_path: Path
) -> AsyncIterator[ServerUnderTest]:
    methods = consumer("Note", f'"{SUCCESS}"') + consumer(
        "Shout", f'"{SUCCESS}", "run.completed.failure"', 'queue: "loud" priority: PRIORITY_LOW'
    )
    catalogue = read_catalogue({"courier": compile_target(tmp_path, methods)})
    async with server_under_test(ledger_url, valkey_url, catalogue) as server:
        yield server


def event(**options: Any) -> dict[str, Any]:
    """An integration event; `options` replace fields."""
    fields: dict[str, Any] = {
        "id": str(new_id()),
        "type": SUCCESS,
        "version": 1,
        "timestamp": "1700000000000",
        "resourceId": "run-1",
        "data": {"state": "SUCCESS"},
    }
    return {**fields, **options}


def publish(event: dict[str, Any], **options: Any) -> pb.EnqueueCommand:
    """The command that publishes an event."""
    return command(kind="publishIntegrationEvent", args=orjson.dumps(event), **options)


async def jobs(server: ServerUnderTest) -> list[QueuedJob]:
    """All queued jobs in full, in the order of their kinds."""
    listed = (await server.list()).queued_jobs
    return sorted([await server.get(job.id) for job in listed], key=lambda job: job.kind)


async def test_each_subscriber_gets_a_job_with_the_event(server: ServerUnderTest) -> None:
    environment = str(uuid4())
    told = event(userId="user-7")
    sent = publish(told, environment_id=environment, traceparent=TRACEPARENT, tags=["mine"])
    [result] = await server.enqueue(sent, service="runs")
    assert (result.status.code, result.queued_job_id) == (0, "")
    note, shout = await jobs(server)
    assert (note.kind, note.queue, note.max_attempts) == ("courier.Note", "events", 3)
    assert (shout.kind, shout.queue) == ("courier.Shout", "loud")
    assert shout.priority == job_options_pb2.PRIORITY_LOW
    for job in (note, shout):
        assert dict(job.args)["event"] == told
        assert (job.state, job.environment_id) == (QueuedJob.STATE_AVAILABLE, environment)
        assert (job.traceparent, list(job.tags)) == (TRACEPARENT, ["mine", SUCCESS])


async def test_a_newer_event_comes_with_what_is_not_known_here(server: ServerUnderTest) -> None:
    told = event(fromTomorrow=[1.0])
    [result] = await server.enqueue(publish(told), service="runs")
    assert result.status.code == 0
    assert [dict(job.args)["event"] for job in await jobs(server)] == [told, told]


async def test_of_an_event_a_subscriber_gets_one_job_however_often_it_comes(
    server: ServerUnderTest,
) -> None:
    told = event()
    sent = publish(told)
    # The same message again, another message with the same event, and both in one call.
    await server.enqueue(sent, service="runs")
    await server.enqueue(sent, service="runs")
    results = await server.enqueue(publish(told), publish(told), service="runs")
    assert [result.status.code for result in results] == [0, 0]
    assert await server.count() == 2
    await server.enqueue(publish(event()), service="runs")
    assert await server.count() == 4


async def test_what_nobody_consumes_leaves_nothing(server: ServerUnderTest) -> None:
    [result] = await server.enqueue(publish(event(type="run.completed.aborted")), service="runs")
    assert result.status.code == 0
    assert await server.count() == 0


async def test_it_comes_beside_other_commands_in_their_order(server: ServerUnderTest) -> None:
    before = command(kind="startRun", args=orjson.dumps({"runId": str(uuid4())}))
    after = command(kind="startRun", args=orjson.dumps({"runId": str(uuid4())}))
    results = await server.enqueue(
        before,
        publish(event(type="run.completed.aborted")),
        publish(event()),
        publish({}),
        after,
        service="runs",
    )
    ids = [result.queued_job_id for result in results]
    assert ids == [before.outbox_id, "", "", "", after.outbox_id]
    assert [result.status.code != 0 for result in results] == [False, False, False, True, False]
    assert await server.count() == 4


async def test_an_event_may_wait_for_its_time(server: ServerUnderTest) -> None:
    later = Timestamp(seconds=4_000_000_000)
    await server.enqueue(
        publish(event(type="run.completed.failure"), run_time=later), service="runs"
    )
    [job] = await jobs(server)
    assert (job.state, job.run_time) == (QueuedJob.STATE_SCHEDULED, later)


@pytest.mark.parametrize(
    ("type_", "publisher"),
    [(SUCCESS, "runs"), ("run.invented", "runs"), ("endpoint.index.success", "endpoints")],
)
async def test_a_service_publishes_only_what_is_its_own(
    server: ServerUnderTest, type_: str, publisher: str
) -> None:
    [result] = await server.enqueue(publish(event(type=type_)), service="events")
    assert reason(result.status) == "EVENT_TYPE_NOT_OWNED"
    assert result.status.code == grpc.StatusCode.PERMISSION_DENIED.value[0]
    assert publisher in result.status.message
    assert await server.count() == 0


async def test_the_keeper_of_the_log_replays_what_others_have_published(
    server: ServerUnderTest,
) -> None:
    original = event()
    await server.enqueue(publish(original), service="runs")
    replay = event(replayOf=original["id"])
    for _ in range(2):
        [result] = await server.enqueue(publish(replay), service="events")
        assert result.status.code == 0
    replays = [job for job in await jobs(server) if dict(job.args)["event"] == replay]
    assert sorted(job.kind for job in replays) == ["courier.Note", "courier.Shout"]
    assert await server.count() == 4


@pytest.mark.parametrize(
    ("service", "replay_of", "wanted"),
    [
        ("endpoints", str(new_id()), "EVENT_TYPE_NOT_OWNED"),
        ("events", "", "EVENT_TYPE_NOT_OWNED"),
        ("events", "the first", "FIELD_INVALID"),
    ],
)
async def test_nobody_else_replays_and_what_is_replayed_is_named(
    server: ServerUnderTest, service: str, replay_of: str, wanted: str
) -> None:
    [result] = await server.enqueue(publish(event(replayOf=replay_of)), service=service)
    assert reason(result.status) == wanted
    assert await server.count() == 0


@pytest.mark.parametrize(
    ("service", "allowed"), [("events", True), ("jobs", True), ("runs", False)]
)
async def test_who_else_enqueues_a_kind_stands_beside_its_method(
    server: ServerUnderTest, service: str, allowed: bool
) -> None:
    args = orjson.dumps({"event": {"id": str(new_id())}})
    [result] = await server.enqueue(
        command(kind="jobs.replayDomainEvent", args=args), service=service
    )
    assert (reason(result.status) if result.status.code else "") == (
        "" if allowed else "KIND_NOT_OWNED"
    )
    assert await server.count() == int(allowed)


async def test_nobody_publishes_what_is_not_declared(server: ServerUnderTest) -> None:
    [result] = await server.enqueue(publish(event(type="letter.lost")), service="runs")
    assert reason(result.status) == "EVENT_TYPE_NOT_OWNED"
    assert "declared by nobody" in result.status.message


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": "7"}, "commands[0].args.id"),
        ({"type": "Run.completed"}, "commands[0].args.type"),
        ({"type": ""}, "commands[0].args.type"),
        ({"version": 0}, "commands[0].args.version"),
        ({"version": "first"}, "commands[0].args"),
        ({"timestamp": 0}, "commands[0].args.timestamp"),
        ({"resourceId": ""}, "commands[0].args.resourceId"),
    ],
)
async def test_what_is_no_event_is_refused_by_field(
    server: ServerUnderTest, change: dict[str, Any], field: str
) -> None:
    [result] = await server.enqueue(publish(event(**change)), service="runs")
    assert result.status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert fields(result.status) == [field]
    assert await server.count() == 0


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ({"queue": "mine"}, "queue"),
        ({"job_key": "k"}, "job_key"),
        ({"priority": job_options_pb2.PRIORITY_HIGH}, "priority"),
        ({"max_attempts": 1}, "max_attempts"),
        ({"unique": job_options_pb2.Uniqueness(by_args=True)}, "unique"),
    ],
)
async def test_how_a_subscribers_job_runs_is_not_the_publishers_to_say(
    server: ServerUnderTest, option: dict[str, Any], field: str
) -> None:
    [result] = await server.enqueue(publish(event(), **option), service="runs")
    assert fields(result.status) == [f"commands[0].{field}"]
    assert await server.count() == 0


async def test_a_consumers_kind_is_enqueued_by_its_own_target_alone(
    server: ServerUnderTest,
) -> None:
    sent = command(kind="courier.Note", args=orjson.dumps({"event": event()}))
    [result] = await server.enqueue(sent, service="runs")
    assert reason(result.status) == "KIND_NOT_OWNED"


async def test_services_hear_what_is_consumed(server: ServerUnderTest) -> None:
    interest = ConsumedTypes(server.server.caller("runs"))
    assert await interest.wanted(SUCCESS)
    assert not await interest.wanted("run.completed.aborted")
    await interest.close()
    stub = EnqueueServiceStub(server.server.tasks_channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.GetConsumedTypes(
            pb.GetConsumedTypesRequest(), metadata=bearer(server.operator), timeout=TIMEOUT
        )
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_an_event_as_long_as_may_be_fits_into_its_jobs(server: ServerUnderTest) -> None:
    told = event(data="")
    told["data"] = "x" * (512 * 1024 - len(b'{"event":}') - len(orjson.dumps(told)))
    [result] = await server.enqueue(publish(told), service="runs")
    assert result.status.code == 0
    assert await server.count() == 2
    told["data"] += "x"
    [result] = await server.enqueue(publish({**told, "id": str(new_id())}), service="runs")
    assert fields(result.status) == ["commands[0].args"]
