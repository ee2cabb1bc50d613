"""`kongflow schemas`, and `kongflow events` with CloudEvents."""

from pathlib import Path

import orjson

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import event_schemas_service_pb2 as pb
from kongflow.events.v1 import events_service_pb2 as events_pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.event_schema_pb2 import (
    COMPATIBILITY_FULL,
    EventSchema,
    SchemaDifference,
)

SCHEMA = '{"type": "object"}'


def test_register_says_everything(system: RecordedSystem, run: Run) -> None:
    system.answers["RegisterEventSchema"] = lambda request: pb.RegisterEventSchemaResponse(
        event_schema=EventSchema(event_name="a", version=3, mode=EventSchema.MODE_WARN)
    )
    ended = run(
        *("schemas", "register", "a", "--schema", SCHEMA),
        *("--mode", "warn", "--compatibility", "full"),
    )
    assert ended.code == 0, ended.err
    assert system.only_call("RegisterEventSchema", pb.RegisterEventSchemaRequest) == (
        pb.RegisterEventSchemaRequest(
            event_schema=EventSchema(
                event_name="a", schema=Payload(json=SCHEMA.encode()), mode=EventSchema.MODE_WARN
            ),
            compatibility=COMPATIBILITY_FULL,
        )
    )
    assert "warn" in ended.out


def test_check_ends_with_a_conflict(system: RecordedSystem, run: Run) -> None:
    system.answers["CheckEventSchema"] = lambda request: pb.CheckEventSchemaResponse(
        compared_version=1,
        differences=[SchemaDifference(path="payload.a", reason="the new one requires it")],
    )
    ended = run("schemas", "check", "a", "--schema", SCHEMA, "--sample", "{}")
    assert ended.code == 6
    assert "payload.a" in ended.out
    request = system.only_call("CheckEventSchema", pb.CheckEventSchemaRequest)
    assert request.sample.json == b"{}"


def test_delete_names_the_version(system: RecordedSystem, run: Run) -> None:
    system.answers["DeleteEventSchema"] = lambda request: pb.DeleteEventSchemaResponse()
    assert run("schemas", "delete", "a", "--version", "2").code == 0
    assert system.only_call("DeleteEventSchema", pb.DeleteEventSchemaRequest) == (
        pb.DeleteEventSchemaRequest(event_name="a", version=2)
    )


def test_a_cloud_event_is_sent_as_it_stands(
    system: RecordedSystem, run: Run, tmp_path: Path
) -> None:
    system.answers["SendCloudEvent"] = lambda request: events_pb.SendCloudEventResponse(
        event_record=EventRecord(id="r", event_id="1")
    )
    file = tmp_path / "event.json"
    file.write_bytes(b'{ "specversion": "1.0", "id": "1" }')
    options = ("--account", "acme", "--schema-version", "2", "--test")
    ended = run("events", "send", "--cloudevent", str(file), *options)
    assert ended.code == 0, ended.err
    request = system.only_call("SendCloudEvent", events_pb.SendCloudEventRequest)
    assert request.cloud_event.json == file.read_bytes()
    assert (request.account_id, request.schema_version, request.test) == ("acme", 2, True)
    assert run("events", "send", "order.created", "--cloudevent", str(file)).code == 2


def test_a_batch_tells_what_became_of_each(
    system: RecordedSystem, run: Run, tmp_path: Path
) -> None:
    def answer(request: events_pb.SendCloudEventsRequest) -> events_pb.SendCloudEventsResponse:
        results = [events_pb.SendEventResult(event_record_id="r1")]
        results.append(events_pb.SendEventResult())
        results[1].status.code, results[1].status.message = 3, "cloud_event.id: is required"
        return events_pb.SendCloudEventsResponse(results=results)

    system.answers["SendCloudEvents"] = answer
    file = tmp_path / "batch.json"
    file.write_bytes(orjson.dumps([{"id": "1"}, {}]))
    ended = run("events", "send", "--cloudevent", str(file))
    assert ended.code == 2
    assert "1: r1" in ended.out
    assert "2: cloud_event.id: is required" in ended.err


def test_an_event_is_shown_as_a_cloud_event(system: RecordedSystem, run: Run) -> None:
    system.answers["GetCloudEvent"] = lambda request: events_pb.GetCloudEventResponse(
        cloud_event=events_pb.FormattedCloudEvent(json=b'{"id":"1"}')
    )
    ended = run("events", "get", "--event-id", "1", "--cloudevent")
    assert ended.out.strip() == '{"id":"1"}'
