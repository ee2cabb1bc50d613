"""CloudEvents are answered as their records say, over a real channel."""

from typing import Any

import grpc
import orjson
import pytest

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.workerqueue.v1 import job_options_pb2
from kongflow_common.testing.refusals import refusal
from services.events.tests.cloud_events import get, get_json, send, structured
from services.events.tests.documents import content_of
from services.events.tests.events_context import EventsContext
from services.events.tests.replays import ReplayCalls

LATER = 3600
EARLY, LATE = "2026-01-01T00:00:00.123456789+02:00", "2027-02-02T00:00:00Z"


async def send_later(context: EventsContext, **members: object) -> Any:
    request = structured(**members)
    request.deliver_after.seconds = LATER
    return await send(context, request)


async def listed(context: EventsContext) -> list[Any]:
    answer = await context.client.ListCloudEvents(
        pb.ListCloudEventsRequest(format=pb.CLOUD_EVENT_FORMAT_JSON), metadata=context.as_sender
    )
    return [orjson.loads(each.json) for each in answer.cloud_events]


async def replayed_as_cloud_event(
    context: EventsContext, event_id: str, **options: str
) -> tuple[Any, Any]:
    record = await ReplayCalls(context).one(event_id=event_id, **options)
    return record, await get_json(context, record.event_id)


async def test_a_replay_has_its_own_id_and_names_the_original(context: EventsContext) -> None:
    original = await send(context, structured(time=EARLY, data={"n": 1}, ext="a"))
    before = await get_json(context, "1")
    record, replay = await replayed_as_cloud_event(context, "1")
    assert replay == {**before, "id": record.event_id, "kongflowreplayof": original.id}
    assert replay["id"] != "1"
    assert await listed(context) == [replay, before]
    for form in (pb.CLOUD_EVENT_FORMAT_PROTOBUF, pb.CLOUD_EVENT_FORMAT_BINARY):
        message = await get(context, record.event_id, form)
        answered = message.event.id or message.binary.headers["ce-id"].replace("%3A", ":")
        assert answered == record.event_id
    # A replay of a replay names that.
    again, replay_again = await replayed_as_cloud_event(
        context, record.event_id, new_event_id="again"
    )
    assert (replay_again["id"], again.replay_of) == ("again", record.id)
    assert replay_again["kongflowreplayof"] == record.id


async def test_a_replay_of_many_has_its_own_id_and_priority(context: EventsContext) -> None:
    sent = await send(context, structured(data=1))
    await context.deliver(sent)
    calls = ReplayCalls(context)
    replay = await calls.begin()
    await calls.run_to_end(replay.id)
    [new, old] = await listed(context)
    assert old["id"] == "1"
    assert new["id"] == f"replay:{replay.id}:{sent.id}"
    assert (new["kongflowreplayof"], new["kongflowpriority"]) == (sent.id, "LOW")


async def test_a_replay_of_a_plain_event_names_the_original(context: EventsContext) -> None:
    original = await context.send(event_id="plain", payload={"n": 1})
    record, replay = await replayed_as_cloud_event(context, "plain")
    assert (replay["id"], replay["kongflowreplayof"]) == (record.event_id, original.id)
    assert "kongflowreplayof" not in await get_json(context, "plain")


async def test_no_sender_says_that_an_event_is_a_replay(context: EventsContext) -> None:
    sent = await send(context, structured(kongflowreplayof="another", ext="a"))
    assert "kongflowreplayof" not in await get_json(context, "1")
    record = await context.get(sent.id)
    assert content_of(record.context) == {"cloudEvent": {"specversion": "1.0", "ext": "a"}}
    assert record.replay_of == ""


async def test_a_repeat_replaces_the_content_alone(context: EventsContext) -> None:
    sent = await send_later(context, time=EARLY, data={"n": 1}, subject="one", ext="a")
    await send_later(
        context,
        type="other",
        source="/other",
        time=LATE,
        data="new",
        datacontenttype="text/plain",
        dataschema="https://example.com/s",
        other="b",
    )
    assert await get_json(context, "1") == {
        "specversion": "1.0",
        "id": "1",
        "source": "/shop",
        "type": "order.created",
        "time": "2025-12-31T22:00:00.123456Z",
        "data": "new",
        "datacontenttype": "text/plain",
        "dataschema": "https://example.com/s",
        "other": "b",
    }
    record = await context.get(sent.id)
    assert (record.name, record.source) == ("order.created", "/shop")
    assert record.event_time.ToJsonString() == "2025-12-31T22:00:00.123456Z"
    assert [each["type"] for each in await listed(context)] == ["order.created"]


async def test_a_repeat_without_a_time_leaves_the_time(context: EventsContext) -> None:
    await send_later(context, time=EARLY)
    await send_later(context, data=1)
    assert (await get_json(context, "1"))["time"] == "2025-12-31T22:00:00.123456Z"
    # And the same time comes back as it was written.
    await send_later(context, time=EARLY)
    assert (await get_json(context, "1"))["time"] == EARLY


