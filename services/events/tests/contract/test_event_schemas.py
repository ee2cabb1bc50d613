"""Schemas over a real channel: registered, compared, and checked with as events come in."""

from typing import Any, cast

import grpc
import orjson
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import event_schemas_service_pb2 as schemas_pb
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.event_schema_pb2 import (
    COMPATIBILITY_NONE,
    COMPATIBILITY_UNSPECIFIED,
    EventSchema,
)
from kongflow.events.v1.event_schemas_service_pb2_grpc import EventSchemasServiceStub
from kongflow_common.testing.grpc_server import bearer
from services.events.tests.events_context import EventsContext

NAME = "order.created"
ORDER: dict[str, Any] = {
    "type": "object",
    "required": ["total"],
    "properties": {"total": {"type": "integer", "minimum": 0}},
}


async def register(
    context: EventsContext,
    schema: object,
    *,
    name: str = NAME,
    mode: Any = EventSchema.MODE_REJECT,
    compatibility: Any = COMPATIBILITY_UNSPECIFIED,
    raw: bytes | None = None,
) -> schemas_pb.RegisterEventSchemaResponse:
    request = schemas_pb.RegisterEventSchemaRequest(
        event_schema=EventSchema(
            event_name=name,
            schema=Payload(json=raw if raw is not None else orjson.dumps(schema)),
            mode=mode,
        ),
        compatibility=compatibility,
    )
    answer: schemas_pb.RegisterEventSchemaResponse = await stub(context).RegisterEventSchema(
        request, metadata=context.as_sender, timeout=10
    )
    return answer


def stub(context: EventsContext) -> Any:
    return EventSchemasServiceStub(context.server.channel)


