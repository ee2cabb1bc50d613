"""Events that are refused: nothing is stored, and the field is named."""

from collections.abc import Callable

import grpc
import pytest

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow_common.testing.refusals import refusal
from services.events.tests.documents import content_of
from services.events.tests.events_context import EventsContext

Change = Callable[[pb.SendEventRequest], object]


def payload(document: bytes) -> Change:
    def change(request: pb.SendEventRequest) -> None:
        request.event.payload.json = document

    return change


def set_value(**fields: object) -> Change:
    def change(request: pb.SendEventRequest) -> None:
        for name, value in fields.items():
            setattr(request.event, name, value)

    return change


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def deep_value(request: pb.SendEventRequest) -> None:
    value = request.event.payload.value
    # Deeper than a message may be nested on the wire would not be decoded at all.
    for _ in range(40):
        value = value.list_value.values.add()
    value.number_value = float("nan")


REFUSED: dict[str, tuple[Change, str]] = {
    "no event": (lambda request: request.ClearField("event"), "event"),
    "no name": (set_value(name=""), "event.name"),
    "name too long": (set_value(name="n" * 513), "event.name"),
    "NUL in name": (set_value(name="a\0b"), "event.name"),
    "event id too long": (set_value(event_id="e" * 513), "event.event_id"),
    "NUL in event id": (set_value(event_id="\0"), "event.event_id"),
    "source too long": (set_value(source="s" * 513), "event.source"),
    "NUL in source": (set_value(source="\0"), "event.source"),
    "account too long": (lambda request: setattr(request, "account_id", "a" * 513), "account_id"),
    "payload type unknown": (set_value(payload_type=9), "event.payload_type"),
    "priority unknown": (lambda request: setattr(request, "priority", 9), "priority"),
    "payload too large": (payload(b'"' + b"x" * 524_288 + b'"'), "event.payload"),
    "payload too deep": (payload(nested(201)), "event.payload"),
    "payload with NUL": (payload(b'{"a": "\\u0000"}'), "event.payload"),
    "payload with NUL in a key": (payload(b'{"\\u0000": 1}'), "event.payload"),
    "payload with a lone surrogate": (payload(b'{"a": "\\ud800"}'), "event.payload"),
    "payload with NaN": (payload(b'{"a": NaN}'), "event.payload"),
    "payload with infinity": (payload(b'{"a": 1e999}'), "event.payload"),
    "payload with too small a number": (payload(b'{"a": 1e-20000}'), "event.payload"),
    "payload not JSON": (payload(b"{"), "event.payload"),
    "payload not UTF-8": (payload(b'"\xff"'), "event.payload"),
    "payload empty": (payload(b""), "event.payload"),
    "NaN as a value": (deep_value, "event.payload"),
    "context too deep": (
        lambda request: setattr(request.event.context, "json", nested(201)),
        "event.context",
    ),
    "event time before 1970": (
        lambda request: setattr(request.event.event_time, "seconds", -1),
        "event.event_time",
    ),
    "delivery before 1970": (
        lambda request: setattr(request.deliver_time, "seconds", -1),
        "deliver_time",
    ),
    "delivery after 2100": (
        lambda request: setattr(request.deliver_time, "seconds", 4_133_980_800),
        "deliver_time",
    ),
    "delivery after so long that it is after 2100": (
        lambda request: setattr(request.deliver_after, "seconds", 100 * 365 * 86_400),
        "deliver_after",
    ),
    "delivery after longer than time itself": (
        lambda request: setattr(request.deliver_after, "seconds", 2**62),
        "deliver_after",
    ),
    "delivery after a negative time": (
        lambda request: setattr(request.deliver_after, "seconds", -1),
        "deliver_after",
    ),
    "delivery after part of a second": (
        lambda request: setattr(request.deliver_after, "nanos", 500_000_000),
        "deliver_after",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_bad_event_is_refused_and_nothing_is_stored(
    context: EventsContext, case: str
) -> None:
    change, field = REFUSED[case]
    request = pb.SendEventRequest()
    request.event.name = "order.created"
    change(request)
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.client.SendEvent(request, metadata=context.as_sender, timeout=5)
    assert refused.reason == "FIELD_INVALID"
    assert list(refused.fields) == [field]
    assert refused.info.domain == "events.kongflow"
    assert await context.count("event_records") == 0
    assert await context.count("outbox") == 0


async def test_what_is_just_within_the_limits_is_stored(context: EventsContext) -> None:
    request = pb.SendEventRequest(account_id="é" * 512)
    request.event.name = "é" * 512
    request.event.event_id = "\U0001f600" * 512
    request.event.source = "\U0001f600" * 512
    request.event.payload.json = b'"' + b"x" * 524_286 + b'"'
    request.event.context.json = nested(200)
    request.deliver_time.seconds = 4_133_980_799
    answer = await context.client.SendEvent(request, metadata=context.as_sender, timeout=5)
    stored = await context.get(answer.event_record.id)
    assert content_of(stored.payload) == content_of(request.event.payload)
    assert stored.event_id == request.event.event_id


async def test_request_that_is_no_message_is_an_invalid_argument(context: EventsContext) -> None:
    # Without (de)serializers bytes go out and come in as they are.
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = context.server.channel.unary_unary(
        "/kongflow.events.v1.EventsService/SendEvent"
    )
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await call(b"\x0a\xff\xff", metadata=context.as_sender, timeout=5)
    assert refused.reason == "REQUEST_NOT_DECODABLE"
    assert await context.count("event_records") == 0
