"""DeliverEvent and InvokeDispatcher over a real channel, single and in batches."""

from datetime import UTC, datetime, timedelta

import grpc
import orjson
import pytest
from google.rpc import code_pb2

from kongflow.events.tasks.v1 import events_tasks_service_pb2 as pb
from kongflow.events.v1 import events_service_pb2
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_common.outbox.message import Operation
from kongflow_common.rpc.task_results import parse_snooze
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.refusals import refusal
from kongflow_events.domain.errors import RunNotCreated, RunRefused
from services.events.tests.events_context import EventsContext

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


async def test_event_is_delivered_to_each_dispatcher_that_takes_it(
    context: EventsContext,
) -> None:
    takes = await context.put("a", payload_filter={"total": [{"$gt": 5}]})
    takes_all = await context.put("b")
    await context.put("c", payload_filter={"total": [{"$gt": 50}]})
    await context.put("d", "other.name")
    await context.put("e", source="elsewhere")
    await context.put("f", manual=True)
    await context.put("g", enabled=False)
    record = await context.send(payload={"total": 7})
    [result] = await context.deliver(record)
    assert result.status.code == code_pb2.OK
    assert not result.HasField("snooze")
    messages = await context.enqueued("events.invokeDispatcher", 2)
    assert sorted(orjson.loads(message.args)["dispatcherId"] for message in messages) == sorted(
        each.event_dispatcher.id for each in (takes, takes_all)
    )
    for message in messages:
        assert orjson.loads(message.args)["eventRecordId"] == record.id
        assert message.operation is Operation.ENQUEUE
        assert not message.job_key
        assert message.environment_id == context.environment.environment_id
        assert message.traceparent.split("-")[1] == TRACE_ID
    delivered = await context.get(record.id)
    assert delivered.state == EventRecord.STATE_DELIVERED
    assert delivered.matched_count == 2
    assert delivered.delivered_time == delivered.processed_time


async def test_q2_event_that_nobody_takes_is_processed_but_not_delivered(
    context: EventsContext,
) -> None:
    record = await context.send()
    [result] = await context.deliver(record)
    assert result.status.code == code_pb2.OK
    processed = await context.get(record.id)
    assert processed.state == EventRecord.STATE_UNMATCHED
    assert processed.HasField("processed_time")
    assert not processed.HasField("delivered_time")
    assert processed.matched_count == 0


async def test_delivering_again_changes_nothing(context: EventsContext) -> None:
    await context.put()
    record = await context.send()
    await context.deliver(record)
    delivered = await context.get(record.id)
    [result] = await context.deliver(record)
    assert result.status.code == code_pb2.OK
    assert await context.get(record.id) == delivered
    await context.enqueued("events.invokeDispatcher", 1)


async def test_same_event_twice_in_a_batch_is_delivered_once(context: EventsContext) -> None:
    await context.put()
    record = await context.send()
    results = await context.deliver(record, record)
    assert [result.status.code for result in results] == [code_pb2.OK] * 2
    await context.enqueued("events.invokeDispatcher", 1)


async def test_q17_cancelled_event_is_never_delivered(context: EventsContext) -> None:
    await context.put()
    record = await context.send(deliver_after=3600)
    cancelled = await context.cancel(record.id)
    [result] = await context.deliver(record)
    assert result.status.code == code_pb2.OK
    assert (await context.get(record.id)).cancelled_time == cancelled.cancelled_time
    assert not (await context.get(record.id)).HasField("processed_time")
    await context.enqueued("events.invokeDispatcher", 0)


async def test_delivery_of_an_older_revision_changes_nothing(context: EventsContext) -> None:
    await context.put()
    first = await context.send(event_id="one", deliver_after=3600)
    second = await context.send(event_id="one")
    [old] = await context.deliver(first)
    assert old.status.code == code_pb2.OK
    assert (await context.get(first.id)).state == EventRecord.STATE_PENDING
    await context.deliver(second)
    assert (await context.get(first.id)).state == EventRecord.STATE_DELIVERED


async def test_event_that_is_due_in_the_future_is_snoozed(context: EventsContext) -> None:
    await context.put()
    later = await context.send(deliver_after=3600)
    now = await context.send()
    snoozed, delivered = await context.deliver(later, now)
    assert snoozed.status.code == code_pb2.OK
    assert 3590 < snoozed.snooze.ToTimedelta().total_seconds() <= 3600
    assert not delivered.HasField("snooze")
    assert (await context.get(later.id)).state == EventRecord.STATE_PENDING
    assert (await context.get(now.id)).state == EventRecord.STATE_DELIVERED


