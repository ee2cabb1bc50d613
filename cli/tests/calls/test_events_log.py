"""`kongflow events log`."""

from google.protobuf.timestamp_pb2 import Timestamp

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.events.v1 import resource_events_service_pb2 as pb
from kongflow.events.v1.resource_event_pb2 import ResourceEvent
from kongflow_cli.client.exit_codes import NOT_FOUND
from kongflow_common.errors import DependencyUnavailable, NotFound

TIME = Timestamp(seconds=1_767_225_600)


def logged(id_: str, *, replay_of: str = "") -> ResourceEvent:
    event = ResourceEvent(
        id=id_,
        type="job.registered",
        version=1,
        time=TIME,
        resource_id="job-1",
        replay_of=replay_of,
    )
    event.layer = ResourceEvent.LAYER_DOMAIN
    event.data.json = b'{"slug": "order"}'
    return event


def test_what_happened_is_listed_the_oldest_first(system: RecordedSystem, run: Run) -> None:
    system.answers["ListResourceEvents"] = pb.ListResourceEventsResponse(
        resource_events=[logged("e1"), logged("e2", replay_of="e1")]
    )
    ended = run("events", "log", "list", "job-1", "--since", "2h")
    head, first, second = ended.out.splitlines()
    assert head.split() == ["ID", "TYPE", "TIME", "LAYER", "REPLAY", "OF", "DATA"]
    assert first.split()[:2] == ["e1", "job.registered"]
    assert "domain" in first
    assert '{"slug": "order"}' in first
    assert "  e1  " in second
    [call] = system.calls
    assert isinstance(call.request, pb.ListResourceEventsRequest)
    assert call.request.resource_id == "job-1"
    assert call.request.HasField("start_time")


def test_an_event_is_published_once_more(system: RecordedSystem, run: Run) -> None:
    system.answers["ReplayResourceEvent"] = pb.ReplayResourceEventResponse(
        resource_event=logged("e2", replay_of="e1")
    )
    ended = run("events", "log", "replay", "e1", "--request-id", "r1")
    assert ended.code == 0
    assert "e2" in ended.out
    assert ended.out.split("Replay of")[1].split()[0] == "e1"
    [call] = system.calls
    assert call.request == pb.ReplayResourceEventRequest(id="e1", request_id="r1")


def test_what_is_not_known_can_be_repeated(system: RecordedSystem, run: Run) -> None:
    system.answers["ReplayResourceEvent"] = DependencyUnavailable("postgresql")
    ended = run("events", "log", "replay", "e1")
    request = system.calls[-1].request
    assert isinstance(request, pb.ReplayResourceEventRequest)
    assert request.request_id
    assert f"--request-id {request.request_id}" in ended.err


def test_an_event_that_is_not_there(system: RecordedSystem, run: Run) -> None:
    system.answers["ReplayResourceEvent"] = NotFound("the log has no event e1", resource_event="e1")
    ended = run("events", "log", "replay", "e1")
    assert ended.code == NOT_FOUND
    assert "e1" in ended.err
