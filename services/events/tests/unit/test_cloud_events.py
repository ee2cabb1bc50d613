"""CloudEvents 1.0: what comes in goes out the same, in every format."""

import random
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest

from kongflow.cloudevents.v1 import cloudevents_pb2
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow_common.errors import InvalidField
from kongflow_common.ids import new_id
from kongflow_common.payload import JsonDocument
from kongflow_events.application.read_cloud_event import RecordedCloudEvent
from kongflow_events.domain.cloud_event import CloudEvent, parse_time
from kongflow_events.domain.cloud_event_json import (
    read_binary,
    read_json,
    write_binary,
    write_json,
)
from kongflow_events.domain.cloud_event_record import CloudEventContent, content_of, event_of
from kongflow_events.domain.event_record import (
    EventContent,
    EventRecord,
    PayloadType,
    Priority,
    Tenancy,
)
from kongflow_events.rpc.cloud_event_mapping import from_formatted, to_formatted

TENANCY = Tenancy(uuid4(), uuid4(), uuid4())
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)

# The examples of the specification: its primer, its JSON format and its HTTP binding.
EXAMPLES: dict[str, dict[str, Any]] = {
    "json in structured mode": {
        "specversion": "1.0",
        "type": "com.github.pull_request.opened",
        "source": "https://github.com/cloudevents/spec/pull",
        "subject": "123",
        "id": "A234-1234-1234",
        "time": "2018-04-05T17:31:00Z",
        "comexampleextension1": "value",
        "comexampleothervalue": 5,
        "datacontenttype": "text/xml",
        "data": '<much wow="xml"/>',
    },
    "binary data": {
        "specversion": "1.0",
        "type": "com.example.someevent",
        "source": "/mycontext",
        "id": "B234-1234-1234",
        "time": "2018-04-05T17:31:00Z",
        "comexampleextension1": "value",
        "comexampleothervalue": 5,
        "unsetextension": None,
        "datacontenttype": "application/vnd.apache.thrift.binary",
        "data_base64": "AQIDBA==",
    },
    "a JSON object": {
        "specversion": "1.0",
        "type": "com.example.someevent",
        "source": "/mycontext",
        "id": "C234-1234-1234",
        "time": "2018-04-05T17:31:00Z",
        "datacontenttype": "application/json",
        "data": {"appinfoA": "abc", "appinfoB": 123, "appinfoC": True},
    },
    "a number without a content type": {
        "specversion": "1.0",
        "type": "com.example.someevent",
        "source": "/mycontext",
        "id": "D234-1234-1234",
        "data": 1.5,
    },
    "a string of JSON": {
        "specversion": "1.0",
        "type": "com.example.someevent",
        "source": "/mycontext",
        "id": "E234-1234-1234",
        "datacontenttype": "application/json",
        "data": "I'm just a string",
    },
    "no data": {"specversion": "1.0", "type": "t", "source": "s", "id": "F"},
    "null": {"specversion": "1.0", "type": "t", "source": "s", "id": "G", "data": None},
    "a precise time": {
        "specversion": "1.0",
        "type": "t",
        "source": "s",
        "id": "H",
        "time": "2020-03-19T06:54:00.123456789+02:00",
        "dataschema": "https://example.com/order.json",
        "partitionkey": "k",
        "sampledrate": 30,
        "traced": False,
    },
}


def stored(content: CloudEventContent) -> tuple[EventRecord, EventContent, JsonDocument]:
    """What the database gives back: jsonb, which the note is, changes members' order and spaces."""
    record = EventRecord(
        id=new_id(),
        event_id=content.event_id,
        name=content.name,
        source=content.source,
        timestamp=content.timestamp or NOW,
        payload_type=content.payload_type or PayloadType.JSON,
        tenancy=TENANCY,
        deliver_at=NOW,
        created_at=NOW,
        updated_at=NOW,
        is_test=content.is_test or False,
        priority=content.priority or Priority.HIGH,
        account_id=content.account_id,
    )
    return record, EventContent(content.payload, content.context), jsonb(content.note)


def jsonb(document: JsonDocument) -> JsonDocument:
    if b"12345678901234567890123" in document.text:
        return document
    value = document.load()
    if isinstance(value, dict):
        value = dict(sorted(value.items(), key=lambda item: (len(item[0]), item[0])))
    return JsonDocument(orjson.dumps(value, option=orjson.OPT_INDENT_2))


def through_the_record(event: CloudEvent) -> CloudEvent:
    record, content, note = stored(content_of(event))
    return event_of(record, content, note)


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_the_specifications_examples_come_back(example: dict[str, Any]) -> None:
    event = read_json(orjson.dumps(example))
    written = orjson.loads(write_json(through_the_record(event)))
    known = {name: value for name, value in example.items() if value is not None or name == "data"}
    assert written == known