async def test_due_is_by_the_databases_clock(context: EventsContext) -> None:
    context.clock.offset = timedelta(hours=2)
    ahead = await context.send(deliver_at=datetime.now(UTC) + timedelta(hours=1))
    [result] = await context.deliver(ahead)
    assert result.HasField("snooze")


async def test_one_bad_item_fails_alone(context: EventsContext) -> None:
    await context.put()
    record = await context.send()
    gone = EventRecord(id=str(new_id()), delivery_revision=1)
    bad = EventRecord(id="no-id", delivery_revision=1)
    results = await context.deliver(bad, record, gone)
    assert [result.status.code for result in results] == [
        code_pb2.INVALID_ARGUMENT,
        code_pb2.OK,
        code_pb2.OK,
    ]
    assert (await context.get(record.id)).state == EventRecord.STATE_DELIVERED


async def test_event_is_delivered_within_its_environment_only(context: EventsContext) -> None:
    await context.put()
    record = await context.send()
    [result] = await context.deliver(record, environment_id=new_id())
    assert result.status.code == code_pb2.OK
    assert (await context.get(record.id)).state == EventRecord.STATE_PENDING


async def test_dispatchers_of_another_environment_take_nothing(context: EventsContext) -> None:
    await context.put()
    other = context.server.credentials.add_environment()
    key = context.server.credentials.add_secret_key(other)
    request = events_service_pb2.SendEventRequest()
    request.event.name = "order.created"
    answer = await context.client.SendEvent(request, metadata=bearer(key), timeout=5)
    await context.deliver(answer.event_record, environment_id=other.environment_id)
    await context.enqueued("events.invokeDispatcher", 0)


async def test_q3_account_restriction_holds_without_filters(context: EventsContext) -> None:
    await context.put(account_id="mine")
    theirs = await context.send(account_id="theirs")
    nobodys = await context.send()
    mine = await context.send(account_id="mine")
    await context.deliver(theirs, nobodys, mine)
    counts = [(await context.get(each.id)).matched_count for each in (theirs, nobodys, mine)]
    assert counts == [0, 0, 1]


async def test_q9_empty_list_as_payload_never_matches_a_filter(context: EventsContext) -> None:
    await context.put(payload_filter={})
    record = await context.send(payload=[])
    await context.deliver(record)
    assert (await context.get(record.id)).state == EventRecord.STATE_UNMATCHED


async def test_request_is_matched_by_its_parsed_body(context: EventsContext) -> None:
    await context.put("json", payload_filter={"body": {"n": [1]}})
    await context.put("text", payload_filter={"rawBody": ["n=1"]})
    request = {"url": "https://a", "method": "POST"}
    as_json = {**request, "headers": {"content-type": "application/json"}, "rawBody": '{"n":1}'}
    as_text = {**request, "headers": {"content-type": "text/plain"}, "rawBody": "n=1"}
    records = [
        await context.send(payload=payload, request_payload=True)
        for payload in (as_json, as_text, {"not": "a request"})
    ]
    await context.deliver(*records)
    assert [(await context.get(each.id)).matched_count for each in records] == [1, 1, 0]


async def test_changed_filter_counts_at_once(context: EventsContext) -> None:
    await context.put(payload_filter={"n": [1]})
    first = await context.send(payload={"n": 1})
    await context.deliver(first)
    await context.put(payload_filter={"n": [2]})
    second = await context.send(payload={"n": 1})
    await context.deliver(second)
    assert (await context.get(first.id)).matched_count == 1
    assert (await context.get(second.id)).matched_count == 0


async def test_single_delivery_is_a_batch_of_one(context: EventsContext) -> None:
    await context.put()
    record = await context.send()
    await context.tasks.DeliverEvent(
        pb.DeliverEventRequest(event_record_id=record.id, delivery_revision=1),
        metadata=context.as_worker,
        timeout=5,
    )
    assert (await context.get(record.id)).matched_count == 1
    later = await context.send(deliver_after=60)
    call = context.tasks.DeliverEvent(
        pb.DeliverEventRequest(event_record_id=later.id, delivery_revision=1),
        metadata=context.as_worker,
        timeout=5,
    )
    await call
    snooze = parse_snooze(await call.trailing_metadata())
    assert snooze is not None
    assert 50 < snooze.delay.total_seconds() <= 60


async def test_batch_without_an_envelope_for_each_is_refused(context: EventsContext) -> None:
    request = pb.BatchDeliverEventsRequest()
    request.requests.add(event_record_id=str(new_id()), delivery_revision=1)
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.tasks.BatchDeliverEvents(request, metadata=context.as_worker, timeout=5)
    assert list(refused.fields) == ["envelopes"]