async def refused(
    call: Any, code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT
) -> dict[str, str]:
    """The fields that a call was refused for, with why."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    assert raised.value.code() is code, raised.value.details()
    status = rpc_status.from_call(cast("Any", raised.value))
    assert status is not None
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Is(bad.DESCRIPTOR):
            detail.Unpack(bad)
    return {each.field: each.description for each in bad.field_violations}


def request_of(payload: object, event_id: str = "", schema_version: int = 0) -> pb.SendEventRequest:
    return pb.SendEventRequest(
        event=EventRecord(
            name=NAME, event_id=event_id, payload=Payload(json=orjson.dumps(payload))
        ),
        schema_version=schema_version,
    )


async def test_a_version_is_registered_found_and_deleted(context: EventsContext) -> None:
    made = await register(context, ORDER)
    assert made.is_new
    assert made.event_schema.version == 1
    again = await register(context, ORDER, mode=EventSchema.MODE_WARN)
    assert not again.is_new
    assert (again.event_schema.version, again.event_schema.mode) == (1, EventSchema.MODE_WARN)
    wider = {**ORDER, "required": []}
    assert (await register(context, wider)).event_schema.version == 2

    got = await stub(context).GetEventSchema(
        schemas_pb.GetEventSchemaRequest(event_name=NAME), metadata=context.as_sender
    )
    assert got.event_schema.version == 2
    assert orjson.loads(got.event_schema.schema.json) == wider
    page = await stub(context).ListEventSchemas(
        schemas_pb.ListEventSchemasRequest(page_size=1), metadata=context.as_sender
    )
    assert [each.version for each in page.event_schemas] == [2]
    page = await stub(context).ListEventSchemas(
        schemas_pb.ListEventSchemasRequest(page_size=1, page_token=page.next_page_token),
        metadata=context.as_sender,
    )
    assert [(each.version, each.mode) for each in page.event_schemas] == [
        (1, EventSchema.MODE_WARN)
    ]
    assert not page.next_page_token

    delete = schemas_pb.DeleteEventSchemaRequest(event_name=NAME, version=2)
    for _ in range(2):
        await stub(context).DeleteEventSchema(delete, metadata=context.as_sender)
    # The number of a version that was deleted is not given again.
    assert (await register(context, wider)).event_schema.version == 3
    delete.version = 9
    await refused(
        stub(context).DeleteEventSchema(delete, metadata=context.as_sender),
        grpc.StatusCode.NOT_FOUND,
    )


async def test_another_environment_has_its_own(context: EventsContext) -> None:
    await register(context, ORDER)
    other = bearer(
        context.server.credentials.add_secret_key(context.server.credentials.add_environment())
    )
    await refused(
        stub(context).GetEventSchema(
            schemas_pb.GetEventSchemaRequest(event_name=NAME), metadata=other
        ),
        grpc.StatusCode.NOT_FOUND,
    )
    page = await stub(context).ListEventSchemas(
        schemas_pb.ListEventSchemasRequest(), metadata=other
    )
    assert not page.event_schemas
    await context.client.SendEvent(request_of({"total": "no"}), metadata=other, timeout=10)


async def test_an_event_that_does_not_fit_is_refused(context: EventsContext) -> None:
    await context.send(NAME, payload={"total": "before there is a schema"})
    await register(context, ORDER)
    why = await refused(context.send(NAME, payload={"total": -5}))
    assert why == {
        "event.payload.total": "the value is less than the minimum of 0 (schema version 1)"
    }
    assert list(await refused(context.send(NAME, payload={}))) == ["event.payload"]
    await context.send(NAME, payload={"total": 1})
    await context.send("another.name", payload={})
    assert await context.count("event_records") == 3


async def test_many_events_each_get_their_result(context: EventsContext) -> None:
    await register(context, ORDER)
    requests = [request_of({"total": 1}), request_of({"total": "x"}), request_of({"total": 2})]
    results = await context.send_many(*requests)
    assert [each.status.code for each in results] == [0, 3, 0]
    assert results[1].status.message.startswith("event.payload.total: ")
    why = await refused(context.send_many(*requests, atomic=True))
    assert list(why) == ["requests[1].event.payload.total"]
    assert await context.count("event_records") == 2


async def test_a_place_is_told_by_its_keys_and_never_at_length(context: EventsContext) -> None:
    numbers = {"type": "object", "additionalProperties": {"type": "integer"}}
    await register(context, numbers, mode=EventSchema.MODE_WARN)
    odd = await context.send(NAME, payload={"a.b": "x"})
    assert list(odd.schema_check.warnings) == ['payload["a.b"]: the value is not of type "integer"']
    long = await context.send(NAME, payload={"k" * 100_000: "x"})
    [warning] = long.schema_check.warnings
    assert warning == f'payload.{"k" * 63}…: the value is not of type "integer"'
    for _ in range(30):
        numbers = {"type": "object", "additionalProperties": numbers}
    await register(context, numbers, mode=EventSchema.MODE_WARN, name="deep.event")
    payload: object = "x"
    for _ in range(31):
        payload = {"k" * 64: payload}
    deep = await context.send("deep.event", payload=payload)
    [warning] = deep.schema_check.warnings
    assert len(warning) < 700


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        ({"items": {"enum": [f"x{number}" for number in range(1_000)]}}, ["y"] * 100_000),
        ({"allOf": [{"contains": {"const": number}} for number in range(1_000)]}, [-1] * 170_000),
        ({"items": {"oneOf": [{"const": number} for number in range(4_000)]}}, [-1] * 170_000),
        ({"items": {"$ref": "#/$defs/many"}}, [[-1]] * 100_000),
    ],
)
async def test_what_would_keep_the_service_busy_for_minutes_does_not_fit(
    context: EventsContext, asked: dict[str, Any], values: list[object]
) -> None:
    many = {"many": {"allOf": [{"$ref": "#/$defs/some"}] * 20}, "some": {"oneOf": [{}] * 20}}
    await register(context, {"properties": {"a": asked}, "$defs": many})
    why = await refused(context.send(NAME, payload={"a": values}))
    assert list(why) == ["event.payload"]
    assert "too many for this schema" in why["event.payload"]
    few = await context.send(NAME, payload={"b": [{}] * 200})
    assert not few.HasField("schema_check")
    assert await context.count("event_records") == 1


async def test_texts_that_patterns_would_read_for_minutes_do_not_fit(
    context: EventsContext,
) -> None:
    patterns = [{"pattern": f"a[ab]{{{100 + number}}}c"} for number in range(300)]
    await register(context, {"allOf": patterns})
    why = await refused(context.send(NAME, payload="ab" * 250_000))
    assert "too much text for the patterns" in why["event.payload"]
    why = await refused(register(context, {"items": {"pattern": "(a{100}){100}"}}))
    assert "is too heavy" in why["event_schema.schema.items.pattern"]


async def test_where_a_large_payload_does_not_fit_is_not_looked_for(context: EventsContext) -> None:
    branches = [{"const": number} for number in range(400)]
    await register(context, {"properties": {"a": {"items": {"oneOf": branches}}}})
    why = await refused(context.send(NAME, payload={"a": [-1] * 3_000}))
    assert why == {
        "event.payload": "does not fit, and is too large to say where (schema version 1)"
    }
    why = await refused(context.send(NAME, payload={"a": [-1] * 5}))
    assert "event.payload.a[0]" in why
    await context.send(NAME, payload={"a": [399] * 3_000})


async def test_warn_mode_stores_the_event_and_what_does_not_fit(context: EventsContext) -> None:
    await register(context, ORDER, mode=EventSchema.MODE_WARN)
    sent = await context.send(NAME, payload={"total": -5})
    expected = ["payload.total: the value is less than the minimum of 0"]
    assert (sent.schema_check.version, list(sent.schema_check.warnings)) == (1, expected)
    got = await context.get(sent.id)
    assert got.schema_check == sent.schema_check
    [bulk] = await context.send_many(request_of({"total": -5}))
    assert bulk.schema_warnings == expected
    fits = await context.send(NAME, payload={"total": 5})
    assert not fits.HasField("schema_check")
    await register(context, ORDER, mode=EventSchema.MODE_OFF)
    assert not (await context.send(NAME, payload={})).HasField("schema_check")


async def test_an_event_sent_again_is_checked_again(context: EventsContext) -> None:
    await register(context, ORDER, mode=EventSchema.MODE_WARN)
    sent = await context.send(NAME, event_id="e", payload={}, deliver_after=3600)
    assert sent.HasField("schema_check")
    again = await context.send(NAME, event_id="e", payload={"total": 1}, deliver_after=3600)
    assert again.id == sent.id
    assert not again.HasField("schema_check")
    assert not (await context.get(sent.id)).HasField("schema_check")
    await register(context, ORDER)
    await refused(context.send(NAME, event_id="e", payload={}, deliver_after=3600))


async def test_the_sender_may_name_the_version(context: EventsContext) -> None:
    await register(context, ORDER)
    await register(context, {**ORDER, "required": []})
    await context.client.SendEvent(request_of({}), metadata=context.as_sender)
    first = context.client.SendEvent(request_of({}, schema_version=1), metadata=context.as_sender)
    assert list(await refused(first)) == ["event.payload"]
    none = context.client.SendEvent(
        request_of({"total": 1}, schema_version=7), metadata=context.as_sender
    )
    assert list(await refused(none)) == ["schema_version"]


async def test_a_version_that_is_not_compatible_is_refused(context: EventsContext) -> None:
    await register(context, ORDER)
    narrower = {**ORDER, "properties": {"total": {"type": "integer", "minimum": 10}}}
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await register(context, narrower)
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "payload.total: the new one asks for minimum 10" in (raised.value.details() or "")
    check = schemas_pb.CheckEventSchemaRequest(
        event_schema=EventSchema(event_name=NAME, schema=Payload(json=orjson.dumps(narrower))),
        sample=Payload(json=b'{"total": 3}'),
    )
    checked = await stub(context).CheckEventSchema(check, metadata=context.as_sender)
    assert not checked.compatible
    assert checked.compared_version == 1
    assert [each.path for each in checked.differences] == ["payload.total"]
    assert checked.sample_errors == ["payload.total: the value is less than the minimum of 10"]
    made = await register(context, narrower, compatibility=COMPATIBILITY_NONE)
    assert made.event_schema.version == 2


def nested(levels: int) -> bytes:
    return b'{"items":' * levels + b"{}" + b"}" * levels


def laughs() -> dict[str, Any]:
    names: dict[str, Any] = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)
    }
    return {"$defs": {**names, "d40": {"type": "integer"}}, "$ref": "#/$defs/d0"}


F = "event_schema.schema"
BAD_SCHEMAS: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", F),
    "no object": (b"[]", F),
    "an unknown type": (b'{"properties":{"a":{"type":"strin"}}}', f"{F}.properties.a.type"),
    "a bound of text": (b'{"minimum":"1"}', f"{F}.minimum"),
    "a reference to the network": (b'{"$ref":"https://example.com/s.json"}', f"{F}.$ref"),
    "a reference to a file": (b'{"items":{"$ref":"file:///etc/passwd"}}', f"{F}.items.$ref"),
    "a reference to nothing": (b'{"$ref":"#/$defs/none"}', f"{F}.$ref"),
    "a schema of its own address": (b'{"items":{"$id":"https://x/"}}', f"{F}.items.$id"),
    "another dialect": (b'{"$schema":"https://example.com/mine"}', f"{F}.$schema"),
    "a pattern that is none": (b'{"pattern":"("}', f"{F}.pattern"),
    "a pattern with look-around": (b'{"pattern":"^(?!a)"}', f"{F}.pattern"),
    "a pattern that blows up": (b'{"pattern":"((a{1000}){1000}){1000}"}', f"{F}.pattern"),
    "nested 1,000 deep": (nested(1_000), F),
    "nested 150 deep": (nested(150), F),
    "longer than 1 MB": (b'{"title":"' + b"x" * 1_100_000 + b'"}', F),
    "longer than 256 KiB": (b'{"title":"' + b"x" * 300_000 + b'"}', F),
    "itself for the same value": (b'{"anyOf":[{"$ref":"#"},{"type":"string"}]}', F),
    "twice as many checks a step": (orjson.dumps(laughs()), f"{F}.$defs.d"),
    "itself in two ways": (
        (
            b'{"allOf":[{"properties":{"a":{"$ref":"#"}}},'
            b'{"properties":{"a":{"$ref":"#"}},"minProperties":0}]}'
        ),
        F,
    ),
    "too many values": (orjson.dumps({"enum": list(range(1_001))}), f"{F}.enum"),
}


@pytest.mark.parametrize(("raw", "field"), BAD_SCHEMAS.values(), ids=BAD_SCHEMAS)
async def test_a_bad_schema_is_refused_with_its_place(
    context: EventsContext, raw: bytes, field: str
) -> None:
    why = await refused(register(context, None, raw=raw))
    assert len(why) == 1
    assert next(iter(why)).startswith(field), why
    assert await context.count("event_schemas") == 0


async def test_a_pattern_is_matched_in_linear_time(context: EventsContext) -> None:
    await register(context, {"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}})
    why = await refused(context.send(NAME, payload={"a": "a" * 400_000 + "b"}))
    assert list(why) == ["event.payload.a"]
    assert len(why["event.payload.a"]) < 400


async def test_nobody_is_refused_by_a_schema_that_is_gone(context: EventsContext) -> None:
    await register(context, ORDER)
    await refused(context.send(NAME, payload={}))
    await stub(context).DeleteEventSchema(
        schemas_pb.DeleteEventSchemaRequest(event_name=NAME, version=1), metadata=context.as_sender
    )
    await context.send(NAME, payload={})
    [result] = await context.send_many(request_of({}))
    assert result.status.code == 0