def test_binary_mode_of_http() -> None:
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "CE-SpecVersion": "1.0",
        "ce-type": "com.example.someevent",
        "ce-id": "1234-1234-1234",
        "ce-source": "/mycontext/subcontext",
        "ce-comexampleext": "Euro%20%E2%82%AC%20%F0%9F%98%80",
        "Date": "not ours",
    }
    body = b'{ "b": 1.0, "a": [1] }'
    event = read_binary(headers, body)
    assert event.attributes["comexampleext"].value == "Euro € 😀"
    assert content_of(event).payload.load() == {"b": 1.0, "a": [1]}
    back = to_formatted(
        RecordedCloudEvent(stored(content_of(event))[0], through_the_record(event)), "binary"
    )
    assert back.binary.body == body
    assert dict(back.binary.headers) == {
        "content-type": "application/json; charset=utf-8",
        "ce-specversion": "1.0",
        "ce-type": "com.example.someevent",
        "ce-id": "1234-1234-1234",
        "ce-source": "/mycontext/subcontext",
        "ce-comexampleext": "Euro%20%E2%82%AC%20%F0%9F%98%80",
    }


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ('"two words"', "two words"),
        (r'"she said \"50\%25\""', 'she said "50%"'),
        ('""', ""),
        # These are no quoted strings, so nothing of them is taken away.
        ('"', '"'),
        ('"a" or "b"', '"a" or "b"'),
        (r'"open\"', r'"open\"'),
        ("100%", "100%"),
    ],
)
def test_headers_in_quotes_as_earlier_specifications_wrote_them(header: str, value: str) -> None:
    identity = {"ce-specversion": "1.0", "ce-id": '"a 1"', "ce-source": "s", "ce-type": "t"}
    event = read_binary({**identity, "ce-subject": header}, b"")
    assert (event.id, event.attributes["subject"].value) == ("a 1", value)
    headers, _ = write_binary(event)
    assert read_binary(headers, b"") == event


def test_numbers_of_more_than_64_bits_stay() -> None:
    raw = (
        b'{"specversion":"1.0","id":"1","source":"s","type":"t",'
        b'"data":{"n":12345678901234567890123}}'
    )
    assert write_json(through_the_record(read_json(raw))) == raw


def some_text(dice: random.Random) -> str:
    letters = "abcXYZ 09%\"\\/\t\n{}[]é€😀'"
    return "".join(dice.choice(letters) for _ in range(dice.randint(1, 12)))