async def test_a_repeat_with_a_time_gives_none(context: EventsContext) -> None:
    sent = await send_later(context)
    assert "time" not in await get_json(context, "1")
    await send_later(context, time=LATE)
    assert (await get_json(context, "1"))["time"] == sent.event_time.ToJsonString()


async def test_a_cloud_event_replaces_the_content_of_a_plain_one(context: EventsContext) -> None:
    sent = await context.send(
        "plain",
        event_id="1",
        source="here",
        payload={"n": 1},
        account_id="acme",
        deliver_after=LATER,
        request_payload=True,
    )
    await send_later(context, time=LATE, data="z", datacontenttype="text/plain", ext="q")
    assert await get_json(context, "1") == {
        "specversion": "1.0",
        "id": "1",
        "source": "here",
        "type": "plain",
        "time": sent.event_time.ToJsonString(),
        "data": "z",
        "datacontenttype": "text/plain",
        "ext": "q",
        "kongflowaccount": "acme",
        "kongflowpayload": "REQUEST",
    }


async def test_a_plain_event_replaces_the_content_of_a_cloud_event(context: EventsContext) -> None:
    await send_later(context, time=EARLY, data={"n": 1}, ext="a", kongflowaccount="acme")
    await context.send("plain", event_id="1", source="here", payload=[2], deliver_after=LATER)
    answered = await get_json(context, "1")
    assert orjson.loads(answered.pop("kongflowcontext"))["cloudEvent"]["ext"] == "a"
    assert answered == {
        "specversion": "1.0",
        "id": "1",
        "source": "/shop",
        "type": "order.created",
        "time": "2025-12-31T22:00:00.123456Z",
        "data": [2],
        "datacontenttype": "application/json",
        "kongflowaccount": "acme",
    }


async def test_a_context_that_was_replaced_alone_is_answered(context: EventsContext) -> None:
    await send_later(context, data={"n": 1}, ext="a")
    await context.send(event_id="1", context={"by": "me"}, deliver_after=LATER)
    answered = await get_json(context, "1")
    assert (answered["data"], answered["ext"]) == ({"n": 1}, "a")
    assert orjson.loads(answered["kongflowcontext"]) == {"by": "me"}
    await send(context, structured(**{**answered, "id": "2"}))
    for event_id in ("1", "2"):
        record = (
            await context.client.GetEventRecord(
                pb.GetEventRecordRequest(event_id=event_id), metadata=context.as_sender
            )
        ).event_record
        assert content_of(record.context) == {"by": "me"}


async def test_repeats_do_not_change_the_account(context: EventsContext) -> None:
    await send_later(context, kongflowaccount="acme")
    sent = await send_later(context, kongflowaccount="other", kongflowtest=True, data=2)
    assert (sent.account_id, sent.test) == ("acme", False)
    answered = await get_json(context, "1")
    assert (answered["kongflowaccount"], answered["data"]) == ("acme", 2)
    assert "kongflowtest" not in answered


async def test_what_stands_beside_an_event_is_answered(context: EventsContext) -> None:
    request = structured(ext="a")
    request.account_id, request.test = "acme", True
    request.priority = job_options_pb2.PRIORITY_LOW
    sent = await send(context, request)
    answered = await get_json(context, "1")
    assert answered["kongflowaccount"] == "acme"
    assert (answered["kongflowtest"], answered["kongflowpriority"]) == (True, "LOW")
    again = await send(context, structured(**{**answered, "id": "2"}))
    for field in ("account_id", "test", "priority"):
        assert getattr(sent, field) == getattr(again, field), field


@pytest.mark.parametrize(
    ("members", "options", "field"),
    [
        ({"kongflowaccount": "A"}, {"account_id": "B"}, "account_id"),
        ({"kongflowtest": False}, {"test": True}, "test"),
        ({"kongflowtest": "false"}, {"test": True}, "test"),
        ({"kongflowpriority": "LOW"}, {"priority": job_options_pb2.PRIORITY_HIGH}, "priority"),
    ],
)
async def test_contradictions_are_refused(
    context: EventsContext, members: dict[str, Any], options: dict[str, Any], field: str
) -> None:
    request = structured(**members)
    request.MergeFrom(pb.SendCloudEventRequest(**options))
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await send(context, request)
    assert list(refused.fields) == [field]
    many = await context.client.SendCloudEvents(
        pb.SendCloudEventsRequest(requests=[request, structured(id="2")]),
        metadata=context.as_sender,
    )
    assert [each.status.code for each in many.results] == [3, 0]
    assert await context.count("event_records") == 1


async def test_what_is_said_twice_alike_is_taken(context: EventsContext) -> None:
    request = structured(kongflowaccount="A", kongflowtest="true", kongflowpriority="LOW")
    request.account_id, request.test = "A", True
    request.priority = job_options_pb2.PRIORITY_LOW
    sent = await send(context, request)
    assert (sent.account_id, sent.test) == ("A", True)
    assert (await get_json(context, "1"))["kongflowtest"] == "true"
