"""CloudEvents over a real channel and through a real database."""

import random
from typing import Any

import grpc
import orjson
import pytest

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import event_schemas_service_pb2 as schemas_pb
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_schema_pb2 import COMPATIBILITY_NONE, EventSchema
from kongflow.events.v1.event_schemas_service_pb2_grpc import EventSchemasServiceStub
from kongflow_common.testing.refusals import refusal
from services.events.tests.cloud_events import get, get_json, send, structured
from services.events.tests.events_context import EventsContext
from services.events.tests.unit.test_cloud_events import EXAMPLES, some_proto


async def test_it_becomes_an_event_that_dispatchers_match(context: EventsContext) -> None:
    await context.put(
        "job",
        source="/shop",
        payload_filter={"total": [5]},
        context_filter={"cloudEvent": {"tenant": ["acme"]}},
    )
    sent = await send(
        context,
        structured(time="2026-01-02T03:04:05.678901+02:00", data={"total": 5}, tenant="acme"),
    )
    assert (sent.event_id, sent.name, sent.source) == ("1", "order.created", "/shop")
    assert sent.event_time.ToJsonString() == "2026-01-02T01:04:05.678901Z"
    [done] = await context.deliver(sent)
    assert (await context.get(sent.id)).matched_count == 1, done


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
async def test_it_comes_back_as_it_was_sent(
    context: EventsContext, example: dict[str, Any]
) -> None:
    raw = orjson.dumps(example)
    await send(context, pb.SendCloudEventRequest(cloud_event=pb.FormattedCloudEvent(json=raw)))
    back = await get(context, example["id"], pb.CLOUD_EVENT_FORMAT_JSON)
    known = {name: value for name, value in example.items() if value is not None or name == "data"}
    assert orjson.loads(back.json) == known


async def test_the_protobuf_format_comes_back_out_of_a_list(context: EventsContext) -> None:
    dice = random.Random(1)
    events = [some_proto(dice) for _ in range(200)]
    for number, event in enumerate(events):
        event.id = f"{number}"
    answer = await context.client.SendCloudEvents(
        pb.SendCloudEventsRequest(
            requests=[
                pb.SendCloudEventRequest(cloud_event=pb.FormattedCloudEvent(event=event))
                for event in events
            ]
        ),
        metadata=context.as_sender,
        timeout=30,
    )
    assert [each.status.message for each in answer.results] == [""] * 200
    found: dict[str, Any] = {}
    token = ""
    while True:
        page = await context.client.ListCloudEvents(
            pb.ListCloudEventsRequest(page_size=90, page_token=token), metadata=context.as_sender
        )
        found.update((each.event.id, each.event) for each in page.cloud_events)
        token = page.next_page_token
        if not token:
            break
    assert [found[event.id] for event in events] == events


async def test_a_plain_event_goes_out_and_comes_in_the_same(context: EventsContext) -> None:
    sent = await context.send(
        "a b", event_id="plain", payload=[1, {"x": None}], context={"y": 1}, account_id="acme"
    )
    back = await get(context, "plain", pb.CLOUD_EVENT_FORMAT_PROTOBUF)
    back.event.id = "again"
    again = await send(context, pb.SendCloudEventRequest(cloud_event=back))
    one, other = await context.get(sent.id), await context.get(again.id)
    for field in ("name", "source", "event_time", "payload", "context", "account_id"):
        assert getattr(one, field) == getattr(other, field), field


async def test_one_sent_again_replaces_what_is_kept_of_it(context: EventsContext) -> None:
    first, second = structured(data={"n": 1}, ext="a"), structured(data={"n": 2}, ext="b")
    for request in (first, second):
        request.deliver_after.seconds = 3600
        await send(context, request)
    back = orjson.loads((await get(context, "1", pb.CLOUD_EVENT_FORMAT_JSON)).json)
    assert (back["data"], back["ext"]) == ({"n": 2}, "b")


async def test_one_bad_event_of_many_is_refused_alone(context: EventsContext) -> None:
    request = pb.SendCloudEventsRequest(
        requests=[structured(), structured(id="2", time="never"), structured(id="3")]
    )
    answer = await context.client.SendCloudEvents(request, metadata=context.as_sender)
    assert [each.status.code for each in answer.results] == [0, 3, 0]
    request.atomic = True
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await context.client.SendCloudEvents(request, metadata=context.as_sender)
    assert "requests[1].cloud_event.time" in (raised.value.details() or "")
    assert await context.count("event_records") == 2


