"""Events as lines, without a server."""

from io import BytesIO

import pytest

from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.events_service_pb2 import SendEventRequest
from kongflow.workerqueue.v1.job_options_pb2 import PRIORITY_LOW
from kongflow_cli.input.event_lines import EventLine, LineRefused, event_lines


def lines_of(text: str | bytes, defaults: SendEventRequest | None = None) -> list[EventLine]:
    raw = text if isinstance(text, bytes) else text.encode()
    return list(event_lines(BytesIO(raw), defaults or SendEventRequest()))


def event_of(text: str, defaults: SendEventRequest | None = None) -> SendEventRequest:
    (line,) = lines_of(text, defaults)
    assert isinstance(line.event, SendEventRequest), line.event
    return line.event


def test_all_that_a_line_may_say() -> None:
    request = event_of(
        '{"name": "order.created", "id": "o-1", "payload": {"a": [1]}, "context": null, '
        '"at": "2026-05-01T14:00:00+02:00", "account": "acme", "source": "shop", '
        '"happened": "2026-05-01T11:00:00Z", "payload_type": "request", "priority": "low", '
        '"schema_version": 2, "test": true}'
    )
    event = request.event
    assert (event.name, event.event_id, event.source) == ("order.created", "o-1", "shop")
    assert (event.payload.json, event.context.json) == (b'{"a": [1]}', b"null")
    assert request.deliver_time.ToJsonString() == "2026-05-01T12:00:00Z"
    assert event.event_time.ToJsonString() == "2026-05-01T11:00:00Z"
    assert event.payload_type == EventRecord.PAYLOAD_TYPE_REQUEST
    assert (request.account_id, request.priority, request.test) == ("acme", PRIORITY_LOW, True)
    assert request.schema_version == 2


@pytest.mark.parametrize(
    "document",
    [
        "1.10",
        "123456789012345678901234567890",
        "1e400",
        '{ "a" :\t[ 1.0 , "\\u00e9\\"}" ] }',
        '"\\ud800"',
        "9" * 5_000,
        "[" * 300 + "]" * 300,
    ],
)
def test_documents_are_sent_to_the_byte(document: str) -> None:
    assert event_of(f' {{"payload" : {document} , "id":"x"}} ').event.payload.json == (
        document.encode()
    )


def test_a_line_without_an_id_gets_one() -> None:
    first, second = lines_of("{}\n{}\n")
    assert isinstance(first.event, SendEventRequest)
    assert isinstance(second.event, SendEventRequest)
    assert len({first.event.event.event_id, second.event.event.event_id, ""}) == 3


def test_what_a_line_leaves_out_the_defaults_say() -> None:
    defaults = SendEventRequest(account_id="acme")
    defaults.event.name = "order.created"
    defaults.deliver_after.FromSeconds(5)
    plain = event_of('{"after": "1m"}', defaults)
    assert (plain.event.name, plain.account_id) == ("order.created", "acme")
    assert plain.deliver_after.ToSeconds() == 60
    assert event_of('{"after": 90}', defaults).deliver_after.ToSeconds() == 90
    at = event_of('{"at": "2026-05-01T12:00:00Z", "name": "x"}', defaults)
    assert at.event.name == "x"
    assert at.WhichOneof("delivery") == "deliver_time"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[]", "Expecting '{'"),
        ('{"payload": }', "Expecting value"),
        ('{"payload": 1', "Expecting ','"),
        ('{"payload": 1} 2', "Extra data"),
        ('{"payload": 1,}', "not JSON"),
        ("{[]: 2}", "double quotes"),
        ("{1: 2}", "double quotes"),
        ('{"colour": "red"}', "'colour' is not known"),
        ('{"name": ["a"]}', "name: must be a text"),
        ('{"test": "yes"}', "test: must be true or false"),
        ('{"after": "soon"}', "after: 'soon' is not a duration"),
        ('{"at": "2026-05-01"}', "at: '2026-05-01' is not a time"),
        ('{"at": "2026-05-01T12:00:00Z", "after": "1s"}', "exclude each other"),
        (
            '{"priority": "highest"}',
            "priority: 'highest' is not one of high, normal, low, very_low",
        ),
        ('{"payload_type": "xml"}', "payload_type: 'xml' is not one of json, request"),
        *(
            (f'{{"{name}": {value}}}', f"{name}: must be a text")
            for name in ("name", "id", "account", "source", "at", "happened", "priority")
            for value in ("5", "1.5", "true", "null")
        ),
        ('{"payload_type": 5}', "payload_type: must be a text"),
        ('{"after": ["5s"]}', "after: must be a text"),
        ('{"after": 1.5}', "after: '1.5' is not a duration"),
        *(
            (f'{{"schema_version": {value}}}', "schema_version: must be a whole number from 1")
            for value in ('"2"', "0", "-1", "1.0", "2147483648", "99999999999", "true", "null")
        ),
        ('{"payload": ' + "[" * 100_000, "payload: is nested more than 200 levels deep"),
        ('{"context": ' + '{"a":' * 5_000, "context: is nested more than 200 levels deep"),
        ("{" + "[" * 100_000, "double quotes"),
    ],
)
def test_a_line_that_is_no_event_is_refused_alone(line: str, why: str) -> None:
    bad, good = lines_of(f'{line}\n\n{{"id": "x"}}')
    assert (bad.number, good.number) == (1, 3)
    assert isinstance(bad.event, LineRefused)
    assert why in str(bad.event)
    assert isinstance(good.event, SendEventRequest)


def test_bytes_that_are_no_text() -> None:
    (line,) = lines_of(b'{"name": "\xff"}')
    assert str(line.event) == "is not UTF-8"