def some_proto(  # noqa: C901, PLR0912 - a branch for each kind of value
    dice: random.Random,
) -> cloudevents_pb2.CloudEvent:
    event = cloudevents_pb2.CloudEvent(
        id=some_text(dice), source=some_text(dice), type=some_text(dice), spec_version="1.0"
    )
    for number in range(dice.randint(0, 5)):
        value = event.attributes[f"ext{number}"]
        match dice.randint(0, 6):
            case 0:
                value.ce_boolean = dice.random() < 0.5
            case 1:
                value.ce_integer = dice.randint(-(2**31), 2**31 - 1)
            case 2:
                value.ce_string = some_text(dice)
            case 3:
                value.ce_bytes = dice.randbytes(dice.randint(0, 9))
            case 4:
                value.ce_uri = "https://example.com/" + some_text(dice)
            case 5:
                value.ce_uri_ref = "/" + some_text(dice)
            case _:
                value.ce_timestamp.seconds = dice.randint(-(10**10), 10**11)
                value.ce_timestamp.nanos = dice.choice([0, 5 * 10**8, dice.randint(0, 999_999_999)])
    if dice.random() < 0.6:
        event.attributes["time"].ce_timestamp.seconds = dice.randint(0, 4 * 10**9)
        event.attributes["time"].ce_timestamp.nanos = dice.randint(0, 999_999_999)
    if dice.random() < 0.5:
        event.attributes["datacontenttype"].ce_string = dice.choice(
            ["application/json", "application/x+json", "text/plain", "application/octet-stream"]
        )
    if dice.random() < 0.3:
        event.attributes["dataschema"].ce_uri = "https://example.com/s"
    documents = ['{"b":1,"a":2}', '{"a":2,"b":1}', " 1e2 ", "null", '"x"', "{broken", "[1.0, 2]"]
    match dice.randint(0, 4):
        case 0:
            event.text_data = dice.choice([*documents, some_text(dice)])
        case 1:
            event.binary_data = dice.choice(
                [dice.randbytes(9), b"", *(each.encode() for each in documents)]
            )
        case 2:
            event.proto_data.type_url = "type.googleapis.com/a.B"
            event.proto_data.value = dice.randbytes(6)
        case _:
            pass
    return event


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_in_the_protobuf_format_comes_back(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(1_000):
        message = some_proto(dice)
        event = from_formatted(pb.FormattedCloudEvent(event=message))
        record = stored(content_of(event))[0]
        back = to_formatted(RecordedCloudEvent(record, through_the_record(event)), "event")
        assert back.event == message


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_in_the_json_format_comes_back(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(1_000):
        members = orjson.loads(
            write_json(from_formatted(pb.FormattedCloudEvent(event=some_proto(dice))))
        )
        event = read_json(orjson.dumps(members))
        assert orjson.loads(write_json(through_the_record(event))) == members


@pytest.mark.parametrize("kind", ["event", "json", "binary"])
@pytest.mark.parametrize("seed", range(2))
def test_a_plain_event_is_the_same_event_after_all_formats(seed: int, kind: str) -> None:
    dice = random.Random(seed)
    for _ in range(500):
        documents = [{}, [], "text", 1.5, {"b": [1, {"c": None}]}, True, {"€": some_text(dice)}]
        payload, context = dice.choice(documents), dice.choice(documents)
        record = EventRecord(
            id=new_id(),
            event_id=some_text(dice),
            name=some_text(dice),
            source=some_text(dice),
            timestamp=NOW,
            payload_type=dice.choice(list(PayloadType)),
            tenancy=TENANCY,
            deliver_at=NOW,
            created_at=NOW,
            updated_at=NOW,
            is_test=dice.random() < 0.5,
            priority=dice.choice(list(Priority)),
            account_id=dice.choice([None, some_text(dice)]),
        )
        whole = EventContent(JsonDocument.dump(payload), JsonDocument.dump(context))
        message = to_formatted(RecordedCloudEvent(record, event_of(record, whole, None)), kind)
        again = content_of(from_formatted(message))
        assert (again.event_id, again.name, again.source) == (
            record.event_id,
            record.name,
            record.source,
        )
        assert again.timestamp == NOW
        assert again.payload.load() == payload
        assert again.context.load() == context
        assert (again.payload_type or PayloadType.JSON) is record.payload_type
        assert (again.is_test or False) is record.is_test
        assert (again.priority or Priority.HIGH) is record.priority
        assert again.account_id == record.account_id


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"specversion": "0.3"}, "cloud_event.specversion"),
        ({"id": ""}, "cloud_event.id"),
        ({"source": 5}, "cloud_event.source"),
        ({"type": "x" * 513}, "cloud_event.type"),
        ({"Upper": "x"}, "cloud_event.Upper"),
        ({"ext": {"a": 1}}, "cloud_event.ext"),
        ({"ext": 2**31}, "cloud_event.ext"),
        ({"time": "yesterday"}, "cloud_event.time"),
        ({"time": "2023-02-30T00:00:00Z"}, "cloud_event.time"),
        ({"time": "1969-12-31T23:59:59Z"}, "cloud_event.time"),
        ({"data": 1, "data_base64": "AA=="}, "cloud_event.data_base64"),
        ({"data_base64": "*"}, "cloud_event.data_base64"),
        ({"kongflowpriority": "HIGHEST"}, "cloud_event.kongflowpriority"),
        ({"kongflowpayload": "FORM"}, "cloud_event.kongflowpayload"),
        ({"kongflowaccount": "x" * 513}, "cloud_event.kongflowaccount"),
        ({"kongflowtest": "yes"}, "cloud_event.kongflowtest"),
        ({"kongflowtest": 1}, "cloud_event.kongflowtest"),
        ({"time": ""}, "cloud_event.time"),
        ({"subject": ""}, "cloud_event.subject"),
        ({"dataschema": ""}, "cloud_event.dataschema"),
        ({"datacontenttype": ""}, "cloud_event.datacontenttype"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], field: str) -> None:
    raw = orjson.dumps({"specversion": "1.0", "id": "1", "source": "s", "type": "t", **changes})
    with pytest.raises(InvalidField) as error:
        content_of(read_json(raw))
    assert error.value.field == field


@pytest.mark.parametrize(
    ("written", "answered"),
    [
        ("2026-01-02T03:04:05.123456789012Z", "2026-01-02T03:04:05.123456789Z"),
        ("2026-01-02T03:04:05.9999999999+02:00", "2026-01-02T01:04:05.999999999Z"),
        ("2026-01-02 03:04:05.000000001z", "2026-01-02T03:04:05.000000001Z"),
        ("2016-12-31T23:59:60.1234567Z", "2017-01-01T00:00:00.123456700Z"),
        ("2026-01-02T00:00:00.5-00:30", "2026-01-02T00:30:00.500Z"),
    ],
)
def test_the_protobuf_format_holds_nanoseconds(written: str, answered: str) -> None:
    members = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": written}
    event = through_the_record(read_json(orjson.dumps(members)))
    assert orjson.loads(write_json(event))["time"] == written
    record = stored(content_of(event))[0]
    message = to_formatted(RecordedCloudEvent(record, event), "event").event
    assert message.attributes["time"].ce_timestamp.ToJsonString() == answered


def test_times_as_rfc_3339_writes_them() -> None:
    assert parse_time("2026-01-02t03:04:05.6789019z", "t") == NOW
    assert parse_time("2026-01-02T05:04:05.678901+02:00", "t") == NOW
    assert parse_time("2016-12-31T23:59:60Z", "t") == datetime(2017, 1, 1, tzinfo=UTC)