async def test_dataschema_names_the_version_that_checks(context: EventsContext) -> None:
    stub: Any = EventSchemasServiceStub(context.server.channel)
    for number in (1, 2):
        schema = {"$id": f"https://example.com/v{number}", "required": [f"r{number}"]}
        await stub.RegisterEventSchema(
            schemas_pb.RegisterEventSchemaRequest(
                event_schema=EventSchema(
                    event_name="order.created", schema=Payload(json=orjson.dumps(schema))
                ),
                compatibility=COMPATIBILITY_NONE,
            ),
            metadata=context.as_sender,
        )
    await send(context, structured(dataschema="https://example.com/v1", data={"r1": 1}))
    for members in (
        {"dataschema": "https://example.com/v2", "data": {"r1": 1}},
        {"dataschema": "https://example.com/unknown", "data": {"r1": 1}},
        {"data": {"r1": 1}},
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await send(context, structured(id="other", **members))
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_json_data_comes_back_as_it_is_written(context: EventsContext) -> None:
    data = b'{"b" : 1e2, "a": 1.0,  "a": [12345678901234567890123]}'
    raw = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":%b}' % data
    await send(context, pb.SendCloudEventRequest(cloud_event=pb.FormattedCloudEvent(json=raw)))
    assert (await get(context, "1", pb.CLOUD_EVENT_FORMAT_JSON)).json == raw
    out = await get(context, "1", pb.CLOUD_EVENT_FORMAT_PROTOBUF)
    assert out.event.text_data == data.decode()


async def test_json_stays_json_through_the_protobuf_format(context: EventsContext) -> None:
    for number, data in enumerate(({"a": [1]}, "text", 1.5, None)):
        await send(context, structured(id=f"{number}", data=data))
        out = await get(context, f"{number}", pb.CLOUD_EVENT_FORMAT_PROTOBUF)
        assert out.event.attributes["datacontenttype"].ce_string == "application/json"
        out.event.id = f"again {number}"
        await send(context, pb.SendCloudEventRequest(cloud_event=out))
        assert (await get_json(context, out.event.id))["data"] == data
        # In its own format it is as it was sent.
        assert "datacontenttype" not in await get_json(context, f"{number}")
    await send(context, structured(id="nothing"))
    nothing = await get(context, "nothing", pb.CLOUD_EVENT_FORMAT_PROTOBUF)
    assert not nothing.event.attributes


async def test_times_keep_their_nanoseconds_between_formats(context: EventsContext) -> None:
    await send(context, structured(time="2026-01-02T03:04:05.123456789012Z"))
    out = await get(context, "1", pb.CLOUD_EVENT_FORMAT_PROTOBUF)
    assert out.event.attributes["time"].ce_timestamp.nanos == 123_456_789
    assert (await get_json(context, "1"))["time"] == "2026-01-02T03:04:05.123456789012Z"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("datacontenttype", {"ce_integer": 5}),
        ("datacontenttype", {"ce_uri": "text/plain"}),
        ("datacontenttype", {"ce_string": ""}),
        ("subject", {"ce_boolean": True}),
        ("subject", {"ce_bytes": b"a"}),
        ("subject", {"ce_timestamp": {"seconds": 1}}),
        ("subject", {"ce_string": ""}),
        ("dataschema", {"ce_integer": 0}),
        ("dataschema", {"ce_timestamp": {"seconds": 1}}),
        ("dataschema", {"ce_uri": ""}),
        ("time", {"ce_boolean": False}),
        ("time", {"ce_uri": "2026-01-02T03:04:05Z"}),
    ],
)
async def test_attributes_have_the_types_of_the_specification(
    context: EventsContext, name: str, value: dict[str, Any]
) -> None:
    request = pb.SendCloudEventRequest()
    event = request.cloud_event.event
    event.id, event.source, event.type, event.spec_version = "1", "s", "t", "1.0"
    event.text_data = "x"
    event.attributes[name].MergeFrom(type(event.attributes[name])(**value))
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await send(context, request)
    assert list(refused.fields) == [f"cloud_event.{name}"]