async def test_invocation_creates_the_run_once(context: EventsContext) -> None:
    job_id = new_id()
    dispatcher = (await context.put(job_id=job_id)).event_dispatcher
    record = await context.send(account_id="customer-7")
    for _ in range(2):
        [result] = await context.invoke((dispatcher.id, record.id))
        assert result.status.code == code_pb2.OK
    assert len(context.runs.runs) == 1
    [first, _] = context.runs.calls
    [run] = first
    assert (str(run.dispatcher_id), str(run.event.id)) == (dispatcher.id, record.id)
    assert (run.job_id, run.alias, run.version) == (job_id, "latest", None)
    assert run.event.tenancy.environment_id == context.environment.environment_id
    assert run.event.tenancy.project_id == context.environment.project_id
    assert run.event.tenancy.organization_id == context.environment.organization_id
    assert run.event.external_account_id is not None
    assert run.traceparent.split("-")[1] == TRACE_ID


async def test_batch_of_invocations_is_one_call(context: EventsContext) -> None:
    dispatchers = [(await context.put(f"job-{n}")).event_dispatcher.id for n in range(3)]
    record = await context.send()
    await context.invoke(*((dispatcher, record.id) for dispatcher in dispatchers))
    assert [len(call) for call in context.runs.calls] == [3]


async def test_missing_dispatcher_or_event_is_an_error_and_disabled_is_done(
    context: EventsContext,
) -> None:
    enabled = (await context.put("enabled")).event_dispatcher.id
    disabled = (await context.put("disabled", enabled=False)).event_dispatcher.id
    unreadable = (await context.put("unreadable")).event_dispatcher.id
    await context.database.pool.execute(
        "UPDATE events.event_dispatchers SET dispatchable = '{}' WHERE id = %(id)s",
        {"id": unreadable},
    )
    record = await context.send()
    results = await context.invoke(
        (str(new_id()), record.id),
        (enabled, str(new_id())),
        (disabled, record.id),
        (unreadable, record.id),
        ("no-id", record.id),
        (enabled, record.id),
    )
    assert [result.status.code for result in results] == [
        code_pb2.NOT_FOUND,
        code_pb2.NOT_FOUND,
        code_pb2.OK,
        code_pb2.OK,
        code_pb2.INVALID_ARGUMENT,
        code_pb2.OK,
    ]
    assert len(context.runs.runs) == 1


async def test_invocation_is_bounded_by_its_environment(context: EventsContext) -> None:
    dispatcher = (await context.put()).event_dispatcher.id
    record = await context.send()
    [result] = await context.invoke((dispatcher, record.id), environment_id=new_id())
    assert result.status.code == code_pb2.NOT_FOUND
    assert not context.runs.calls


async def test_refused_run_fails_its_own_invocation_only(context: EventsContext) -> None:
    refused, unlucky = new_id(), new_id()
    context.runs.refused_jobs[refused] = RunRefused("never")
    context.runs.refused_jobs[unlucky] = RunNotCreated("not now")
    dispatchers = [
        (await context.put(f"job-{n}", job_id=job_id)).event_dispatcher.id
        for n, job_id in enumerate((refused, new_id(), unlucky))
    ]
    record = await context.send()
    results = await context.invoke(*((each, record.id) for each in dispatchers))
    assert [result.status.code for result in results] == [
        code_pb2.FAILED_PRECONDITION,
        code_pb2.OK,
        code_pb2.UNKNOWN,
    ]


@pytest.mark.parametrize("single", [True, False])
async def test_runs_being_away_is_unavailable(context: EventsContext, single: bool) -> None:
    dispatcher = (await context.put()).event_dispatcher.id
    record = await context.send()
    context.runs.failure = DependencyUnavailable("runs")
    with refusal(grpc.StatusCode.UNAVAILABLE) as refused:
        if single:
            await context.tasks.InvokeDispatcher(
                pb.InvokeDispatcherRequest(dispatcher_id=dispatcher, event_record_id=record.id),
                metadata=context.as_worker,
                timeout=5,
            )
        else:
            await context.invoke((dispatcher, record.id))
    assert refused.info.metadata["dependency"] == "runs"
    assert refused.retry_seconds is not None


async def test_users_and_tokens_for_others_may_not_call_tasks(context: EventsContext) -> None:
    request = pb.DeliverEventRequest(event_record_id=str(new_id()), delivery_revision=1)
    with refusal(grpc.StatusCode.PERMISSION_DENIED):
        await context.tasks.DeliverEvent(request, metadata=context.as_sender, timeout=5)
    token = context.server.service_token(audience="runs")
    with refusal(grpc.StatusCode.UNAUTHENTICATED):
        await context.tasks.DeliverEvent(request, metadata=bearer(token), timeout=5)
